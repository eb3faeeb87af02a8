"""The sync twin: `def` routes on the thread pool, blocking SQLAlchemy.

Compare: diff -r sync_app async_app.
"""
