"""Several runs on one machine, merged: cells measured again replace the earlier ones."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from loadtests.records.directory import PROOF, RunDirectory
from loadtests.records.run import Calibration, Run

APART = 10_000
"""Offset between the trial numbers of two runs."""


def merged(paths: Sequence[Path], left_out: Collection[str], at: Path) -> RunDirectory:
    """Write the merged run to `at`, without the cells of these keys (`ping@64`); sample files are hard links.
    All trials of a cell come from one run, so that its rounds stay complete. The proof is the last run's that
    has one.

    Raises RecordError, and ValueError for runs that differ in more than their cells.
    """
    runs = [RunDirectory(path).load() for path in paths]
    first = runs[0]
    for run in runs:
        if (run.plan.arms, run.plan.margin, run.plan.alpha) != (
            first.plan.arms, first.plan.margin, first.plan.alpha
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
            for kind, _ in trial.arrays:
                if getattr(trial.arrays, kind) is not None:
                    os.link(path / getattr(trial.files, kind), at / getattr(moved.files, kind))
            trials.append(moved)
    directory = RunDirectory(at)
    proofs = [proof for path in paths if (proof := RunDirectory(path).proof) is not None]
    if proofs:
        shutil.copytree(proofs[-1].path, at / PROOF)
    directory.save(
        first.model_copy(
            update={
                "id": " and ".join(run.id for run in runs),
                "plan": first.plan.model_copy(update={"cells": tuple(origin)}),
                "trials": tuple(trials),
                "elapsed": sum(run.elapsed for run in runs),
                "calibrations": calibrations(runs),
                "ceilings": tuple(one for run in runs for one in run.ceilings),
                "refused": {cell: why for run in runs for cell, why in run.refused.items()},
            }
        )
    )
    return directory


def calibrations(runs: Sequence[Run]) -> tuple[Calibration, ...]:
    """The value of the last run that has one."""
    found = {(one.arm, one.scenario, one.users): one for run in runs for one in run.calibrations}
    return tuple(found.values())
