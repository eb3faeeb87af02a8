"""A run, or its comparison with a base, in the formats of other programs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from loadtests.records import Arm
from reports.conclusions import Conclusions, side
from reports.export import cases, github, junit, measures, trackers
from reports.export.cases import Gate
from reports.gate import baseline, comparison
from reports.gate.comparison import Comparison
from reports.gate.sides import Side
from reports.render import changes, markdown


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

    @property
    def files(self) -> Mapping[str, str]:
        """By the group of a case, the file that defines its arm, relative to the current directory."""
        found = {}
        for case in self.gate.cases:
            name = case.group.partition(" against ")[0]
            arm = next((arm for arm in self.conclusions.run.plan.arms if arm.name == name), None)
            file = source(arm) if arm is not None else None
            if file is not None:
                found[case.group] = file
        return found


def source(arm: Arm) -> str | None:
    """The file of an arm's module, if it is below the current directory."""
    module = Path(*arm.app.partition(":")[0].split("."))
    for candidate in (module.with_suffix(".py"), module / "__init__.py"):
        path = Path(arm.app_dir or ".", candidate)
        if path.is_file() and path.resolve().is_relative_to(Path.cwd()):
            return str(path.resolve().relative_to(Path.cwd()))
    return None


FORMATS: Mapping[str, Callable[[Exported], str]] = {
    "baseline": lambda one: baseline.write(side(one.conclusions)),
    "markdown": lambda one: one.markdown,
    "comment": lambda one: github.comment(one.gate, one.markdown),
    "github-summary": lambda one: github.summary(one.markdown),
    "github-annotations": lambda one: github.commands(one.gate, one.files),
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
