"""Which line of code holds the event loop: real servers that wait, compute, or do neither."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from time import perf_counter, sleep
from typing import Any

import httpx
import pytest

from loadtests.plan.arms import Serving
from loadtests.records import HoldingLine, LoopHolds, Trial
from loadtests.records.heartbeats import MOST_LINES
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.inside import stacks
from loadtests.serving.server import Server
from reports.advice.explanations import Explanations
from reports.analysis.bottlenecks import Bottleneck, LoopLate
from reports.analysis.readings import Readings
from reports.analysis.rounds.holders import ENOUGH, Holder, holders
from reports.conclusions import Conclusions, conclude
from reports.render.summary import summary
from reports.wording.advice.cards import card_reason
from reports.wording.advice.portraits import off_the_loop
from reports.wording.bottlenecks import limit_text
from tests import scripted
from tests.scripted import Scripted
from tests.serving import app
from tests.test_bottlenecks import trial

LINE = HoldingLine(
    file="/app/notes/main.py", shown="notes/main.py", line=41, function="read", call="requests.get", own=True,
    route="GET /notes/{id}", count=40, seconds=0.8, held=30, longest=0.05, cpu=0.01, over=0.8,
)  # fmt: skip


def told(*lines: HoldingLine, workers: int = 1) -> Trial:
    """A trial with a window of one second in which these lines held the loops."""
    looks, late = sum(line.count for line in lines), sum(line.seconds for line in lines)
    held = LoopHolds(workers=workers, looks=looks, late=late, contended=0.0, lines=lines)
    return trial().model_copy(update={"held": held})


def changed(**changes: Any) -> HoldingLine:
    return LINE.model_copy(update=changes)


class Loaded:
    """A server under the load of a few users."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def held(self, path: str, users: int, seconds: float = 0.8) -> tuple[Trial, int]:
        """What held its loops while users requested a path, and how many were answered."""
        answered = []
        begun = perf_counter()

        def user() -> None:
            connection = HTTPConnection("127.0.0.1", self.server.port, timeout=10)
            while perf_counter() < begun + seconds:
                connection.request("GET", path)
                answered.append(connection.getresponse().read())
            connection.close()

        threads = [Thread(target=user) for _ in range(users)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        ended = perf_counter()
        found = LoopHolds.of(self.server.held(begun, ended))
        return trial().model_copy(update={"held": found, "window": ended - begun}), len(answered)


@pytest.fixture(scope="module", params=[("uvloop", 2), ("asyncio", 1)], ids=["uvloop", "asyncio"])
def loaded(request: pytest.FixtureRequest, environment: ServingEnvironment) -> Iterator[Loaded]:
    loop, workers = request.param
    arm = app("create_app", "holding", serving=Serving(loop=loop, workers=workers))
    with Server(arm, environment, "1.holding") as server:
        sleep(0.2)  # the watchdogs measure how late their loops are without load
        yield Loaded(server)


def test_the_line_that_waits_is_named_with_its_call_and_its_route(loaded: Loaded) -> None:
    found, answered = loaded.held("/waits/7", 8)
    (first, *_) = holders([found])
    assert (Path(first.shown).name, first.what, first.route) == (
        "holding.py",
        "time.sleep",
        "GET /waits/{item_id}",
    )
    assert first.own
    assert first.computes is False
    assert found.held is not None
    slept = answered * 0.01 / found.window / found.held.workers
    assert 0.4 * slept < first.part <= 1.0


def test_a_function_that_computes_is_told_as_computing(loaded: Loaded) -> None:
    if loaded.server.arm.serving.workers > 1:
        pytest.skip("two workers share a CPU")
    # Longer: at half of the looks its thread has just come to send an answer, which shows no line.
    (first, *_) = holders([loaded.held("/computes", 4, seconds=2.0)[0]])
    assert (Path(first.shown).name, first.what, first.route) == ("holding.py", "price", "GET /computes")
    assert first.computes is True


def test_nothing_holds_the_loop_of_a_punctual_app_under_load(loaded: Loaded) -> None:
    found, answered = loaded.held("/light", 4)
    assert answered > 100
    assert holders([found]) == ()


def test_servers_without_heartbeats_tell_nothing() -> None:
    assert LoopHolds.of([]) is None
    assert holders([trial()]) == ()
    assert holders([told(LINE), trial()]) == ()


def test_lines_are_pooled_over_rounds_workers_and_routes() -> None:
    other = changed(route="GET /notes", seconds=0.4)
    (found,) = holders([told(LINE, other, workers=2), told(changed(seconds=0.0), workers=2)])
    assert found.part == pytest.approx(0.3)
    assert replace(found, part=0.3) == Holder(
        file="/app/notes/main.py", shown="notes/main.py", line=41, what="requests.get", own=True,
        route="GET /notes/{id}", routes=2, part=0.3, looks=120, computes=False,
    )  # fmt: skip


def test_the_lines_of_many_slices_and_workers_fit_a_record() -> None:
    """Ten slices of eight workers with forty lines each were more, and the round was lost."""
    least, most = changed(seconds=0.1), changed(seconds=0.9)
    lines = [one.model_dump() for one in [*[least] * 20, *[most] * 20]]
    one = {"looks": 40, "late": 0.8, "contended": 0.0, "unplaced": 0.0, "lines": lines}
    found = LoopHolds.of(*[[one] * 8] * 10)
    assert found is not None
    assert (found.workers, found.looks, len(found.lines)) == (8, 3_200, MOST_LINES)
    assert sum(line == most for line in found.lines) == 1_600


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (changed(count=ENOUGH - 1), "seen too seldom"),
        (changed(held=1), "many short callbacks, none of which held the loop"),
        (changed(seconds=0.04), "too little of the time"),
    ],
)
def test_what_was_hardly_seen_is_not_named(line: HoldingLine, why: str) -> None:
    assert holders([told(line)]) == (), why
    assert holders([told(LINE)]) != ()


def test_what_computes_is_one_function_and_not_its_lines() -> None:
    busy = {"call": None, "cpu": 0.4, "over": 0.4, "held": 0, "function": "Basket.price"}
    (found,) = holders([told(changed(seconds=0.5, **busy), changed(line=42, seconds=0.3, **busy))])
    assert (found.line, found.what, found.computes) == (41, "price", True)
    assert found.part == pytest.approx(0.8)


def test_computing_at_lines_that_were_not_seen_was_at_those_that_were() -> None:
    found = told(changed(cpu=0.4, over=0.4, seconds=0.3), changed(line=50, seconds=0.2))
    assert found.held is not None
    more = found.held.model_copy(update={"unplaced": 0.3})
    parts = {one.line: one.part for one in holders([found.model_copy(update={"held": more})])}
    assert parts == {41: pytest.approx(0.6), 50: pytest.approx(0.2)}


def test_neither_is_said_where_the_thread_used_half_of_a_cpu_or_that_is_not_known() -> None:
    assert [one.computes for one in holders([told(changed(cpu=0.3))])] == [None]
    assert [one.computes for one in holders([told(changed(cpu=None))])] == [None]


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Conclusions:
    """A run whose arms are limited by their event loops, which `requests.get` holds."""
    limit = Bottleneck("event-loop", LoopLate(False, 1.21, None, holders([told(LINE)])[0]))
    monkeypatch.setattr(Explanations, "of", lambda *_: (None, (limit,)))
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted())
    return conclude(run, Readings(directory))


def test_the_line_is_said_where_the_event_loop_is_the_limit(limited: Conclusions) -> None:
    said = (
        "async is limited by event-loop: notes/main.py:41 requests.get holds it 80% of the time, waiting "
        "(GET /notes/{id}; 40 samples) (its event loop is blocked and runs 1.21 s late (p90))"
    )
    assert said in card_reason(limited.cards[0])
    (found,) = summary(limited)["verdicts"][0]["bottlenecks"]["async"]
    assert (found["held_by"]["line"], found["held_by"]["part"]) == (41, pytest.approx(0.8))


def test_the_next_step_is_to_take_the_line_off_the_loop() -> None:
    """Of an app by itself: in place of `duel advise`, which would look for the line."""
    (holder,) = holders([told(LINE)])
    assert off_the_loop(holder) == (
        "requests.get (notes/main.py:41) off the event loop, in a second --arm: an async client, or a thread "
        "(`def`, asyncio.to_thread)"
    )


def test_further_routes_are_counted() -> None:
    (holder,) = holders([told(LINE, changed(route="GET /notes", seconds=0.1))])
    limit = Bottleneck("event-loop", LoopLate(False, 1.21, None, holder))
    assert "(GET /notes/{id} and 1 other route; 80 samples)" in limit_text(limit)


def test_a_function_is_called_as_it_is_imported() -> None:
    code = httpx.Client.get.__code__
    place = stacks.Stacked(code, 0, True, code, "httpx._client", None)
    assert stacks.named(place) == "httpx.Client.get"


def test_paths_of_unknown_routes_are_told_without_their_numbers() -> None:
    assert stacks.generalised("/items/17/parts") == "/items/…/parts"
    assert stacks.generalised("/items/0a1b2c3d-aaaa-bbbb-cccc-1234567890ab") == "/items/…"
