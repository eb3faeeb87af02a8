"""What runs leave out in tests of what they do, not of how fast they are; see commands.py. As a program,
`duel` without these: `python -P tests/brisk.py run …`.

Calibrations are very short, the twins are asked a few of the fixed questions, every trial counts (so that
other tests can run in parallel), reports have no charts, and the data is a copy of what the tests have built
once. Invalid trials, charts and the whole comparison have their own tests, which leave these as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from shutil import copytree
from typing import Any

import cli
from loadtests.measure import bench, opening, rounds
from loadtests.measure.answers.questions import QUESTIONS, fixed_questions
from loadtests.measure.prospects import feasibility
from loadtests.measure.trials import trial
from loadtests.plan import building
from loadtests.plan.plan import CalibrationTimes, Plan
from loadtests.serving import environment
from loadtests.serving.databases.run_databases import Databases

Put = Callable[[object, str, Any], None]

FEW = tuple(one for one in QUESTIONS if one.path.startswith(("/openapi.json", "/users", "/services")))
"""What runs of the twins compare here: reads, writes and errors, with and without Redis. Others cost more:
one starts a pool of processes. `duel check` and the tests of the twins ask them all."""


def put(owner: object, name: str, value: Any) -> None:
    """Replace an attribute; fails if it does not exist, since patching a renamed one would have no effect."""
    getattr(owner, name)
    setattr(owner, name, value)


def ask_few(put: Put = put) -> None:
    """Ask the twins a few questions before their runs."""
    put(opening, "fixed_questions", lambda arms: FEW if fixed_questions(arms) else ())


def hurry(put: Put = put) -> None:
    """Shorten calibrations and ceilings in plans that are built from now on, and take each once; ask few
    questions."""
    short = CalibrationTimes(warmup=0.02, window=0.05, turns=1, ceiling=0.05)
    put(Plan.model_fields["calibration"], "default", short)
    Plan.model_rebuild(force=True)
    take_preparations_once(put)
    ask_few(put)


def count_every_trial(put: Put = put) -> None:
    """Find no faults, regardless of other work on this machine."""
    put(trial, "faults", lambda *_: ())
    take_preparations_once(put)


def take_preparations_once(put: Put = put) -> None:
    """Find no faults in calibrations and ceilings, which are taken again otherwise; start plans that are too
    short to decide anything; and plan no proofs."""
    put(feasibility, "check_conclusive", lambda _: None)
    # The advice is followed for minutes.
    put(building, "with_proof", lambda plan, _: plan)
    for rules in ("calibration_faults", "ceiling_faults"):
        put(bench, rules, lambda *_: ())


def copy_data(seeded: Path, put: Put = put) -> None:
    """Copy the seeded SQLite data in place of building it for every run; `seeded`: where it was built."""
    build = environment.seed

    def seed(directory: Path, databases: Databases | None = None) -> None:
        if databases is None:
            copytree(seeded, directory)
        else:
            build(directory, databases)

    put(environment, "seed", seed)


def leave_data_out(put: Put = put) -> None:
    """Seed no data, for arms that need none."""
    put(environment, "seed", lambda directory, *_: directory.mkdir())


def leave_charts_out(put: Put = put) -> None:
    """Draw no charts: they take most of a report's time."""
    carry_out = rounds.carry_out

    def carried_out(*arguments: Any, **named: Any) -> Any:
        run = carry_out(*arguments, **named)
        # Not earlier: an interrupted run needs none of these imports.
        put(import_module("reports.render.report_directory"), "charts", lambda _: ())
        return run

    put(rounds, "carry_out", carried_out)


if __name__ == "__main__":
    hurry()
    count_every_trial()
    leave_charts_out()
    cli.main()
