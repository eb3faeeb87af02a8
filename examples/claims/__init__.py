"""Published claims about sync against async, as apps: `docs/claims.md` says whose they are and what came out.

Each file is the work of one kind of claim, with an app per arm; `load.py` has the users. Nothing here is
taken from the sources: the code is the shortest that does what they describe.
"""
