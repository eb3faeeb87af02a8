"""Where a verb writes: results to stdout, everything else to stderr, and results as JSON where asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self, cast

from rich.console import Console

from loadtests.errors import CannotWrite, Exit, explained
from reports.render.streams import Unfailing, complain, discard, on_terminal, printing, say

if TYPE_CHECKING:
    from reports.analysis.readings import Readings
    from reports.render.live import Lines, LiveView, WaitingOnly

COLOURS: dict[str, dict[str, Any]] = {
    "auto": {},
    "always": {"force_terminal": True},
    # `no_color` would leave bold and dim text.
    "never": {"color_system": None},
}
"""By the value of --color, the arguments of a console."""


class PipedConsole(Console):
    """Lets the caller handle a closed pipe; rich would exit with code 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Output:
    """The two streams of a verb."""

    def __init__(
        self, colour: str = "auto", json: str | None = None, quiet: bool = False, progress: bool = True
    ) -> None:
        """`json`: a file to which results are also written as JSON, or `-` for stdout, which then has no
        other output. `quiet`: results and errors only. `progress`: whether a run shows its progress."""
        self.json = json
        self.progress = progress
        self.results = PipedConsole(quiet=json == "-", **COLOURS[colour])
        notes = cast(IO[str], Unfailing(sys.stderr))
        self.notes = PipedConsole(file=notes, stderr=True, quiet=quiet, **COLOURS[colour])

    @classmethod
    def by(cls, flags: dict[str, Any]) -> Self:
        """The streams of a verb by its flags, which are taken out of `flags`."""
        quiet, silent = flags.pop("quiet", False), flags.pop("no_progress", False)
        return cls(flags.pop("color"), flags.pop("json", None), quiet, progress=not (quiet or silent))

    def say(self, text: str) -> None:
        """A line of the results. Raises CannotWrite, BrokenPipeError."""
        with printing():
            say(self.results, text)

    def note(self, text: str) -> None:
        """A line that is not part of the results."""
        say(self.notes, text)

    def waiting(self, other: str, place: int) -> None:
        """A note that another measurement is waited for."""
        from reports.render.live import waiting  # noqa: PLC0415  # see `watching`

        self.note(waiting(other, place))

    def show(self, as_json: str, as_table: Callable[[Console], None], report: Path | None = None) -> None:
        """Write results in each requested form; `report` has the details. Raises CannotWrite,
        BrokenPipeError."""
        if self.json == "-":
            print_text(as_json)
            return
        with ExitStack() as both:
            if self.json is not None:
                both.callback(write_text, Path(self.json), as_json)
            with printing():
                as_table(self.results)
            if report is not None:
                self.say(f"report: {report}")

    def deliver(
        self,
        code: Exit,
        as_json: str,
        as_table: Callable[[Console], None],
        write: Callable[[], Path | None] = lambda: None,
    ) -> Exit:
        """Write a report, then show the results; the exit code of what was found, `code`: a full disk or a
        closed pipe does not hide it, nor does a report that cannot be written hide the results."""
        lost: list[CannotWrite] = []
        report = None
        try:
            report = write()
        except CannotWrite as error:
            lost.append(error)
        try:
            self.show(as_json, as_table, report)
        except BrokenPipeError:
            discard(sys.stdout)
        except CannotWrite as error:
            lost.append(error)
        if not lost:
            return code
        complain("\n".join(map(explained, lost)))
        return code or lost[0].exit_code

    @contextmanager
    def watching(self, readings: Readings) -> Iterator[LiveView | Lines | WaitingOnly]:
        """The progress display of a run: live on a terminal, lines elsewhere; if disabled, only that it
        waits."""
        # Takes half of the start of a verb that only prints something.
        from reports.render.live import Lines, LiveView, WaitingOnly  # noqa: PLC0415

        if not self.progress:
            yield WaitingOnly(self.notes)
        elif on_terminal(self.notes):
            with LiveView(self.notes, readings) as live:
                yield live
        else:
            yield Lines(self.notes, readings)


def print_text(text: str) -> None:
    """Raises CannotWrite, BrokenPipeError: now, not when the process exits."""
    with printing():
        sys.stdout.write(text)
        sys.stdout.flush()


def put(file: str, text: str) -> None:
    """Write text to a file, or to stdout where that is `-`. Raises CannotWrite, BrokenPipeError."""
    print_text(text) if file == "-" else write_text(Path(file), text)


def write_text(path: Path, text: str) -> None:
    """Raises CannotWrite."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror or error}") from None
