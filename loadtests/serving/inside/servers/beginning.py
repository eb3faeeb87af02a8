"""What is done on the running loop as a server starts, whichever server it is."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import current_default_thread_limiter


@dataclass(frozen=True)
class Beginning:
    """The knobs of a running loop, and who is told that it serves."""

    threads: int
    freeze: bool
    gc_threshold: int | None
    observers: tuple[Any, ...]
    """What has a `start` to be called on the loop: the heartbeat and the watchdog."""
    say_ready: Callable[[], None]

    def before(self) -> None:
        """Before the app's lifespan begins, which may set another limit."""
        current_default_thread_limiter().total_tokens = self.threads

    def after(self) -> None:
        """Once requests are answered."""
        if self.freeze:
            # Objects built at start-up live until the end: full collections can skip them.
            gc.collect()
            gc.freeze()
            gc.set_threshold(10_000, 20, 100)
        if self.gc_threshold is not None:
            gc.set_threshold(self.gc_threshold)
        for observer in self.observers:
            observer.start()
        self.say_ready()
