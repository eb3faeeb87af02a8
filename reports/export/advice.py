"""The findings for an app: on the terminal, as JSON, as annotations of a GitHub job, as SARIF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from loadtests.errors import Exit, PlanError
from reports.advice.app_advice import Weight, coverage
from reports.advice.seen import AppAdvice
from reports.exit_codes import exit_code
from reports.export import sarif
from reports.export.github import MESSAGE, PROPERTY, escaped
from reports.export.located import Located, located, repository
from reports.export.names import AdviceFormat
from reports.render import app_advice as rendering
from reports.render.output import Output, print_text
from reports.wording.advice.app_advice import coverage_text
from reports.wording.advice.driven import reach_text

COMMANDS: Mapping[Weight, str] = {"wrong": "error", "mind": "warning", "consider": "notice"}


def deliver(advice: AppAdvice, output: Output, format: AdviceFormat, strict: bool) -> Exit:
    """Write the findings; the exit code of the worst."""
    as_json = rendering.as_json(advice.anatomy, advice.found, advice.driven)
    code = exit_code(advice.outcomes(), strict)
    if format == "text":
        return output.deliver(
            code,
            as_json,
            lambda console: rendering.show(console, advice.anatomy, advice.found, advice.driven),
        )
    text = as_json if format == "json" else exported(advice, format)
    return output.deliver(code, as_json, lambda _: print_text(text))


def check_stdout(output: Output, format: AdviceFormat) -> None:
    """Raises PlanError where two outputs need stdout."""
    if output.json == "-" and format not in ("text", "json"):
        raise PlanError(
            f"--json - and --format {format} both write to stdout",
            hint="write the JSON to a file: --json FILE",
        )


def exported(advice: AppAdvice, format: AdviceFormat) -> str:
    """The findings with their places in the repository, in the format of a service."""
    found = located(advice, repository(Path.cwd()))
    notes = list(limits(advice))
    return sarif.text(found, notes) if format == "sarif" else workflow_commands(found, notes)


def limits(advice: AppAdvice) -> Iterator[str]:
    """What was not read, and which routes were not asked."""
    if text := coverage_text(coverage(advice.anatomy)):
        yield text
    if advice.driven is not None and advice.driven.missed:
        yield reach_text(advice.driven)


def workflow_commands(found: Sequence[Located], notes: Sequence[str]) -> str:
    """Workflow commands, the most severe first; GitHub shows ten of a kind; all are in
    the log."""
    lines = [*(annotation(one) for one in found), *(notice(note) for note in notes)]
    return "".join(f"{line}\n" for line in lines)


def annotation(one: Located) -> str:
    properties = {"title": one.rule.id}
    if one.place is not None:
        properties = {"file": one.place.file, "line": str(one.place.line), **properties}
    said = ",".join(f"{key}={escaped(value, PROPERTY)}" for key, value in properties.items())
    return f"::{COMMANDS[one.finding.weight]} {said}::{escaped(one.message, MESSAGE)}"


def notice(text: str) -> str:
    return f"::notice title=duel advise::{escaped(text, MESSAGE)}"
