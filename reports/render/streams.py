"""The two streams of a command. What cannot be printed, on a full disk or in another encoding, must not
change the exit code: it is what a gate is read by."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO

from loadtests.errors import CannotWrite

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def unfailing_streams() -> Iterator[None]:
    """Let stdout and stderr take every character, even where they are closed, and let neither fail once more
    when Python flushes them at the end of the process."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # open as long as the process lives
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                discard(stream)


def discard(stream: TextIO) -> None:
    """Have a stream that failed write to nowhere, what it still holds as well."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()


@contextmanager
def printing() -> Iterator[None]:
    """Turn what a full disk raises into CannotWrite. A closed pipe stays BrokenPipeError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotWrite(f"cannot write to stdout: {error.strerror or error}", hint="make room") from None


def complain(message: str) -> None:
    """An error message, where there is a stderr to take it."""
    with suppress(OSError):
        print(message, file=sys.stderr, flush=True)


class Unfailing:
    """A stream for progress and warnings: where they cannot be written, a run continues without them."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def on_terminal(console: Console) -> bool:
    """Whether a terminal shows the text: rich also says so of a file that is to have colours."""
    return console.is_terminal and console.file.isatty()


def say(console: Console, text: str) -> None:
    """A line of text, wrapped between words on a terminal, unwrapped in a file."""
    console.print(text, markup=False, highlight=False, soft_wrap=not on_terminal(console))


def say_list(console: Console, mark: str, lines: Sequence[str]) -> None:
    """Lines of which the first says what the others are, if there are any."""
    for number, line in enumerate(lines):
        say(console, f"  {line}" if number else f"{mark} {line}")
