"""The async twin: `async def` routes on the event loop, AsyncSession.

To compare the two styles: `diff -r sync_app async_app`.
"""
