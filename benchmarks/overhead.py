"""What the heartbeat, the watchdog and the pulse inside the server cost: `make bars-long`.

One app in one process alternates slices of a hundredth of a second with and without them, in random
order within a pair: between fresh processes the throughput varies by 10 to 20%, which hides a cost of 1%,
while two consecutive slices run under the same conditions. Requests go through uvicorn's protocol on
connections without sockets, whose time would only reduce the share. `python -m benchmarks.overhead watchdog`
measures one of them, while the others are always on. Target: a throughput loss estimated at 1% or less, with
a one-sided 95% bound of 2% or less, from at least 40 pairs. `pulse` also times its wrapper alone, whose
cost is far below what these pairs resolve: 0.2 µs per request or less.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from threading import Lock
from time import perf_counter, sleep
from typing import Any

import numpy as np
import uvicorn
import uvloop
from anyio import to_thread
from scipy.special import stdtrit
from sqlalchemy.pool import Pool, QueuePool
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from benchmarks.duels import write_figures
from loadtests.serving.inside.frameworks.routes import endpoints
from loadtests.serving.inside.heartbeat import BEAT, Heartbeat
from loadtests.serving.inside.pending import Pending
from loadtests.serving.inside.pulse import with_pulse
from loadtests.serving.inside.stacks import Stacks
from loadtests.serving.inside.watchdog import LoopWatchdog
from loadtests.system.fingerprint import fingerprint
from loadtests.system.placement import cpus, place
from shared_models import seed
from shared_models.settings import Settings

CELLS = (("sync", "/ping"), ("sync", "/posts/17"), ("async", "/ping"), ("async", "/posts/17"))
HOOKED = ("do_execute", "do_executemany", "do_execute_no_params")
"""A dialect's methods that the heartbeat replaces."""
PARTS = ("heartbeat", "watchdog", "pulse")
AT_ONCE = 8
TURN = 0.01
"""Approximate seconds per slice."""
PAIRS = 2_500
ESTIMATE, BOUND = 0.01, 0.02
PULSE = "/0123456789abcdef0123456789abcdef"
"""A path as the parent makes it."""
CALLS = 20_000
"""Calls per timing of the wrapper alone."""
WRAPPED = 0.2e-6
"""Seconds that the wrapper may take per request."""


class Switched(Heartbeat):
    """A heartbeat that can be paused."""

    on = False

    def beat(self) -> None:
        if self.on:
            super().beat()
            return
        self.due = perf_counter() + BEAT
        if self.loop is not None:
            self.loop.call_later(BEAT, self.beat)


class Leashed(LoopWatchdog):
    """A watchdog that can be paused: its thread waits for a lock then, and its clock stops."""

    on = True
    away = 0.0
    """Seconds for which it was off."""
    resting = False
    waiting = False

    def __init__(self, stacks: Stacks) -> None:
        super().__init__(stacks)
        self.stop, self.go = Lock(), Lock()
        self.stop.acquire()
        self.go.acquire()

    def moment(self) -> float:
        return perf_counter() - self.away

    def rest(self, seconds: float) -> float:
        until = self.moment() + seconds
        self.resting = True
        while self.stop.acquire(timeout=max(0.0, until - self.moment())):
            began, self.waiting = perf_counter(), True
            self.go.acquire()
            self.away += perf_counter() - began
            self.waiting, self.resting = False, True
        return self.moment() - until

    def turn(self, on: bool) -> None:
        """Switch, and come back once the thread sleeps."""
        if on == self.on:
            return
        self.on, self.resting = on, False
        (self.go if on else self.stop).release()
        while not (self.resting if on else self.waiting):
            sleep(0.0001)


@dataclass
class Switch:
    """Installs the heartbeat's hooks, and restores the original functions; lets the watchdog run, or not;
    puts the pulse in front of the app, or not."""

    heart: Switched
    dog: Leashed
    apps: Mapping[bool, Any]
    """What uvicorn calls, with and without the pulse's wrapper."""
    parts: Sequence[str]
    """What is switched; the rest is always on."""

    def __post_init__(self) -> None:
        self.plain = (to_thread.run_sync, Pool.connect, QueuePool._do_get)
        before = list(gc.callbacks)
        self.heart.listen()
        self.heart.database.listen()
        self.watched = (to_thread.run_sync, Pool.connect, QueuePool._do_get)
        self.collections = [callback for callback in gc.callbacks if callback not in before]
        self.users: list[TimedConnection] = []
        self.executing: dict[Any, dict[str, Any]] = {}
        """The hooks in each engine's dialect."""

    def turn(self, on: bool) -> None:
        if "watchdog" in self.parts:
            self.dog.turn(on)
        for user in self.users:
            user.app = self.apps[on or "pulse" not in self.parts]
        on = on or "heartbeat" not in self.parts
        self.heart.on = on
        hop, connect, get = self.watched if on else self.plain
        to_thread.run_sync = hop
        Pool.connect = connect  # type: ignore[method-assign]  # as heartbeat.py does
        QueuePool._do_get = get  # type: ignore[method-assign]  # as heartbeat.py does
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


class Wire(asyncio.Transport):
    """A transport that keeps responses; raises RuntimeError on a status other than 200."""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if bytes(data[:5]) == b"HTTP/" and bytes(data[9:12]) != b"200":
            raise RuntimeError(f"answered with {bytes(data[:40])!r}")

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 8000) if name in ("peername", "sockname") else default

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def resume_reading(self) -> None: ...


class TimedConnection(HttpToolsProtocol):
    """One user's connection."""

    answered: asyncio.Future[None]

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.answered.set_result(None)

    async def ask(self, request: bytes) -> None:
        self.answered = self.loop.create_future()
        self.data_received(request)
        await self.answered


async def seconds(connections: Sequence[TimedConnection], request: bytes, each: int) -> float:
    """Seconds for `each` requests per user, all users concurrently."""

    async def user(connection: TimedConnection) -> None:
        for _ in range(each):
            await connection.ask(request)

    began = perf_counter()
    await asyncio.gather(*map(user, connections))
    return perf_counter() - began


async def differences(style: str, path: str, settings: Settings, parts: Sequence[str] = PARTS) -> list[float]:
    """Log ratios of the time without heartbeats, watchdog and pulse to the time with them, one per pair."""
    app = import_module(f"{style}_app.main").create_app(settings)
    heart = Switched(Pending())
    dog = Leashed(Stacks((), endpoints(app)))
    configs = {on: configured(with_pulse(app, "asgi3", PULSE) if on else app) for on in (True, False)}
    switch = Switch(heart, dog, {on: config.loaded_app for on, config in configs.items()}, parts)
    random = Random(1)
    async with app.router.lifespan_context(app) as state:
        heart.start()
        dog.start()
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 20, 100)  # as serve.py does
        users = [TimedConnection(configs[True], ServerState(), dict(state)) for _ in range(AT_ONCE)]
        switch.users = users
        for user in users:
            user.connection_made(Wire())
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        each = 50
        for on in (True, False):
            switch.turn(on)
            took = await seconds(users, request, each)
        each = max(1, round(each * TURN / took))
        found = []
        for _ in range(PAIRS):
            spent = {}
            for on in random.sample((False, True), 2):
                switch.turn(on)
                spent[on] = await seconds(users, request, each)
            found.append(math.log(spent[False] / spent[True]))
        switch.turn(False)
    return found


def configured(app: Any) -> uvicorn.Config:
    """As serve.py has it, loaded."""
    config = uvicorn.Config(
        app, interface="asgi3", http="httptools", loop="uvloop", access_log=False, log_level="warning"
    )
    config.load()
    return config


def wrapper_seconds() -> float:
    """Seconds that the pulse's wrapper adds to a call of an app: the median difference of paired timings."""

    def app(scope: Any, receive: Any, send: Any) -> None:
        """Nothing, as cheap as a call can be."""

    wrapped = with_pulse(app, "asgi3", PULSE)
    scope = {"type": "http", "path": "/posts/17"}

    def timed(called: Any) -> float:
        began = perf_counter()
        for _ in range(CALLS):
            called(scope, None, None)
        return (perf_counter() - began) / CALLS

    random, found = Random(1), []
    for _ in range(200):
        spent = {on: timed(wrapped if on else app) for on in random.sample((False, True), 2)}
        found.append(spent[True] - spent[False])
    return float(np.median(found))


def main() -> None:
    parts = sys.argv[1:] or PARTS
    placement = place(cpus())
    if placement:
        os.sched_setaffinity(0, placement["server"])
    figures: list[dict[str, Any]] = []
    met = True
    if "pulse" in parts:
        wrapper = wrapper_seconds()
        met = wrapper <= WRAPPED
        print(f"the pulse's wrapper costs {wrapper * 1e9:.0f} ns per request", flush=True)
        figures.append({"wrapper": wrapper})
    with tempfile.TemporaryDirectory() as directory:
        seed.build(Path(directory))
        for style, path in CELLS:
            settings = Settings(data=directory)
            logs = uvloop.run(differences(style, path, settings, parts))
            lost = 1.0 - math.exp(float(np.mean(logs)))
            error = float(np.std(logs, ddof=1)) / math.sqrt(len(logs))
            bound = 1.0 - math.exp(float(np.mean(logs)) - float(stdtrit(len(logs) - 1, 0.95)) * error)
            good = lost <= ESTIMATE and bound <= BOUND
            met = met and good
            print(
                f"{style} {path}: {' and '.join(parts)} cost {lost:.2%}, at most {bound:.2%} "
                f"({len(logs)} pairs)",
                flush=True,
            )
            figures.append({"style": style, "path": path, "lost": lost, "bound": bound, "pairs": len(logs)})
    write_figures("overhead", fingerprint(placement), {"parts": list(parts), "figures": figures})
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
