"""The async twin: `async def` routes on the event loop, AsyncSession.

Compare: diff -r sync_app async_app.
"""
