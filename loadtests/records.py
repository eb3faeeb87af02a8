"""The records of a run: types and files. A report needs nothing but these.

A run is a directory: `run.json` (schema `duel-run/1`) and, per trial, `samples/NNNN.npz` with one row
per request. Both are written after every trial, so that an interrupted run is a readable one.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from loadtests.plan import Arm, Cell, Frozen, Line, Load, Metric, Plan, Serving, one_line

__all__ = [
    "Arm", "Beats", "Calibration", "CannotWrite", "Cell", "Frozen", "Line", "Load", "Machine", "Metric",
    "Plan", "RecordError", "Run", "RunDirectory", "Samples", "Serving", "Trial", "Vitals", "blamed",
    "one_line", "read_document",
]  # fmt: skip

Amount = Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)]
"""What is counted or timed: never negative, nor beyond all bounds."""

SCHEMA = "duel-run/1"
RUN_FILE = "run.json"
LARGEST_RUN_FILE = 256 * 2**20
LARGEST_SAMPLES = 2**31
LEAST_ROOM = 16 * 2**20
"""Bytes that must be free before a run is begun."""
NPY = re.compile(
    rb"\x93NUMPY\x01\x00.."
    rb"\{'descr': '(?P<type>[<|]\w{2})', 'fortran_order': False, 'shape': \((?P<length>\d{1,12}),\), \} *\n",
    re.DOTALL,
)
"""The head of a list of numbers, as numpy writes it (numpy.lib.format, version 1.0)."""
DAMAGE = (
    OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, struct.error, RuntimeError,
    NotImplementedError, OverflowError, MemoryError, SyntaxError, TypeError,
)  # fmt: skip
"""What numpy and zipfile raise for files that are damaged in one way or another."""


class RecordError(Exception):
    """A run that cannot be read or written: the message says which file and why."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class CannotWrite(RecordError):
    """There is no writing where the run or its report should go."""


@dataclass(frozen=True)
class Samples:
    """One row per request of a trial, warm-up and drain included. Times are seconds from the window's
    start."""

    endpoint: NDArray[np.uint16]
    """Index into the trial's endpoints."""
    due: NDArray[np.float64]
    """When the request was to be made: its start, or in an open loop its place in the schedule."""
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    status: NDArray[np.uint16]
    """HTTP status; 0 where there was no answer."""
    size: NDArray[np.uint32]
    """Bytes of the body."""
    error: NDArray[np.uint16]
    """0 for success, else 1 + index into the trial's errors."""

    @classmethod
    def none(cls) -> Self:
        """No requests at all."""
        return cls(**{name: np.zeros(0, dtype=kind) for name, kind in SAMPLE_TYPES.items()})

    def __len__(self) -> int:
        return len(self.start)

    @property
    def ok(self) -> NDArray[np.bool_]:
        result: NDArray[np.bool_] = self.error == 0
        return result

    @property
    def response_time(self) -> NDArray[np.float64]:
        """Seconds from the moment when the request was due to the end."""
        return self.end - self.due

    @property
    def service_time(self) -> NDArray[np.float64]:
        """Seconds from the actual start to the end."""
        return self.end - self.start


@dataclass(frozen=True)
class Beats:
    """One row per heartbeat of a server's event loop, 20 a second in each worker, from shortly before
    the window to shortly after it. Seconds; NaN where there is nothing to tell. From `cpu` on, the
    columns are totals since the worker began."""

    worker: NDArray[np.float64]
    """Counted from 0."""
    due: NDArray[np.float64]
    """When the beat was due, from the window's start."""
    lag: NDArray[np.float64]
    """How late it came."""
    tasks: NDArray[np.float64]
    """asyncio's tasks that are not done, one or more a request until all its work is; at some beats."""
    tokens: NDArray[np.float64]
    """Thread tokens of AnyIO's limiter."""
    borrowed: NDArray[np.float64]
    queued: NDArray[np.float64]
    """Tasks waiting for a token."""
    pool: NDArray[np.float64]
    """Connections that SQLAlchemy's pools may hold."""
    checked_out: NDArray[np.float64]
    pool_queued: NDArray[np.float64]
    """Requests for a connection that are not answered yet."""
    cpu: NDArray[np.float64]
    loop_cpu: NDArray[np.float64]
    """CPU time of the thread that the event loop runs on."""
    gc: NDArray[np.float64]
    """Time in garbage collections."""
    switches: NDArray[np.float64]
    """Context switches of all threads."""
    hops: NDArray[np.float64]
    """Calls handed to AnyIO's worker threads."""
    pool_wait: NDArray[np.float64]
    """Time spent asking for connections."""
    statements: NDArray[np.float64]
    """SQL statements that take no lock, one in eight of them."""
    statement_time: NDArray[np.float64]
    locks: NDArray[np.float64]
    """SQL statements that may wait for a lock: those that write, or say that they will."""
    lock_time: NDArray[np.float64]

    @classmethod
    def of(cls, workers: Sequence[Sequence[Sequence[float]]], opened: float) -> Self:
        """From what a server tells: for every worker rows of all columns but the first, with `due` on
        perf_counter's clock, on which the window opened at `opened`."""
        names = [field.name for field in fields(cls)]
        rows = [(number, row[0] - opened, *row[1:]) for number, told in enumerate(workers) for row in told]
        table = np.array(rows, dtype=np.float64).reshape(-1, len(names))
        return cls(**{name: table[:, column] for column, name in enumerate(names)})

    def __len__(self) -> int:
        return len(self.due)

    def spent(self, total: str, seconds: float) -> float | None:
        """How much a running total of all workers grew from the window's start on; None where a worker
        does not tell. Between two beats it is taken to grow evenly."""
        column: NDArray[np.float64] = getattr(self, total)
        at = self.due + self.lag
        grown = 0.0
        for worker in np.unique(self.worker):
            mine = (self.worker == worker) & np.isfinite(column)
            if int(mine.sum()) < 2:
                return None
            start, end = np.interp([0.0, seconds], at[mine], column[mine])
            grown += float(end - start)
        return grown if len(self) else None


class Calibration(Frozen):
    """One arm under a few users of one scenario, for a moment before the rounds."""

    arm: Line
    scenario: Line
    users: int
    throughput: Amount
    """Successful requests per second."""
    service_time: Amount | None = None
    """Mean seconds of a successful request; None where none was answered."""
    cpu: Amount | None = None
    """CPU seconds of the server per request, its children left out."""
    hops: Amount | None = None
    """Calls handed to worker threads per request."""
    lag: Amount | None = None
    """Seconds by which nine in ten heartbeats were late at most."""


class Vitals(Frozen):
    """What the processes did during the window. None where the platform does not tell."""

    server_cpu: Amount | None = None
    """CPU seconds of the server and its children."""
    server_rss: int | None = None
    """Bytes of resident memory at the window's end."""
    server_threads: int | None = None
    """Threads at the window's end."""
    generator_cpu: Amount
    """CPU seconds of the load generator."""
    generator_lag: Amount | None = None
    """Seconds by which nine in ten of the generator's own timers were late at most."""
    host_steal: Amount | None = None
    """Part of the host's CPU time that other guests took, 0 to 1."""
    host_foreign: Amount | None = None
    """CPUs' worth of work by processes that are not ours."""


class Trial(Frozen):
    """One arm in one cell in one round."""

    number: Annotated[int, Field(ge=1)]
    round: Annotated[int, Field(ge=0)]
    """Counted from 0."""
    place: Annotated[int, Field(ge=0)]
    """The arm's place in this round's order, from 0."""
    attempt: Annotated[int, Field(ge=1)] = 1
    cell: Cell
    arm: Line
    began: Line
    """Wall clock, ISO 8601 in UTC."""
    boot: Amount
    """Seconds until the server answered."""
    warmup: Amount
    window: Annotated[Amount, Field(gt=0)]
    """Seconds that the window really lasted."""
    drain: Amount
    endpoints: tuple[Line, ...]
    errors: tuple[Line, ...] = ()
    """Kinds of failure, as the samples number them."""
    arrivals: int | None = None
    """Requests that were due in the window; None in a closed loop."""
    dropped: int | None = None
    """Those of them that were never made, since all users still waited: the server fell behind."""
    lost: int = 0
    """Load generators that ended while they were needed."""
    restarted: bool = False
    """Whether another server had taken the place of one that we do not serve."""
    client: Line | None = None
    """The kind of Locust user that made the load; None in runs from before it was told."""
    thinks: bool = False
    """Whether the scenario's users wait between two requests."""
    vitals: Vitals
    invalid: tuple[Line, ...] = ()
    """Why the measurement does not count; empty when it does."""

    @property
    def samples_file(self) -> str:
        return f"samples/{self.number:04d}.npz"

    @property
    def beats_file(self) -> str:
        return f"samples/{self.number:04d}.vitals.npz"

    @property
    def canary_file(self) -> str:
        return f"samples/{self.number:04d}.canary.npz"


BLAMED_ON_THE_HOST = ("other guests", "other processes")


def blamed(fault: str) -> Literal["generator", "host"]:
    """What a reason for which a trial does not count, as validity.py words it, is the fault of."""
    return "host" if fault.startswith(BLAMED_ON_THE_HOST) else "generator"


class Machine(Frozen):
    """What was measured on, as far as it can matter."""

    system: Line
    cpu: Line
    cores: Annotated[int, Field(ge=1, le=100_000)]
    memory: int | None
    python: Line
    packages: Mapping[Line, Line]
    database: Line | None = None
    """Name and version of the database that the twin apps used; None before the first trial."""
    placement: Mapping[str, tuple[int, ...]]
    """CPUs of `server` and `generator`; empty where processes cannot be bound to CPUs."""


class Attempts(NamedTuple):
    """Trials, and the same by cell and arm."""

    trials: tuple[Trial, ...]
    by_cell: Mapping[tuple[Cell, str], tuple[Trial, ...]]


class Run(Frozen):
    """All rounds of a plan, with the machine's fingerprint."""

    format: Annotated[Literal["duel-run/1"], Field(alias="schema")] = "duel-run/1"
    version: Line
    id: Line
    began: Line
    plan: Plan
    machine: Machine
    answers_compared: int | None = None
    """Requests that all arms answered alike before any load; None where nothing can be compared."""
    calibrations: tuple[Calibration, ...] = ()
    refused: Mapping[Line, Line] = {}
    """By the key of a cell, why it was not measured: it cannot fit the time."""
    ceilings: Mapping[Line, Amount] = {}
    """By scenario, the requests a second that the generator made of a server that does nothing."""
    complete: bool = False
    """Whether the plan was carried through; an interrupted run is not."""
    elapsed: Amount = 0.0
    """Seconds of measuring so far."""
    trials: tuple[Trial, ...] = ()

    @cached_property
    def attempts(self) -> Attempts:
        """The trials by cell and arm: a report asks for them thousands of times."""
        found: dict[tuple[Cell, str], list[Trial]] = {}
        for trial in self.trials:
            found.setdefault((trial.cell, trial.arm), []).append(trial)
        return Attempts(self.trials, {key: tuple(mine) for key, mine in found.items()})

    def of(self, cell: Cell, arm: str) -> tuple[Trial, ...]:
        """Every attempt of an arm in a cell, in the order of rounds."""
        # A copy with other trials has taken them along.
        if self.attempts.trials is not self.trials:
            del self.attempts
        return self.attempts.by_cell.get((cell, arm), ())

    def calibration(self, arm: str, scenario: str, users: int) -> Calibration | None:
        """What so many users saw before the rounds; None where that was not measured."""
        found = (c for c in self.calibrations if (c.arm, c.scenario, c.users) == (arm, scenario, users))
        return next(found, None)

    def with_trial(self, trial: Trial, elapsed: float) -> Self:
        return self.model_copy(update={"trials": (*self.trials, trial), "elapsed": elapsed})


class RunDirectory:
    """Where a run lives. Reading trusts nothing; writing replaces files whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, parent: Path, run_id: str) -> Self:
        """A new directory; raises CannotWrite."""
        path = parent / run_id
        try:
            parent.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(parent).free
            if free < LEAST_ROOM:
                raise OSError(errno.ENOSPC, f"only {free // 2**20} MiB are left there")
            (path / "samples").mkdir(parents=True, exist_ok=False)
            (path / "logs").mkdir()
        except OSError as error:
            raise CannotWrite(
                f"cannot create the run directory {path}: {error.strerror or error}",
                hint="choose another place with --out",
            ) from None
        return cls(path)

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
        for inside in ("", RUN_FILE, "samples", "logs", "report"):
            check_inside(self.path, inside)
        return read_document(
            self.path / RUN_FILE, Run, SCHEMA, LARGEST_RUN_FILE,
            missing="pass a run directory such as runs/20260101-120000-a1b2, as `duel run` printed it",
            other="read it with the version of duel that wrote it",
        )  # fmt: skip

    def samples(self, trial: Trial) -> Samples:
        """The samples of a trial; raises RecordError when they are missing or damaged."""
        with reading(self.path / trial.samples_file) as path:
            return read_samples(path)

    def canary(self, trial: Trial) -> Samples | None:
        """The canary's samples; None where there was none. Raises RecordError when they are damaged."""
        with reading(self.path / trial.canary_file) as path:
            return read_samples(path) if path.exists() else None

    def delays(self, trial: Trial) -> NDArray[np.float64] | None:
        """The delays in seconds that the slow service gave during a trial; None where it was not called.
        Raises RecordError when they are damaged."""
        with reading(self.path / f"samples/{trial.number:04d}.delays.npy") as path:
            return read_delays(path) if path.exists() else None

    def beats(self, trial: Trial) -> Beats | None:
        """The server's heartbeats; None where there were none. Raises RecordError when they are damaged."""
        with reading(self.path / trial.beats_file) as path:
            return read_beats(path) if path.exists() else None


Document = TypeVar("Document", bound=Frozen)


def read_document(
    path: Path, kind: type[Document], schema: str, largest: int, missing: str, other: str
) -> Document:
    """A JSON file of a schema of ours; trusts nothing. `missing` and `other` are the hints for a file that is
    not there and for one of another schema. Raises RecordError."""
    what = kind.__name__.lower()
    try:
        if path.stat().st_size > largest:
            raise RecordError(f"{path} is larger than any {what}")
        text = path.read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RecordError(f"cannot read {one_line(str(path))}: {why}", hint=missing) from None
    try:
        content = json.loads(text, object_pairs_hook=unique, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path} is not JSON: {error}") from None
    found = content.get("schema") if isinstance(content, dict) else None
    if found != schema:
        raise RecordError(
            f"{path} has schema {one_line(repr(found))[:100]}; this version reads {schema!r}", hint=other
        )
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RecordError(one_line(f"{path} is not a valid {what}: {place}: {first['msg']}")) from None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys all differ: of two, a reader cannot know which is meant. Raises ValueError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found


def no_number(name: str) -> float:
    """JSON has neither NaN nor infinities. Raises ValueError."""
    raise ValueError(f"{name} is no number")


def check_inside(run: Path, name: str) -> None:
    """Raises RecordError where a part of a run is a link, which may lead anywhere."""
    try:
        linked = bool(name) and (run / name).is_symlink()
    except (OSError, ValueError) as error:
        raise RecordError(f"cannot read {one_line(str(run))[:300]}: {error}") from None
    if linked:
        raise RecordError(f"{run / name} is a link: a run is read from its own directory only")


@contextmanager
def reading(path: Path) -> Iterator[Path]:
    """Turn whatever a missing or damaged array file can raise into a RecordError that names it."""
    try:
        if path.is_symlink():
            raise ValueError("it is a link: a run is read from its own directory only")
        yield path
    except DAMAGE as error:
        raise RecordError(f"cannot read {path}: {one_line(str(error))}") from None


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Turn what a full or read-only disk raises into CannotWrite."""
    try:
        yield path
    except OSError as error:
        raise CannotWrite(
            f"cannot write {path}: {error.strerror or error}", "make room, or choose another place with --out"
        ) from None


def write_delays(run: Path, number: int, delays: list[float]) -> None:
    """Save what the slow service gave during a trial, in seconds, where it was called at all. Raises
    CannotWrite."""
    if delays:
        with writing(run / f"samples/{number:04d}.delays.npy") as path, path.open("wb") as file:
            np.save(file, np.array(delays, dtype=np.float64), allow_pickle=False)


def read_delays(path: Path) -> NDArray[np.float64]:
    """Load and check what `write_delays` saved; never unpickles. Raises ValueError, OSError."""
    found: NDArray[np.float64] = np.load(path, allow_pickle=False)
    if found.dtype != np.float64 or found.ndim != 1 or not np.isfinite(found).all():
        raise ValueError("it is not a list of delays")
    return found


SAMPLE_TYPES: Mapping[str, type[Any]] = {
    "endpoint": np.uint16,
    "due": np.float64,
    "start": np.float64,
    "end": np.float64,
    "status": np.uint16,
    "size": np.uint32,
    "error": np.uint16,
}


def write_samples(path: Path, samples: Samples) -> None:
    """Save as an .npz of plain arrays."""
    write_arrays(path, {field.name: getattr(samples, field.name) for field in fields(samples)})


def write_beats(path: Path, beats: Beats) -> None:
    """Save as an .npz of plain arrays. Raises CannotWrite."""
    with writing(path):
        write_arrays(path, {field.name: getattr(beats, field.name) for field in fields(beats)})


def read_beats(path: Path) -> Beats:
    """Load and check an .npz; never unpickles. Raises ValueError, KeyError, OSError, BadZipFile."""
    # Tasks were not always counted.
    arrays = read_arrays(path, {field.name: np.float64 for field in fields(Beats)}, {"tasks": None})
    beats = Beats(**arrays)
    if not (np.isfinite(beats.due).all() and (beats.lag >= 0.0).all()):
        raise ValueError("its times are not times")
    return beats


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write beside, fsync, rename."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_arrays(
    path: Path, types: Mapping[str, type[Any]], stand_ins: Mapping[str, str | None]
) -> dict[str, NDArray[Any]]:
    """Columns of equal length out of an .npz, read-only; `stand_ins` names the column to take where one is
    missing, or None for one that knows nothing. Raises ValueError, KeyError, OSError, BadZipFile.

    Takes the one form that `write_arrays` gives them and no other, looks at a column's size before it is
    unpacked, and never unpickles. numpy's own reading evaluates every header as Python, which takes most of
    its time where runs have thousands of short files.
    """
    found: dict[str, NDArray[Any]] = {}
    missing = []
    with zipfile.ZipFile(path) as archive:
        for name, kind in types.items():
            member = f"{name}.npy"
            if name in stand_ins and member not in archive.NameToInfo:
                if stand_ins[name] is None:
                    missing.append(name)
                    continue
                member = f"{stand_ins[name]}.npy"
            if archive.getinfo(member).file_size > LARGEST_SAMPLES:
                raise ValueError(f"{name} is larger than any window's")
            content = archive.read(member)
            head = NPY.match(content)
            if head is None or head["type"].decode() != np.dtype(kind).str:
                raise ValueError(f"{name} is not a list of {np.dtype(kind).name}")
            found[name] = np.frombuffer(content, dtype=kind, offset=head.end())
            if len(found[name]) != int(head["length"]):
                raise ValueError(f"{name} is not as long as it says")
    length, *others = {len(array) for array in found.values()}
    if others:
        raise ValueError("its columns differ in length")
    return found | {name: np.full(length, np.nan) for name in missing}


def read_samples(path: Path) -> Samples:
    """Load and check an .npz; never unpickles. Raises ValueError, KeyError, OSError, BadZipFile."""
    # Closed loops were recorded before there was a schedule: every request is due at its start.
    arrays = read_arrays(path, SAMPLE_TYPES, {"due": "start"})
    samples = Samples(**arrays)
    finite = np.isfinite(samples.due).all() and np.isfinite(samples.start).all()
    if not (finite and (samples.end >= samples.start).all()):
        raise ValueError("its times are not times")
    return samples


def write_whole(path: Path, content: bytes) -> None:
    """Write beside, fsync, rename."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
