"""Output for a GitHub job: a summary, annotations, outputs, and a single comment that is updated.

Nothing here talks to GitHub: action.yml publishes these texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reports.export.cases import Case, Gate
from reports.export.places import Place
from reports.render.markdown import box, plain
from reports.wording.vocabulary import OUTCOME_MARKS

MOST_SUMMARY = 1_000 * 1024
"""Bytes; above 1,024 KiB GitHub drops the whole summary of a step."""

MOST_COMMENT = 60_000
"""Characters; GitHub refuses a comment of more than 65,536."""

MOST_ANNOTATIONS = 10
"""GitHub shows at most this many of one kind per step."""

MARKER = "<!-- fastapi-duel -->"
"""How a job finds its earlier comment."""

CUT = "\n\n*Truncated: the complete report is in the job's artifacts.*\n"


def summary(markdown: str) -> str:
    """A report's Markdown, cut to the maximum size of a summary."""
    content = markdown.encode()
    if len(content) <= MOST_SUMMARY:
        return markdown
    kept = content[: MOST_SUMMARY - len(CUT.encode())].decode("utf-8", "ignore")
    return kept[: kept.rfind("\n")] + CUT


def comment(gate: Gate, markdown: str) -> str:
    """The verdict first, then answers that differ, then the problems, then everything else collapsed."""
    told = [case for case in gate.cases if case.outcome != "pass"][:MOST_ANNOTATIONS]
    lines = [MARKER, f"### {plain(gate.title)}", ""]
    lines += box(gate.notes)
    for case in told:
        lines.append(f"- {OUTCOME_MARKS[case.outcome]} {plain(case.message)}")
        lines += [f"  - {plain(line)}" for line in case.failed]
    opening, closing = "\n\n<details><summary>Everything</summary>\n\n", "\n</details>\n"
    room = MOST_COMMENT - len(opening) - len(closing)
    head = shortened("\n".join(lines), room - len(CUT))
    return head + opening + shortened(markdown, room - len(head)) + closing


def shortened(text: str, room: int) -> str:
    """A text of at most `room` characters: whole lines, and that there were more."""
    if len(text) <= room:
        return text
    return text[: max(0, text.rfind("\n", 0, max(0, room - len(CUT))))] + CUT


def commands(gate: Gate, place: Callable[[Case], Place | None]) -> str:
    """Workflow commands: answers that differ, then the cases, the worst first. `place`: what to annotate."""
    told = [case for case in gate.cases if case.outcome != "pass"][:MOST_ANNOTATIONS]
    notes = (
        [f"::warning title=answers differ::{escaped(' '.join(gate.notes), MESSAGE)}"] if gate.notes else []
    )
    return "".join(f"{line}\n" for line in (*notes, *(annotation(one, place(one)) for one in told)))


def annotation(case: Case, place: Place | None) -> str:
    command = "error" if case.outcome == "regression" else "warning"
    properties = {"title": f"{case.outcome}: {case.name}"}
    if place is not None:
        properties = {"file": place.file, "line": str(place.line), **properties}
    said = ",".join(f"{key}={escaped(value, PROPERTY)}" for key, value in properties.items())
    return f"::{command} {said}::{escaped(case.message, MESSAGE)}"


MESSAGE: Sequence[tuple[str, str]] = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))

PROPERTY = (*MESSAGE, (":", "%3A"), (",", "%2C"))
"""Characters to escape in a workflow command, as in GitHub's toolkit; `%` comes first."""


def escaped(text: str, signs: Sequence[tuple[str, str]]) -> str:
    for sign, code in signs:
        text = text.replace(sign, code)
    return text


def outputs(gate: Gate) -> str:
    """Lines for $GITHUB_OUTPUT; values have no line breaks, which would start another output."""
    counted = {word: sum(case.outcome == word for case in gate.cases) for word in ("regression", "invalid")}
    values = {
        "outcome": gate.outcome,
        "title": gate.title,
        "regressions": str(counted["regression"]),
        "invalid": str(counted["invalid"]),
    }
    return "".join(f"{key}={' '.join(value.split())}\n" for key, value in values.items())
