"""Files of a run, which another user may have written: only regular files of its own directory are read, and
what is written gets a fresh name and then takes its place."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from loadtests.errors import CannotWrite, RecordError
from loadtests.plan.fields import one_line

DAMAGE = (
    OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, struct.error, RuntimeError,
    NotImplementedError, OverflowError, MemoryError, SyntaxError, TypeError,
)  # fmt: skip
"""What numpy and zipfile raise for damaged files."""

LINK = "it is a link: a run is read from its own directory only, and written there"

# Without O_NONBLOCK, opening a named pipe waits for its other end.
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def check_inside(run: Path, name: str) -> None:
    """Raises RecordError where a part of a run is a symbolic link, which may lead anywhere."""
    try:
        linked = (run / name).is_symlink()
    except (OSError, ValueError) as error:
        raise RecordError(f"cannot read {one_line(str(run))[:300]}: {error}") from None
    if linked:
        raise RecordError(f"{run / name} is a link: a run is read from its own directory only")


@contextmanager
def folder(path: Path) -> Iterator[int]:
    """The descriptor of a directory of a run. Names are looked up in it, so that replacing `path` by a link
    meanwhile changes nothing. Raises OSError, also where it is a link."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        if path.is_symlink():
            raise OSError(errno.ELOOP, LINK) from None
        raise
    try:
        yield number
    finally:
        os.close(number)


def opened(path: Path, flags: int) -> int:
    """The descriptor of a file of a run, opened without following a link. Raises OSError."""
    with folder(path.parent) as where:
        try:
            return os.open(path.name, flags | os.O_NOFOLLOW, 0o666, dir_fd=where)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise OSError(errno.ELOOP, LINK) from None
            raise


def read_part(path: Path, largest: int) -> bytes:
    """A regular file of a run, which must not be a link, of at most `largest` bytes. Never waits, as it would
    for a named pipe. Raises OSError, ValueError."""
    return content_of(opened(path, READ), largest)


def read_named(path: Path, largest: int) -> bytes:
    """A regular file that the user named, perhaps by a link, of at most `largest` bytes. Never waits. Raises
    OSError, ValueError."""
    return content_of(os.open(path, READ), largest)


def content_of(number: int, largest: int) -> bytes:
    """The bytes of an open regular file, and close it. Raises OSError, ValueError."""
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        if status.st_size > largest:
            raise ValueError(f"it has more than {largest:,} bytes")
        with open(number, "rb", closefd=False) as file:
            return file.read(status.st_size)
    finally:
        os.close(number)


def open_log(path: Path) -> BinaryIO:
    """A log of a run, to be continued. Raises OSError where another file would be written to: through a link
    of either kind, or where it is not a regular file."""
    number = opened(path, APPEND)
    status = os.fstat(number)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        return open(number, "ab")
    os.close(number)
    raise OSError(errno.EINVAL, "it is not a file of the run's own")


@contextmanager
def reading(path: Path) -> Iterator[Path]:
    """Turn what a missing or damaged array file can raise into a RecordError that names it."""
    try:
        yield path
    except DAMAGE as error:
        why = getattr(error, "strerror", None) or error
        raise RecordError(f"cannot read {path}: {one_line(str(why))}") from None


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Turn what a full or read-only disk raises into CannotWrite."""
    try:
        yield path
    except OSError as error:
        # Of a tree that was copied, a list with a reason for each file.
        why = error.args[0][0][-1] if isinstance(error, shutil.Error) else error.strerror or error
        raise CannotWrite(
            f"cannot write {path}: {why}",
            hint="make room, or choose another place with --out",
        ) from None


PARTIAL = re.compile(r"\..+\.[0-9a-f]{16}\.partial")
"""The name of a file that `write_whole` has not finished."""


def sweep(directory: Path) -> None:
    """Remove what processes that were killed left of files in a directory; what cannot be removed stays."""
    with suppress(OSError), folder(directory) as where:
        for name in os.listdir(where):
            if PARTIAL.fullmatch(name):
                with suppress(OSError):
                    os.unlink(name, dir_fd=where)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file: write beside it under a new name, fsync, rename; leaves no temporary file behind. What
    stood in its place, a link for example, is not written to. Raises OSError."""
    with folder(path.parent) as where:
        partial = f".{path.name}.{secrets.token_hex(8)}.partial"
        number = os.open(partial, CREATE, 0o666, dir_fd=where)
        try:
            with open(number, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(number)
            os.replace(partial, path.name, src_dir_fd=where, dst_dir_fd=where)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=where)
            raise


DIGITS = 16
"""Digits of a file's digest that are recorded."""


def digest(file: Path) -> str | None:
    """Of a file's bytes; None where it is none, or cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()[:DIGITS] if file.is_file() else None
    except OSError:
        return None
