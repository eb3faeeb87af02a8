"""What is in force on the servers, not what the arms asked for."""

from __future__ import annotations

import math
import time
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from loadtests.errors import PlanError
from loadtests.measure import opening
from loadtests.measure.in_force import check_in_force, in_force, reported
from loadtests.measure.watcher import SILENT
from loadtests.plan.arms import Arm, Serving
from loadtests.records import Heartbeats, InForce, Run
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from reports.advice.caveats import ThreadsOverruled, caveats
from reports.advice.notes import ThreadsUntried
from reports.analysis.bounds import bounds, known
from reports.wording.advice.cards import note_text
from reports.wording.advice.caveats import caveat_text
from reports.wording.plans import in_force_text
from tests import scripted
from tests.scripted import Scripted
from tests.serving import app, get


def test_the_limit_of_every_worker_is_read_from_the_running_server(environment: ServingEnvironment) -> None:
    """As the app has set it: at its start, and later."""
    with Server(app("limiting", "starting", serving=Serving(workers=2)), environment, "if.1") as server:
        uvicorn = f"uvicorn {version('uvicorn')}"
        assert in_force(server) == InForce(workers=2, threads=12, server=uvicorn)
        later = InForce(workers=2, threads=7, server=uvicorn)
        deadline = time.monotonic() + 20
        while in_force(server) != later and time.monotonic() < deadline:
            get(server.url)
        assert in_force(server) == later


def heartbeats(**columns: tuple[float, ...]) -> Heartbeats:
    """One beat of each worker, 0 where nothing is told."""
    n = len(next(iter(columns.values())))
    return Heartbeats(**{one.name: np.array(columns.get(one.name, (0.0,) * n)) for one in fields(Heartbeats)})


@pytest.mark.parametrize(
    ("tokens", "pool", "found"),
    [
        ((40.0,), (15.0,), InForce(workers=1, threads=40, pool=15)),
        # A worker whose first request has set the limit, and one that has had none.
        ((7.0, 40.0), (math.nan, math.nan), InForce(workers=2, threads=7)),
        ((math.inf,), (math.inf,), InForce(workers=1)),
    ],
)
def test_tokens_and_connections_are_those_of_the_last_heartbeats(
    tokens: tuple[float, ...], pool: tuple[float, ...], found: InForce
) -> None:
    assert reported(heartbeats(tokens=tokens, pool=pool)) == found


@pytest.mark.parametrize(
    ("asked", "threads", "refused"),
    [(5, 100, True), (5, None, True), (5, 5, False), (40, 100, False), (100, 40, True)],
)
def test_a_number_of_threads_that_has_no_effect_is_refused(
    asked: int, threads: int | None, refused: bool
) -> None:
    """40 is what an arm has that asks for nothing."""
    arm = Arm(name=f"a-threads-{asked}", app="a:b", serving=Serving(threads=asked))
    check_in_force([arm], arm, None)
    if not refused:
        check_in_force([arm], arm, InForce(workers=1, threads=threads))
        return
    with pytest.raises(PlanError, match=f"asks for threads={asked}, and its app runs with") as caught:
        check_in_force([arm], arm, InForce(workers=1, threads=threads))
    assert "env.KEY" in caught.value.hint


def test_the_first_arm_of_a_sweep_tells_it_for_all() -> None:
    """Except for those of another app, or in another environment, which may set another limit."""
    first = Arm(name="a-threads-40", app="a:b")
    few = first.model_copy(update={"name": "few", "serving": Serving(threads=5)})
    others = (few.model_copy(update={"env": {"LIMIT": "5"}}), few.model_copy(update={"app": "c:d"}))
    overruled, in_effect = InForce(workers=1, threads=100), InForce(workers=1, threads=40)
    check_in_force([first, *others], first, overruled)
    check_in_force([first, few], first, in_effect)
    with pytest.raises(PlanError, match="'few' asks for threads=5"):
        check_in_force([first, few], first, overruled)


def planned(tmp_path: Path, *arms: Arm, **found: InForce) -> Run:
    plan = scripted.plan().model_copy(update={"arms": arms})
    run, _ = scripted.run(tmp_path, plan, lambda *_: Scripted(), rounds=0)
    return run.model_copy(update={"in_force": found})


def test_a_run_refuses_it_before_its_calibration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = planned(tmp_path, *(Arm(name=f"a-{n}", app="a:b", serving=Serving(threads=n)) for n in (40, 5)))
    server: Any = SimpleNamespace(arm=run.plan.arms[0])
    bench: Any = SimpleNamespace(environment=SimpleNamespace(database_version=None))
    monkeypatch.setattr(opening, "compare_answers", lambda *given: given[-1](server))
    monkeypatch.setattr(opening, "in_force", lambda _: InForce(workers=1, threads=100))
    with pytest.raises(PlanError, match="'a-5' asks for threads=5"):
        opening.prepared(run, bench, SILENT)


def test_reports_name_the_limit_in_force(tmp_path: Path) -> None:
    one, two = Arm(name="one", app="a:b"), Arm(name="two", app="a:b")
    run = planned(tmp_path, one, two, one=InForce(workers=1, threads=100))
    assert (run.threads("one"), run.threads("two")) == (100, 40)
    (cell,) = run.plan.cells
    assert known(run, cell, "one").threads == 100
    (found,) = [seen for seen in caveats(run, []) if isinstance(seen, ThreadsOverruled)]
    assert caveat_text(found).startswith("one (100, not 40): the app sets AnyIO's thread limit itself")
    note = note_text(ThreadsUntried("one", 100.0, by_app=True))
    assert note == "not tried: more than 100 threads for one (its app sets that number itself)"


def test_threads_without_a_limit_bound_nothing(tmp_path: Path) -> None:
    one, two = Arm(name="one", app="a:b"), Arm(name="two", app="a:b")
    run = planned(tmp_path, one, two, one=InForce(workers=1))
    assert math.isinf(run.threads("one"))
    assert not [
        bound for bound in bounds(known(run, run.plan.cells[0], "one")) if math.isinf(bound.throughput)
    ]
    assert in_force_text(run.in_force["one"]) == "1 worker with threads without a limit"


def test_the_server_and_the_http_client_are_said_in_words() -> None:
    said = in_force_text(InForce(workers=1, threads=40, server="granian 2.8.9", client="httpx2"))
    assert said == "1 worker of granian 2.8.9 with 40 threads; HTTP client httpx2"


def test_what_is_in_force_is_said_in_words() -> None:
    said = in_force_text(InForce(workers=2, threads=40, pool=15))
    assert said == "2 workers, each with 40 threads and up to 15 database connections"
