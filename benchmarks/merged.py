"""Several runs of one machine as one run: what was measured again takes the place of what was there."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from loadtests.records import Calibration, Run, RunDirectory

FILES = (".npz", ".vitals.npz", ".canary.npz", ".delays.npy")
"""Endings of a trial's files."""
APART = 10_000
"""Between the numbers of two runs' trials."""


def merged(paths: Sequence[Path], left_out: Collection[str], at: Path) -> RunDirectory:
    """A run in the directory `at`, without the cells of these keys (`ping@64`); its files link to theirs.
    A cell's trials come from one run, so that its rounds stay whole.

    Raises RecordError, and ValueError for runs that differ in more than their cells.
    """
    runs = [RunDirectory(path).load() for path in paths]
    first = runs[0]
    for run in runs:
        if (run.plan.arms, run.plan.margin, run.plan.level) != (
            first.plan.arms, first.plan.margin, first.plan.level
        ) or run.machine != first.machine:  # fmt: skip
            raise ValueError(f"{run.id} and {first.id} differ in more than their cells")
    origin = {
        cell: number for number, run in enumerate(runs) for cell in run.plan.cells if cell.key not in left_out
    }
    (at / "samples").mkdir(parents=True)
    trials = []
    for number, (path, run) in enumerate(zip(paths, runs, strict=True)):
        for trial in run.trials:
            if origin.get(trial.cell) != number:
                continue
            moved = trial.model_copy(update={"number": trial.number + number * APART})
            for ending in FILES:
                source = path / "samples" / f"{trial.number:04d}{ending}"
                if source.exists():
                    os.link(source, at / "samples" / f"{moved.number:04d}{ending}")
            trials.append(moved)
    directory = RunDirectory(at)
    directory.save(
        first.model_copy(
            update={
                "id": " and ".join(run.id for run in runs),
                "plan": first.plan.model_copy(update={"cells": tuple(origin)}),
                "trials": tuple(trials),
                "elapsed": sum(run.elapsed for run in runs),
                "calibrations": calibrations(runs),
                "ceilings": {name: rate for run in runs for name, rate in run.ceilings.items()},
                "refused": {cell: why for run in runs for cell, why in run.refused.items()},
            }
        )
    )
    return directory


def calibrations(runs: Sequence[Run]) -> tuple[Calibration, ...]:
    """Of all runs, the last where there are several."""
    found = {(one.arm, one.scenario, one.users): one for run in runs for one in run.calibrations}
    return tuple(found.values())
