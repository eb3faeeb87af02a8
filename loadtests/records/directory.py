"""The directory of a run: `run.json`, and per trial its array files.

Both are written after every trial, so that an interrupted run is readable.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from loadtests.errors import CannotWrite
from loadtests.records.arrays import read_delays, read_heartbeats, read_samples
from loadtests.records.documents import read_document
from loadtests.records.files import check_inside, read_part, reading, sweep, write_whole, writing
from loadtests.records.heartbeats import Heartbeats
from loadtests.records.run import Run
from loadtests.records.samples import Samples
from loadtests.records.trial import ArrayFile, Trial

SCHEMA = "duel-run/2"

RUN_FILE = "run.json"

LARGEST_RUN_FILE = 64 * 2**20

PARTS = ("samples", "logs")
"""The directories of a run, besides that of its report."""

PROOF = "followed"
"""The directory of the run that followed a run's advice, inside it."""

LEAST_ROOM = 16 * 2**20
"""Bytes that must be free before a run starts."""


class RunDirectory:
    """The files of a run. Reading validates everything; writing replaces files atomically.

    The directory itself may be named by a link; nothing inside it is reached through one."""

    def __init__(self, path: Path) -> None:
        self.path = path if not os.path.islink(path) else Path(os.path.realpath(path))

    @classmethod
    def create(cls, parent: Path, run_id: str) -> Self:
        """A new directory; raises CannotWrite."""
        path = parent / run_id
        try:
            parent.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(parent).free
            if free < LEAST_ROOM:
                raise OSError(errno.ENOSPC, f"only {free // 2**20} MiB are free")
            path.mkdir()
            for part in PARTS:
                (path / part).mkdir()
        except OSError as error:
            raise CannotWrite(
                f"cannot create the run directory {path}: {error.strerror or error}",
                hint="choose another place with --out",
            ) from None
        return cls(path)

    def complete(self) -> None:
        """Make the directories of a run that a copy has lost, as archives lose empty ones. Raises
        CannotWrite."""
        for part in PARTS:
            with writing(self.path / part) as path:
                path.mkdir(exist_ok=True)

    def sweep(self) -> None:
        """Remove what is left of files whose writer was killed: a load generator ends with its run."""
        for directory in (self.path, self.path / "samples"):
            sweep(directory)

    @property
    def proof(self) -> RunDirectory | None:
        """The run that followed this run's advice; None where none was started."""
        inner = self.path / PROOF
        return RunDirectory(inner) if os.path.exists(inner / RUN_FILE) else None

    def with_proof(self) -> RunDirectory:
        """A directory for that run, which is empty. Raises CannotWrite."""
        inner = RunDirectory(self.path / PROOF)
        with writing(inner.path) as path:
            # One that was interrupted at once has no records.
            path.mkdir(exist_ok=True)
        inner.complete()
        return inner

    @property
    def whole(self) -> Path:
        """The run that users name: a proof belongs to the run it is in."""
        return self.path.parent if self.path.name == PROOF else self.path

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def report(self) -> Path:
        return self.path / "report"

    def save(self, run: Run) -> None:
        """Replace run.json: a reader sees the old one or the new one, also after a power cut. Raises
        CannotWrite."""
        with writing(self.path / RUN_FILE) as path:
            write_whole(path, run.model_dump_json(by_alias=True, indent=1).encode())

    def load(self) -> Run:
        """The run; raises RecordError for anything that is not a whole, valid one."""
        for inside in (RUN_FILE, *PARTS, "report", PROOF):
            check_inside(self.path, inside)
        return read_document(
            self.path / RUN_FILE, read_part, Run, SCHEMA, LARGEST_RUN_FILE,
            missing="pass a run directory such as runs/20260101-120000-a1b2, as `duel run` printed it",
            other="read it with the version of duel that wrote it",
        )  # fmt: skip

    def samples(self, trial: Trial) -> Samples:
        """The samples of a trial; raises RecordError when they are missing, damaged or not its own."""
        with reading(self.path / trial.files.samples) as path:
            samples = read_samples(path, trial.arrays.samples)
            known = (samples.endpoint < max(1, len(trial.endpoints))) & (samples.error <= len(trial.errors))
            if not known.all():
                raise ValueError("it names endpoints or errors that its trial does not have")
            return check_slices(samples, trial)

    def canary(self, trial: Trial) -> Samples | None:
        """The canary's samples; None where there was none. Raises RecordError."""
        return self._light(trial, trial.files.canary, trial.arrays.canary)

    def pulse(self, trial: Trial) -> Samples | None:
        """The pulse's samples; None where there was none: external servers, one user, and earlier versions.
        Raises RecordError."""
        return self._light(trial, trial.files.pulse, trial.arrays.pulse)

    def _light(self, trial: Trial, name: str, file: ArrayFile | None) -> Samples | None:
        with reading(self.path / name) as path:
            return check_slices(read_samples(path, file), trial) if file is not None else None

    def delays(self, trial: Trial) -> NDArray[np.float64] | None:
        """The delays in seconds that the slow service gave during a trial; None where it was not called.
        Raises RecordError."""
        file = trial.arrays.delays
        with reading(self.path / trial.files.delays) as path:
            return read_delays(path, file) if file is not None else None

    def heartbeats(self, trial: Trial) -> Heartbeats | None:
        """The server's heartbeats; None where there were none. Raises RecordError."""
        file = trial.arrays.heartbeats
        with reading(self.path / trial.files.heartbeats) as path:
            return read_heartbeats(path, file) if file is not None else None


def check_slices(samples: Samples, trial: Trial) -> Samples:
    """The samples. Raises ValueError where they are of slices that their trial does not have."""
    if samples.slice is None:
        if len(trial.slices) > 1:
            raise ValueError("it does not say which slice a request was made in")
    elif int(samples.slice.max(initial=0)) >= len(trial.slices):
        raise ValueError("it names slices that its trial does not have")
    return samples
