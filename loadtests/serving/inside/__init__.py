"""Runs inside the arm's own process, in its own Python: started by path, never imported.
Imports none of our packages, and only uvicorn and AnyIO of third-party ones."""
