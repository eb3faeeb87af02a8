"""The lifespan of one app of several."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any


class Lifespan:
    """An app's lifespan: a task of its own, as an app's task groups need, with a state of its own."""

    def __init__(self, call: Any, scope: Mapping[str, Any]) -> None:
        self.state: dict[str, Any] = {}
        self.asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.said: list[dict[str, Any]] = []
        self.progress = asyncio.Event()
        self.task = asyncio.ensure_future(self.run(call, {**scope, "state": self.state}))

    async def run(self, call: Any, scope: dict[str, Any]) -> None:
        # An app without a lifespan may raise; one whose lifespan fails has sent the reason before it raises.
        with suppress(Exception):
            await call(scope, self.asked.get, self.send)
        self.progress.set()

    async def send(self, message: dict[str, Any]) -> None:
        self.said.append(message)
        self.progress.set()

    async def ask(self, what: str) -> dict[str, Any] | None:
        """What the app answers to `startup` or `shutdown`; None where it ends without an answer."""
        await self.asked.put({"type": f"lifespan.{what}"})
        await self.progress.wait()
        if not self.task.done():
            self.progress.clear()
        return self.said.pop(0) if self.said else None
