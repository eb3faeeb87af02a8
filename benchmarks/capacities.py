"""Are highest rates found, and how precisely in the time that a search may take? On queues whose truth is a
simulation's: gates of 200 and 400 requests per second, and forty threads that wait 50 ms each; then a target
that nothing meets, and one that is beyond the load generator.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.duels import write
from loadtests.measure.capacity.planning import capacity_plan
from loadtests.measure.capacity.search import search
from loadtests.measure.known_answers.apps import GATE, THREADS, WAIT
from loadtests.measure.runs import begin
from loadtests.plan.settings import RunSettings
from loadtests.records.run import Run
from reports.analysis.capacity.searches import ArmSearch
from reports.analysis.readings import Readings
from reports.capacities import Capacities, find, locating
from reports.wording.capacity import search_headline, search_lines
from tests.queues import carried, gated, threaded

APPS = "loadtests.measure.known_answers.apps"

SHARE = 0.01


@dataclass(frozen=True)
class KnownSearch:
    """A search whose answer is known."""

    name: str
    arms: dict[str, float | str]
    """By app, requests per second, or the word that the search must end with."""
    target: str
    highest: float


def known() -> list[KnownSearch]:
    gate, wide = carried(SHARE), carried(SHARE, 2.0 * GATE, partial(gated, gate=2.0 * GATE))
    pool = carried(SHARE, THREADS / WAIT, partial(threaded, threads=THREADS, wait=WAIT))
    return [
        KnownSearch("gates", {"gate": gate, "wide_gate": wide}, "p(99)<100", 2_000.0),
        KnownSearch("threads", {"threads": pool}, "p(99)<100", 2_000.0),
        KnownSearch("never", {"gate": "never"}, "p(99)<10", 2_000.0),
        KnownSearch("beyond", {"wide_gate": "beyond"}, "p(99)<100", 100.0),
    ]


def searched(one: KnownSearch, seed: int) -> tuple[Run, Capacities, float]:
    """What a search finds, and how many seconds it took."""
    arms = tuple(f"{app}={APPS}:{app}" for app in one.arms)
    settings = RunSettings(scenario=("ping",), arm=arms, seed=seed)
    run, directory = begin(
        capacity_plan(settings, {"target": one.target, "highest": one.highest}), Path("runs")
    )
    began = time.perf_counter()
    run = search(run, directory, locating(run, directory))
    return run, find(run, Readings(directory)), time.perf_counter() - began


def compared(seen: ArmSearch, truth: float | str) -> dict[str, Any]:
    """What was found, beside the truth; `off` as a logarithm."""
    off = math.log(seen.rate / truth) if isinstance(truth, float) and seen.rate else None
    inside = None
    if isinstance(truth, float) and seen.interval is not None:
        inside = seen.interval.low <= truth <= seen.interval.high
    return {"truth": truth, "word": seen.word, "rate": seen.rate, "off": off, "inside": inside}


def main() -> None:
    figures = []
    for one in known():
        run, found, took = searched(one, seed=1)
        print(f"{one.name}, {took:.0f} s: {search_headline(found, 'ping')}")
        for line in search_lines(found, "ping"):
            print(f"  {line}")
        for seen, truth in zip(found.searches, one.arms.values(), strict=True):
            figure = compared(seen, truth)
            print(f"  {seen.arm}: {figure}")
            figures.append({"search": one.name, "arm": seen.arm, "seconds": took, **figure})
    write("capacities", run, {"searches": figures})


if __name__ == "__main__":
    main()
