"""Apps as people bring them, on a real server: what keeps their requests is read, and seen under load, at the
same line, whatever is around it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, sleep

import numpy as np
import pytest

from loadtests.records.heartbeats import Heartbeats
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.inside.frameworks import describe
from loadtests.serving.inside.reading import read
from loadtests.serving.server import Server
from reports.advice.anatomy import Anatomy
from reports.advice.app_advice import BlocksLoop, Finding, HoldsConnection, advise
from reports.analysis.rounds.holders import holders
from reports.wording.advice.app_advice import problem_text
from tests.apps import brought
from tests.conftest import APPS
from tests.serving import app
from tests.test_holding import Loaded

SOURCE = Path(brought.__file__).read_text(encoding="utf-8").splitlines()

HELD = {
    number: found[1]
    for number, line in enumerate(SOURCE, 1)
    if (found := re.search(r"# held in (\w+)$", line))
}
"""The lines that hold the loop, each with its function."""

USERS = 8

CONNECTIONS = brought.engine.pool.size()  # type: ignore[attr-defined]  # it is a QueuePool


@pytest.fixture(scope="module")
def loaded(environment: ServingEnvironment) -> Iterator[Loaded]:
    with Server(app("app", "brought"), environment, "1.brought") as server:
        sleep(0.2)  # the watchdog measures how late its loop is without load
        yield Loaded(server)


@pytest.mark.parametrize(
    ("path", "function", "route"),
    [
        ("/tenants/shops/a/price", "price", "GET /tenants/shops/{name}/price"),
        ("/traced/shops/a/price", "price", "GET /traced/shops/{name}/price"),
        ("/tiny/blocking", "blocking", "GET /tiny/blocking"),
        ("/logged/items", "write_log", "GET /logged/items"),
        ("/signed/items", "verify", "GET /signed/items"),
        # Its route has returned when the stream is sent.
        ("/exports/rows", "fetch", None),
    ],
)
def test_the_line_that_holds_the_loop_is_seen_whatever_is_around_it(
    loaded: Loaded, path: str, function: str, route: str | None
) -> None:
    found, answered = loaded.held(path, USERS, seconds=0.8)
    assert answered > USERS
    (first, *_) = holders([found])
    assert (HELD.get(first.line), first.what, first.route) == (function, "time.sleep", route)
    assert first.computes is False


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    """What reading the app finds for 64 concurrent requests."""
    pool = {"kind": "QueuePool", "size": CONNECTIONS, "overflow": 0}
    return advise(Anatomy.model_validate({**describe(brought.app, APPS, read), "pools": [pool]}), 64)


def test_reading_finds_all_of_these_lines_and_no_other(findings: list[Finding]) -> None:
    problems = [one.problem for one in findings if isinstance(one.problem, BlocksLoop)]
    assert {call.line for one in problems for call in one.calls} == HELD.keys()


def test_a_unit_of_work_that_keeps_a_connection_for_a_login_bounds_the_route(findings: list[Finding]) -> None:
    (found,) = (one for one in findings if isinstance(one.problem, HoldsConnection))
    assert (found.routes, found.weight) == (("GET /shelf/orders",), "mind")
    text = problem_text(found.problem)
    assert text.what == f"serves at most {CONNECTIONS} of 64 concurrent requests at a time"
    assert text.why.startswith("unit_of_work keeps its connection until the response is sent")


def beats(loaded: Loaded, path: str, users: int = USERS) -> tuple[Heartbeats, int, float]:
    """The heartbeats of a server while users request a path, how many requests it answered, and in how
    many seconds."""
    begun = perf_counter()
    found, answered = loaded.held(path, users, seconds=0.4)
    assert found.window is not None
    return Heartbeats.of(loaded.server.heartbeats(begun), begun), answered, found.window


def test_threads_of_its_own_are_no_tokens(loaded: Loaded) -> None:
    """The limit of an app with a pool of its own must not be called `thread-tokens`."""
    told, answered, window = beats(loaded, "/tiny/threaded")
    assert answered > USERS
    assert told.borrowed.max() == 0.0
    assert told.spent("hops", window) == 0.0


def test_a_file_that_is_sent_by_lines_takes_a_thread_for_each(loaded: Loaded) -> None:
    told, answered, window = beats(loaded, "/exports/file", users=1)
    assert (told.spent("hops", window) or 0.0) / answered == pytest.approx(brought.LINES + 1, rel=0.2)


@pytest.mark.parametrize("path", ["/shelf/orders", "/kept/orders"])
def test_a_connection_kept_for_a_whole_request_is_seen_as_a_pool_that_is_used_up(
    loaded: Loaded, path: str
) -> None:
    told, answered, window = beats(loaded, path)
    assert answered > USERS
    assert np.nanmedian(told.checked_out) == CONNECTIONS
    # All other users wait for a connection.
    assert (told.spent("pool_wait", window) or 0.0) / window == pytest.approx(USERS - CONNECTIONS, rel=0.4)
