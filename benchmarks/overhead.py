"""What the heartbeat inside the server costs: `make bars-long`.

One app in one process takes turns of a hundredth of a second with vitals and without, in random order within
a pair: between fresh processes the throughput scatters by 10 to 20 %, which hides a cost of one per cent,
while two turns that follow each other meet the same host. Requests go into the app itself, without uvicorn,
whose own time would only make the share smaller. The bar: the throughput lost is estimated at 1 % or less,
and its one-sided 95 % bound is 2 % or less, with 40 pairs or more.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import sys
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import numpy as np
import uvloop
from anyio import to_thread
from scipy.special import stdtrit
from sqlalchemy.pool import Pool, QueuePool

from benchmarks.duels import write_figures
from loadtests import machine
from loadtests.vitals import BEAT, Heart
from shared_models import seed
from shared_models.settings import Settings

CELLS = (("sync", "/ping"), ("sync", "/posts/17"), ("async", "/ping"), ("async", "/posts/17"))
HOOKED = ("do_execute", "do_executemany", "do_execute_no_params")
"""A dialect's methods that vitals replace."""
AT_ONCE = 8
TURN = 0.01
"""Seconds that a turn lasts about."""
PAIRS = 5_000
ESTIMATE, BOUND = 0.01, 0.02


class Switched(Heart):
    """A heart that can stand still."""

    on = False

    def beat(self) -> None:
        if self.on:
            super().beat()
            return
        self.due = perf_counter() + BEAT
        if self.loop is not None:
            self.loop.call_later(BEAT, self.beat)


@dataclass
class Switch:
    """Puts what vitals hook themselves into in place, and the plain functions back."""

    heart: Switched

    def __post_init__(self) -> None:
        self.plain = (to_thread.run_sync, Pool.connect, QueuePool._do_get)
        before = list(gc.callbacks)
        self.heart.listen()
        self.heart.database.listen()
        self.watched = (to_thread.run_sync, Pool.connect, QueuePool._do_get)
        self.collections = [callback for callback in gc.callbacks if callback not in before]
        self.executing: dict[Any, dict[str, Any]] = {}
        """What the heart put into each engine's dialect."""

    def turn(self, on: bool) -> None:
        self.heart.on = on
        hop, connect, get = self.watched if on else self.plain
        to_thread.run_sync = hop
        Pool.connect = connect  # type: ignore[method-assign]  # as the heart does
        QueuePool._do_get = get  # type: ignore[method-assign]  # as the heart does
        for pool in self.heart.database.known:
            dialect = pool._dialect.__dict__
            found = {name: dialect.pop(name) for name in HOOKED if name in dialect}
            if found:
                self.executing[pool._dialect] = found
            if on:
                dialect.update(self.executing[pool._dialect])
        for callback in self.collections:
            if on and callback not in gc.callbacks:
                gc.callbacks.append(callback)
            if not on and callback in gc.callbacks:
                gc.callbacks.remove(callback)


async def ask(app: Any, path: str, state: dict[str, Any]) -> None:
    """One request, made as a server hands it on. Raises RuntimeError where it is not answered with 200."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [],
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "state": dict(state),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:  # OK
            raise RuntimeError(f"{path} answered {message['status']}")

    await app(scope, receive, send)


async def seconds(app: Any, path: str, state: dict[str, Any], each: int) -> float:
    """What `each` requests of every user at once take."""

    async def user() -> None:
        for _ in range(each):
            await ask(app, path, state)

    began = perf_counter()
    await asyncio.gather(*(user() for _ in range(AT_ONCE)))
    return perf_counter() - began


async def differences(style: str, path: str, settings: Settings) -> list[float]:
    """Logarithms of the time without vitals ÷ with them, one per pair of turns."""
    app = import_module(f"{style}_app.main").create_app(settings)
    heart = Switched()
    switch = Switch(heart)
    random = Random(1)
    async with app.router.lifespan_context(app) as state:
        heart.start()
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 100)  # as serve.py does
        each = 50
        for on in (True, False):
            switch.turn(on)
            took = await seconds(app, path, state, each)
        each = max(1, round(each * TURN / took))
        found = []
        for _ in range(PAIRS):
            spent = {}
            for on in random.sample((False, True), 2):
                switch.turn(on)
                spent[on] = await seconds(app, path, state, each)
            found.append(math.log(spent[False] / spent[True]))
        switch.turn(False)
    return found


def main() -> None:
    placement = machine.place(machine.cpus())
    if placement:
        os.sched_setaffinity(0, placement["server"])
    figures, met = [], True
    with tempfile.TemporaryDirectory() as directory:
        seed.build(Path(directory))
        for style, path in CELLS:
            settings = Settings(data=directory)
            logs = uvloop.run(differences(style, path, settings))
            lost = 1.0 - math.exp(float(np.mean(logs)))
            error = float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
            bound = 1.0 - math.exp(float(np.mean(logs)) - float(stdtrit(len(logs) - 1, 0.95)) * error)
            good = lost <= ESTIMATE and bound <= BOUND
            met = met and good
            print(
                f"{style} {path}: vitals cost {lost:.2%}, at most {bound:.2%} ({len(logs)} pairs)", flush=True
            )
            figures.append({"style": style, "path": path, "lost": lost, "bound": bound, "pairs": len(logs)})
    write_figures("overhead", machine.fingerprint(placement), {"figures": figures})
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
