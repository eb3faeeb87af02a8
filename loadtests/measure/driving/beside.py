"""What a light `async def` request waits while worker threads compute: they hold the GIL in turn, which the
event loop needs as well."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from math import inf
from statistics import median
from threading import Event

import httpx

from loadtests.errors import ChildFailed
from loadtests.measure.answers.direct import client_of
from loadtests.measure.answers.equality import PATIENCE
from loadtests.measure.answers.questions import Question
from loadtests.serving.server import Target
from loadtests.system.accounting import Clocks

COMPUTES = 0.005
"""CPU seconds of a request from which on its neighbours are looked at."""

USERS = 16
"""Requests to the route at a time: of fewer, so few compute at once that noise hides what others wait."""

ALONE, BESIDE = 0.1, 0.6
"""Seconds for which light requests are sent without them, and beside them."""

FEWEST, MOST = 16, 4 * BESIDE
"""Light requests beside them, if they take no longer than these seconds: where threads hold the GIL, a
request waits for 1 ms or for 400 ms, by which of them is given it next, and a few have no steady median."""

PAUSE = 0.005
"""Seconds between two light requests."""

Send = Callable[[httpx.Client, Question], object]


@dataclass(frozen=True)
class LightWaits:
    """What a light request waits, in seconds, the median."""

    users: int
    """Requests to the route at a time, beside it."""
    alone: float
    """Without them."""
    waits: float


def cpu_of(server: Target) -> float | None:
    """CPU seconds of a server so far; None where the platform does not show them."""
    return Clocks(()).read(server.pid).server


def beside(server: Target, question: Question, send: Send) -> LightWaits | None:
    """Light requests without and beside `USERS` requests at a time to a route; None where they cannot be
    sent. Raises ChildFailed."""
    if server.pulse is None:
        return None
    # A client of each user's own would read the certificates, for longer than all of this takes.
    with (
        client_of(server.url, PATIENCE) as light,
        client_of(server.url, PATIENCE) as heavy,
        ThreadPoolExecutor(USERS) as pool,
    ):
        try:
            alone = pulses(light, server.pulse, ALONE)
            ended = Event()
            # Their connections first.
            wait([pool.submit(send, heavy, question) for _ in range(USERS)])
            users = [pool.submit(ask_until, ended, partial(send, heavy, question)) for _ in range(USERS)]
            try:
                waits = pulses(light, server.pulse, BESIDE, FEWEST, MOST)
            finally:
                ended.set()
            for user in users:
                user.result()
        except httpx.HTTPError as error:
            what = f"a light request failed: {type(error).__name__}"
            raise ChildFailed(what, cause=server.log_tail()) from None
    return LightWaits(USERS, median(alone), median(waits))


def ask_until(ended: Event, ask: Callable[[], object]) -> None:
    """One user, whose requests follow one another. Raises ChildFailed."""
    while not ended.is_set():
        ask()


def pulses(
    client: httpx.Client, path: str, seconds: float, fewest: int = 1, most: float = inf
) -> list[float]:
    """The response times of light requests, one after another for `seconds`, or for `most` until there are
    `fewest`. Raises httpx.HTTPError."""
    client.get(path)  # connects
    found: list[float] = []
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds or (len(found) < fewest and passed < most):
        began = time.perf_counter()
        client.get(path)
        found.append(time.perf_counter() - began)
        time.sleep(PAUSE)
    return found
