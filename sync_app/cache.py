"""The cache in Redis. Its package comes with an extra, and is imported only where there is a Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, Request

from shared_models.errors import available
from shared_models.settings import Settings


class Cache:
    """Bytes by key, for as long as they are fresh."""

    def __init__(self, client: Any, seconds: float) -> None:
        self.client = client
        self.milliseconds = round(seconds * 1000)

    def get(self, key: str) -> bytes | None:
        """What was put there; None where nothing was, or it has expired."""
        kept: bytes | None = self.client.get(key)
        return kept

    def put(self, key: str, value: bytes) -> None:
        """Keep a value until it expires."""
        self.client.set(key, value, px=self.milliseconds)


@contextmanager
def open_cache(settings: Settings) -> Iterator[Cache | None]:
    """The cache in the configured Redis, on as many connections as requests need at once; None without
    one."""
    if not settings.redis:
        yield None
        return
    from redis import Redis  # noqa: PLC0415  # an extra

    with Redis.from_url(settings.redis) as client:
        yield Cache(client, settings.cache_seconds)


# `async def` in both apps: it never waits, and as `def` it would cost a thread hop.
async def get_cache(request: Request) -> Cache:
    """Raises NoRedis."""
    cache: Cache | None = request.state.cache
    return available(cache)


PostCache = Annotated[Cache, Depends(get_cache)]
