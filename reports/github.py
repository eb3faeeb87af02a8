"""What a job on GitHub shows: a summary, annotations, outputs, and a comment that stays one.

Nothing here talks to GitHub: action.yml brings these texts where they belong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.cases import Case, Gate
from reports.markdown import plain
from reports.terminal import GATE_MARKS

MOST_SUMMARY = 1_000 * 1024
"""Bytes; above 1,024 KiB GitHub drops the whole summary of a step."""
MOST_COMMENT = 60_000
"""Characters; GitHub refuses a comment of more than 65,536."""
MOST_ANNOTATIONS = 10
"""GitHub shows no more of one kind in a step."""
MARKER = "<!-- fastapi-duel -->"
"""By which a job finds the comment that it made before."""
CUT = "\n\n*What follows was cut: the whole report is among the job's artifacts.*\n"


def summary(markdown: str) -> str:
    """A report's Markdown, no longer than a summary may be."""
    content = markdown.encode()
    if len(content) <= MOST_SUMMARY:
        return markdown
    kept = content[: MOST_SUMMARY - len(CUT.encode())].decode("utf-8", "ignore")
    return kept[: kept.rfind("\n")] + CUT


def comment(gate: Gate, markdown: str) -> str:
    """The verdict first, what is not well next, and everything else folded away."""
    told = [case for case in gate.cases if case.outcome != "pass"][:MOST_ANNOTATIONS]
    lines = [MARKER, f"### {plain(gate.title)}", ""]
    lines += [f"- {GATE_MARKS[case.outcome]} {plain(case.message)}" for case in told]
    head = "\n".join([*lines, "", "<details><summary>Everything</summary>", "", ""])
    tail = "\n</details>\n"
    room = MOST_COMMENT - len(head) - len(tail) - len(CUT)
    if len(markdown) > room:
        markdown = markdown[: markdown.rfind("\n", 0, max(0, room))] + CUT
    return head + markdown + tail


def commands(gate: Gate, files: Mapping[str, str]) -> str:
    """Workflow commands, the worst first. `files`: by the group of a case, the file that it is shown at."""
    told = [case for case in gate.cases if case.outcome != "pass"][:MOST_ANNOTATIONS]
    return "".join(f"{annotation(case, files.get(case.group))}\n" for case in told)


def annotation(case: Case, file: str | None) -> str:
    level = "warning" if case.outcome == "inconclusive" else "error"
    properties = {"title": f"{case.outcome}: {case.name}"}
    if file is not None:
        properties = {"file": file, "line": "1", **properties}
    said = ",".join(f"{key}={escaped(value, PROPERTY)}" for key, value in properties.items())
    return f"::{level} {said}::{escaped(case.message, MESSAGE)}"


MESSAGE: Sequence[tuple[str, str]] = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
PROPERTY = (*MESSAGE, (":", "%3A"), (",", "%2C"))
"""What a workflow command cannot hold, as GitHub's toolkit escapes it; `%` comes first."""


def escaped(text: str, signs: Sequence[tuple[str, str]]) -> str:
    for sign, code in signs:
        text = text.replace(sign, code)
    return text


def outputs(gate: Gate) -> str:
    """Lines for $GITHUB_OUTPUT; no value holds a line break, which would make another output."""
    counted = {word: sum(case.outcome == word for case in gate.cases) for word in ("regression", "invalid")}
    values = {
        "outcome": gate.outcome,
        "title": gate.title,
        "regressions": str(counted["regression"]),
        "invalid": str(counted["invalid"]),
    }
    return "".join(f"{key}={' '.join(value.split())}\n" for key, value in values.items())
