"""Whether verdicts are right: `make bars-long`.

Twenty cells of an app against itself: at most three false differences, and a median half-width within the
margin. Then 10% more CPU work planted in twenty cells: at least sixteen found, and the true ratio, from a
longer run, inside at least seventeen of the intervals.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence

from benchmarks.duels import RUNS, as_figures, duel, write
from loadtests.measure.rounds import carry_out
from loadtests.measure.runs import begin
from loadtests.plan.arms import BUILT_IN, Arm
from loadtests.plan.cells import Cell, Load
from loadtests.plan.plan import Plan
from loadtests.records.run import Run
from reports.analysis.readings import Readings
from reports.analysis.verdicts import Verdict, verdicts
from reports.conclusions import decided
from reports.wording import sentences

SAME = (
    "users.read", "users.list", "users.create", "users.update", "posts.read", "posts.list", "posts.create",
    "posts.replace", "posts.update", "pages.home", "pages.post", "ping", "sleep", "upstream", "fan-out",
    "file", "python", "crunch", "checkout", "mixed",
)  # fmt: skip
LEVELS = tuple(range(8, 48, 2))
KNOWN = "loadtests.measure.known_answers.apps"


def measured(arms: Sequence[Arm], cells: Sequence[tuple[str, int]]) -> tuple[Run, list[Verdict]]:
    """The primary verdicts of a run that stops each cell when it is decided, as `duel run` does."""
    plan = Plan(
        profile="benchmark", seed=1, arms=tuple(arms),
        cells=tuple(Cell(scenario=scenario, load=Load(users=users)) for scenario, users in cells),
        canary="/ping", warmup=0.5, window=1.5, min_rounds=4, max_rounds=20,
    )  # fmt: skip
    run, directory = begin(plan, RUNS)
    readings = Readings(directory)
    run = carry_out(run, directory, lambda run: decided(run, readings))
    found = [verdict for verdict in verdicts(run, readings) if verdict.primary]
    for verdict in found:
        print(sentences.sentence(verdict, run.plan), flush=True)
    return run, found


def same() -> bool:
    """An app against itself."""
    arms = [Arm(name=name, app=BUILT_IN["async"].app) for name in ("one", "other")]
    run, found = measured(arms, [(scenario, 16) for scenario in SAME])
    false = [verdict for verdict in found if verdict.verdict in ("faster", "slower")]
    widths = [(v.high / v.low) ** 0.5 - 1.0 for v in found if v.low is not None and v.high is not None]
    width = statistics.median(widths)
    met = len(false) <= 3 and width <= run.plan.margin and len(widths) == len(SAME)
    print(f"{len(false)} of {len(found)} false differences, median half-width {width:.1%} ({word(met)})")
    write("trust-same", run, {"false": len(false), "half_width": width, "figures": as_figures(found)})
    return met


def planted() -> bool:
    """10% more CPU work."""
    arms = [Arm(name="short", app=f"{KNOWN}:short"), Arm(name="long", app=f"{KNOWN}:tenth_longer")]
    _, truths = duel(arms, [("ping", 16)], 20, window=3.0, seed=7)
    truth = truths[0].ratio or 0.0
    run, found = measured(arms, [("ping", users) for users in LEVELS])
    right = sum(verdict.verdict == "slower" for verdict in found)
    inside = sum((v.low or 0.0) <= truth <= (v.high or 0.0) for v in found)
    met = right >= 16 and inside >= 17
    print(f"{right} of {len(found)} found, ×{truth:.3f} inside {inside} intervals ({word(met)})")
    write(
        "trust-planted", run, {"truth": truth, "found": right, "inside": inside, "figures": as_figures(found)}
    )
    return met


def word(met: bool) -> str:
    return "met" if met else "MISSED"


def main() -> None:
    parts = {"same": same, "planted": planted}
    chosen = sys.argv[1:] or list(parts)
    results = [parts[name]() for name in chosen]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
