"""Writes docs/questions.md from existing runs: `make questions RUNS="default=runs/… threads=runs/… …"`.

The questions and their answers are in asked.py. An answer names the verdicts that it rests on, and the page
is not written where a run contradicts them. Questions whose run is not given are left out, and named.
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

HEAD = (
    "| load | arm | requests/s | against | interval | an `async def` neighbour waits (p95) |",
    "|---|---|---:|---:|---:|---:|",
)


class Contradicted(Exception):
    """A run does not say what an answer rests on."""


def main() -> None:
    given = dict(word.split("=", 1) for word in sys.argv[1:])
    runs = {name: concluded(Path(path)) for name, path in given.items()}
    for missing in sorted({one.run for one in QUESTIONS} - set(runs)):
        print(f"no run is given for the questions that need {missing}=RUN", file=sys.stderr)
    PAGE.write_text(page(QUESTIONS, runs), encoding="utf-8")


def concluded(path: Path) -> Conclusions:
    directory = RunDirectory(path)
    return conclude(directory.load(), Readings(directory))


def page(questions: Sequence[Topic], runs: Mapping[str, Conclusions]) -> str:
    """The whole page. Raises Contradicted."""
    asked = [one for one in questions if one.run in runs]
    lines = [
        "# Questions that people ask, and what we measured",
        "",
        "Each answer rests on a measurement on one named machine: ratios with 95 % repeated confidence "
        "intervals over fresh processes, paired in time ([how it measures](method.md)). Yours may differ: "
        "the command below each table measures it on your machine. ▲ serves more than the first arm, ▼ less, "
        "= differs by less than 10 %, ~ not decided, ✗ fails.",
        "",
        *(f"- [{one.title}](#{anchor(one.title)})" for one in asked),
        "",
    ]
    machines = dict.fromkeys(machine(runs[one.run]) for one in asked)
    lines += [*(f"Machine: {text}." for text in machines), ""]
    for one in asked:
        lines += section(one, runs[one.run])
    return "\n".join(lines)


def machine(found: Conclusions) -> str:
    """Without the CPUs of its servers, which differ between cells, and the times."""
    return re.sub(r" \(server[^)]*\)", "", markdown.machine_text(found.run)).partition("; windows")[0]


def anchor(heading: str) -> str:
    """The fragment identifier that GitHub gives a heading."""
    words = heading.lower().replace(" ", "-")
    return "".join(letter for letter in words if letter.isalnum() or letter in "-_")


def section(question: Topic, found: Conclusions) -> list[str]:
    """One question: its words, what was measured, the answer, where it does not hold, the command."""
    check(question, found)
    rows = [row for scenario in question.scenarios for row in table(found, scenario)]
    return [
        f"## {question.title}",
        "",
        f"*{question.words}*",
        "",
        f"**{question.answer}**",
        "",
        *HEAD,
        *rows,
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
