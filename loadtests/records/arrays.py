"""Arrays in files: one table of rows each, replaced atomically, validated when read."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.records.files import read_part, write_whole, writing
from loadtests.records.heartbeats import EARLIER_HEARTBEAT_ROW, HEARTBEAT_ROW, Heartbeats
from loadtests.records.samples import SAMPLE_ROW, SLICED_ROW, Samples
from loadtests.records.trial import ArrayFile

LARGEST_FILE = 2**31
"""Bytes of an array file."""

DENSEST = 64
"""Bytes that a byte of a file may unpack to. Measured times are noise, which hardly compresses: a byte of
samples unpacked to 2.6, one of heartbeats to 4. So a report needs memory in proportion to the files that it
is given, however many these are."""

HEADER = 4_096
"""Bytes of an array beside its rows, at most."""

MEMBER = "rows"
"""The one array in a file."""

DELAY_ROW = np.dtype([("delay", np.float64)])


def write_samples(path: Path, samples: Samples) -> ArrayFile:
    """Save as one table. Raises OSError."""
    return write(path, table(samples, SAMPLE_ROW if samples.slice is None else SLICED_ROW))


def read_samples(path: Path, file: ArrayFile) -> Samples:
    """Load and check what `write_samples` saved. Raises one of `files.DAMAGE`."""
    samples = Samples(**columns(read(path, [SAMPLE_ROW, SLICED_ROW], file)))
    finite = np.isfinite(samples.due).all() and np.isfinite(samples.start).all()
    if not (finite and (samples.end >= samples.start).all()):
        raise ValueError("its times are not times")
    return samples


def write_heartbeats(path: Path, beats: Heartbeats) -> ArrayFile:
    """Save as one table of `HEARTBEAT_ROW`. Raises CannotWrite."""
    with writing(path):
        return write(path, table(beats, HEARTBEAT_ROW))


def read_heartbeats(path: Path, file: ArrayFile) -> Heartbeats:
    """Load and check what `write_heartbeats` saved, or its earlier version. Raises one of `files.DAMAGE`."""
    rows = read(path, [HEARTBEAT_ROW, EARLIER_HEARTBEAT_ROW], file)
    unknown = {} if rows.dtype == HEARTBEAT_ROW else {"blocks": np.full(len(rows), np.nan)}
    beats = Heartbeats(**columns(rows), **unknown)
    if not (np.isfinite(beats.due).all() and (beats.lag >= 0.0).all()):
        raise ValueError("its times are not times")
    return beats


def write_delays(path: Path, delays: Sequence[float]) -> ArrayFile:
    """Save the delays, in seconds, that the slow service gave during a trial. Raises CannotWrite."""
    with writing(path):
        return write(path, np.array(delays, dtype=np.float64).view(DELAY_ROW))


def read_delays(path: Path, file: ArrayFile) -> NDArray[np.float64]:
    """Load and check what `write_delays` saved. Raises one of `files.DAMAGE`."""
    delays: NDArray[np.float64] = read(path, [DELAY_ROW], file)["delay"]
    if not (delays >= 0.0).all():
        raise ValueError("its times are not times")
    return delays


def write(path: Path, rows: NDArray[np.void]) -> ArrayFile:
    """Save a table; what the trial's record says of the file. Raises OSError."""
    content = packed(rows)
    write_whole(path, content)
    return ArrayFile(rows=len(rows), digest=hashlib.sha256(content).hexdigest())


def read(path: Path, kinds: Sequence[np.dtype[np.void]], file: ArrayFile) -> NDArray[np.void]:
    """The table of a file, which must be the one that the record names, of rows of one of these kinds. Raises
    one of `files.DAMAGE`."""
    content = read_part(path, LARGEST_FILE)
    if hashlib.sha256(content).hexdigest() != file.digest:
        raise ValueError("it is not the file that was recorded: its digest is another one")
    return unpacked(content, kinds, file.rows)


def table(record: Samples | Heartbeats, row: np.dtype[np.void]) -> NDArray[np.void]:
    """The columns of `record` as one array of rows. Raises ValueError where they differ in length."""
    rows = np.empty(len(record), dtype=row)
    for name in row.names or ():
        rows[name] = getattr(record, name)
    return rows


def columns(rows: NDArray[np.void]) -> dict[str, NDArray[Any]]:
    """The columns of a table, each contiguous, since all arithmetic is on columns."""
    return {name: np.ascontiguousarray(rows[name]) for name in rows.dtype.names or ()}


def packed(rows: NDArray[np.void]) -> bytes:
    """A table as an .npz file, whose checksum tells a damaged one."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{MEMBER: rows})
    return buffer.getvalue()


def unpacked(content: bytes, kinds: Sequence[np.dtype[np.void]], rows: int) -> NDArray[np.void]:
    """The table of an .npz file, which must have this number of rows of one of `kinds`. Both are known before
    anything is unpacked, and nothing is ever unpickled. Raises one of `files.DAMAGE`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        member = archive.getinfo(f"{MEMBER}.npy")
        sizes = [rows * kind.itemsize for kind in kinds]
        if not any(size <= member.file_size <= size + HEADER for size in sizes):
            raise ValueError(f"it holds {member.file_size:,} bytes, and {rows:,} rows were recorded")
        if member.file_size > DENSEST * (len(content) + HEADER):
            raise ValueError(f"{len(content):,} bytes of times never unpack to {member.file_size:,}")
        # The others unpack whole blocks, whatever size is asked for.
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("its compression is not the one of .npz files")
        with archive.open(member) as unpacking:
            # Not `archive.read`, which unpacks more than the size that the archive claims.
            table = unpacking.read(member.file_size)
    head = io.BytesIO(table)
    if np.lib.format.read_magic(head) != (1, 0):
        raise ValueError("its format is not 1.0 of .npy")
    shape, _, found = np.lib.format.read_array_header_1_0(head)
    if found not in kinds or len(shape) != 1:
        raise ValueError(f"it is not a table of {', '.join(kinds[0].names or ())}")
    result = np.frombuffer(table, dtype=found, offset=head.tell())
    if not len(result) == shape[0] == rows:
        raise ValueError(f"it holds {len(result)} rows, its header says {shape[0]}, its record {rows}")
    return result
