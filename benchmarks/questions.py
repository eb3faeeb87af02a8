"""Writes docs/questions.md from existing runs: `make questions RUNS="default=runs/… threads=runs/… …"`.

The questions and their answers are in asked.py. An answer names the verdicts that it rests on, and the page
is not written where a run contradicts them. A question whose run is not given keeps the figures that the page
has of it; without figures it is left out, and named.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.asked import QUESTIONS, Topic
from loadtests.records.directory import RunDirectory
from reports.analysis.readings import Readings
from reports.analysis.verdicts import Verdict
from reports.conclusions import Conclusions, conclude
from reports.render import markdown
from reports.wording import units
from reports.wording.vocabulary import VERDICT_MARKS

PAGE = Path(__file__).parent.parent / "docs" / "questions.md"

MEASURED = "Measured on "
"""How the line begins that names the machine."""

HEAD = (
    "| load | arm | requests/s | against | interval | an `async def` neighbour waits (p95) |",
    "|---|---|---:|---:|---:|---:|",
)


class Contradicted(Exception):
    """A run does not say what an answer rests on."""


def main() -> None:
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    runs = {name: concluded(Path(path)) for name, path in given.items()}
    before = figures(PAGE.read_text(encoding="utf-8"))
    for one in QUESTIONS:
        if one.run not in runs and one.title not in before:
            print(f"left out, for want of {one.run}=RUN: {one.title}", file=sys.stderr)
    PAGE.write_text(page(QUESTIONS, runs, before), encoding="utf-8")


def concluded(path: Path) -> Conclusions:
    directory = RunDirectory(path)
    return conclude(directory.load(), Readings(directory))


def figures(text: str) -> dict[str, list[str]]:
    """What a page has of each question, by its title: the rows of its table, and where they were measured."""
    sections = text.split("\n## ")[1:]
    found = {}
    for title, _, body in (one.partition("\n") for one in sections):
        rows = [line for line in body.splitlines() if line.startswith("|")]
        where = [line for line in body.splitlines() if line.startswith(MEASURED)]
        found[title] = [*rows, "", *where]
    return found


def page(
    questions: Sequence[Topic], runs: Mapping[str, Conclusions], before: Mapping[str, Sequence[str]]
) -> str:
    """The whole page; `before`: the figures of questions whose run is not given. Raises Contradicted."""
    known = {
        one.title: measured(one, runs[one.run]) if one.run in runs else before[one.title]
        for one in questions
        if one.run in runs or one.title in before
    }
    lines = [
        "# Questions that people ask, and what we measured",
        "",
        "Each answer rests on a measurement on one named machine: ratios with 95% repeated confidence "
        "intervals over fresh processes, paired in time ([how it measures](method.md)). Yours may differ: "
        "the command below each table measures it on your machine. ▲ serves more than the first arm, ▼ less, "
        "= differs by less than 10%, ~ not decided, ✗ fails.",
        "",
        *(f"- [{title}](#{anchor(title)})" for title in known),
        "",
    ]
    for one in questions:
        if one.title in known:
            lines += section(one, known[one.title])
    return "\n".join(lines)


def machine(found: Conclusions) -> str:
    """Without the CPUs of its servers, which differ between cells, and the times."""
    return re.sub(r" \(server[^)]*\)", "", markdown.machine_text(found.run)).partition("; windows")[0]


def anchor(heading: str) -> str:
    """The fragment identifier that GitHub gives a heading."""
    words = heading.lower().replace(" ", "-")
    return "".join(letter for letter in words if letter.isalnum() or letter in "-_")


def measured(question: Topic, found: Conclusions) -> list[str]:
    """A question's table, and where it was measured. Raises Contradicted."""
    check(question, found)
    rows = [row for scenario in question.scenarios for row in table(found, scenario)]
    return [*HEAD, *rows, "", f"{MEASURED}{machine(found)}, on {found.run.began[:10]}."]


def section(question: Topic, seen: Sequence[str]) -> list[str]:
    """One question: its words, the answer, what was measured, where it does not hold, the command."""
    return [
        f"## {question.title}",
        "",
        f"*{question.words}*",
        "",
        f"**{question.answer}**",
        "",
        *seen,
        "",
        question.unless,
        "",
        "```sh",
        question.command,
        "```",
        "",
    ]


def check(question: Topic, found: Conclusions) -> None:
    """Raises Contradicted where a verdict is not what the answer rests on."""
    seen = {(row.cell.key, row.arm): row.verdict for row in found.primaries}
    for claim, words in question.rests_on.items():
        if seen.get(claim) not in words:
            raise Contradicted(
                f"{question.title} {' against '.join(claim)} is {seen.get(claim)}, not {' or '.join(words)}"
            )


def table(found: Conclusions, scenario: str) -> list[str]:
    """A row per load and arm; the first arm of a load is what the others are compared with. `scenario`: its
    name, or the key of one of its cells."""
    lines = []
    mine = [row for row in found.primaries if scenario in (row.cell.scenario, row.cell.key)]
    for cell in dict.fromkeys(row.cell for row in mine):
        rows = [row for row in mine if row.cell == cell]
        lines.append(row_of(found, rows[0], rows[0].reference, None))
        lines += [row_of(found, row, row.arm, row) for row in rows]
    return lines


def row_of(found: Conclusions, seen: Verdict, arm: str, compared: Verdict | None) -> str:
    """One arm under one load; `compared` with the first one, unless it is that."""
    ratio = interval = ""
    if compared is not None:
        ratio = f"{VERDICT_MARKS[compared.verdict]} {units.ratio(compared.ratio)}"
        interval = units.interval(compared.low, compared.high)
    waits = next(
        (
            card.pulses[arm]
            for card in found.cards
            if card.verdict.cell == seen.cell and card.pulses.get(arm) is not None
        ),
        None,
    )
    cells = [
        str(seen.cell), arm, units.value(seen.metric, seen.values.get(arm)), ratio, interval,
        units.duration(waits.response_time if waits else None),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
