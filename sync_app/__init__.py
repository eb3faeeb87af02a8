"""The sync twin: `def` routes on the thread pool, blocking SQLAlchemy.

To compare the two styles: `diff -r sync_app async_app`.
"""
