"""A run, or its comparison with a base, in the formats of other programs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from loadtests.errors import PlanError
from reports.conclusions import Conclusions, side
from reports.export import cases, github, junit, measures, trackers
from reports.export.cases import Case, Gate
from reports.export.places import Place, place
from reports.gate import baseline, comparison
from reports.gate.comparison import Comparison
from reports.gate.setups import allowed
from reports.gate.sides import Side
from reports.render import changes, markdown
from reports.render.output import put
from reports.runs import conclusions_of, side_of


@dataclass(frozen=True)
class Exported:
    """The input of the formats, each part computed on first use."""

    conclusions: Conclusions
    base: Side | None
    margin: float
    allow: Collection[str] = ()
    """Differences between the two setups that are meant."""

    @cached_property
    def comparison(self) -> Comparison | None:
        if self.base is None:
            return None
        return comparison.compare(self.base, side(self.conclusions), self.margin, self.allow)

    @cached_property
    def gate(self) -> Gate:
        """Of the comparison if there is a base, else of the run itself."""
        found = self.comparison
        return cases.of_run(self.conclusions) if found is None else cases.of_comparison(found)

    @cached_property
    def markdown(self) -> str:
        found = self.comparison
        return markdown.report(self.conclusions) if found is None else changes.markdown(found)

    @cached_property
    def measures(self) -> list[measures.Measure]:
        return measures.measures(self.conclusions)

    def place(self, case: Case) -> Place | None:
        return place(self.conclusions.run, case)


FORMATS: Mapping[str, Callable[[Exported], str]] = {
    "baseline": lambda one: baseline.write(side(one.conclusions)),
    "markdown": lambda one: one.markdown,
    "comment": lambda one: github.comment(one.gate, one.markdown),
    "github-summary": lambda one: github.summary(one.markdown),
    "github-annotations": lambda one: github.commands(one.gate, one.place),
    "github-outputs": lambda one: github.outputs(one.gate),
    "junit": lambda one: junit.text(one.gate),
    "openmetrics": lambda one: trackers.openmetrics(one.measures, one.conclusions.primaries, one.gate),
    "benchmark-bigger": lambda one: trackers.bigger_is_better(one.measures),
    "benchmark-smaller": lambda one: trackers.smaller_is_better(one.measures),
    "bencher": lambda one: trackers.bencher(one.measures),
}


def write(
    format: str,
    conclusions: Conclusions,
    base: Side | None = None,
    margin: float = 0.10,
    allow: Collection[str] = (),
) -> str:
    """The text of one of FORMATS. Raises RecordError, Incompatible."""
    return FORMATS[format](Exported(conclusions, base, margin, allow))


def deliver(
    path: Path, formats: Sequence[str], files: Sequence[str], against: Path | None, margin: float,
    allow: Sequence[str],
) -> None:  # fmt: skip
    """Write the run at `path` in several formats, each to its file, compared with `against` where that is
    given. Raises PlanError, RecordError, Incompatible, CannotWrite."""
    if len(files) != len(formats):
        raise PlanError("several formats need a file each", hint="one -o FILE per --format; - is stdout")
    chosen = allowed(allow)
    base = side_of(against) if against is not None else None
    conclusions = conclusions_of(path)
    for format, file in zip(formats, files, strict=True):
        put(file, write(format, conclusions, base, margin, chosen))
