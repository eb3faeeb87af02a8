"""Measures the claims of claimed.py and writes docs/claims.md: `make claims`, half an hour of load.

A run that exists in runs/claims/ is not measured again: remove its directory for that. A judgement names the
verdicts that it rests on. Where a run is missing or does not decide them, the page says so in its place;
where a run contradicts them, no page is written.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path

from benchmarks.claimed import CLAIMS, Claim
from benchmarks.questions import HEAD, Contradicted, anchor, check, concluded, machine, table
from loadtests.errors import Exit
from loadtests.records.directory import RunDirectory
from reports.analysis.verdicts import Verdict
from reports.conclusions import Conclusions
from reports.wording import units
from reports.wording.vocabulary import VERDICT_MARKS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "claims.md"
RUNS = ROOT / "runs" / "claims"

NOT_MEASURED, NOT_DECIDED = "not measured yet", "not decided"
ANSWERS = {NOT_MEASURED: "It is not measured yet.", NOT_DECIDED: "This run does not decide it."}
"""What is printed where there is no judgement."""
OPEN = {"inconclusive", "invalid"}
"""Verdicts that contradict nothing."""

DONE = {Exit.DONE, Exit.INVALID}
"""How a run ends whose records can be shown; an invalid cell is shown as such."""


def main() -> None:
    for run, command in {one.run: one.command for one in CLAIMS}.items():
        if newest(run) is None:
            measure(run, command)
    paths = {one.run: newest(one.run) for one in CLAIMS}
    runs = {run: concluded(path) for run, path in paths.items() if path is not None}
    try:
        PAGE.write_text(page(CLAIMS, runs), encoding="utf-8")
    except Contradicted as reason:
        raise SystemExit(f"no page is written, since a run contradicts claimed.py: {reason}") from reason


def newest(run: str) -> Path | None:
    """The directory of the latest run of this name that was not interrupted."""
    found = (file.parent for file in (RUNS / run).glob("*/run.json"))
    return max((path for path in found if RunDirectory(path).load().complete), default=None)


def measure(run: str, command: str) -> None:
    """Carry out the command of a claim as it is printed on the page."""
    duel = Path(sys.executable).with_name("duel")
    words = [str(duel), *shlex.split(command)[1:], "--wait", "--out", str(RUNS / run)]
    code = subprocess.run(words, cwd=ROOT, check=False).returncode
    if code not in DONE:
        raise SystemExit(code)


def page(claims: Sequence[Claim], runs: Mapping[str, Conclusions]) -> str:
    """The whole page. Raises Contradicted."""
    machines = dict.fromkeys(machine(runs[one.run]) for one in claims if one.run in runs)
    lines = [
        "# Published claims, measured",
        "",
        "Each claim is re-created as arms and users ([`examples/claims/`](../examples/claims), in our own "
        "words) and measured on one machine: ratios with 95% repeated confidence intervals over n rounds of "
        "fresh processes ([how it measures](method.md)). Code, versions and machine differ from theirs: "
        "the judgement is about a claim's conclusion, not about the figures that its author saw. ▲ serves "
        "more than the first arm, ▼ less, = differs by less than 10%, ~ not decided, ✗ fails.",
        "",
        "| claim | published | claimed | measured | n | judgement |",
        "|---|---|---|---:|---:|---|",
        *(overview(one, runs.get(one.run)) for one in claims),
        "",
        *(f"Machine: {text}." for text in machines),
        *([""] if machines else []),
        "`make claims` measures all of them and writes this page.",
        "",
    ]
    for one in claims:
        lines += section(one, runs.get(one.run))
    return "\n".join(lines)


def overview(claim: Claim, found: Conclusions | None) -> str:
    """The claim in a row, with the first of the verdicts that its judgement rests on."""
    seen = [units.NONE, units.NONE]
    if found is not None:
        key = next(iter(claim.rests_on))
        row = next((row for row in found.primaries if (row.cell.key, row.arm) == key), None)
        if row is None:
            raise Contradicted(f"{claim.title}: {' against '.join(key)} was not measured")
        seen = [measured(row), str(row.n)]
    title = f"[{claim.title}](#{anchor(claim.title)})"
    return f"| {' | '.join([title, claim.published, claim.claimed, *seen, judgement(claim, found)])} |"


def measured(row: Verdict) -> str:
    mark = VERDICT_MARKS[row.verdict]
    if row.ratio is None:
        return f"{mark} {row.verdict}"
    return f"{mark} {units.ratio(row.ratio)} ({units.interval(*row.bounds)})"


def judgement(claim: Claim, found: Conclusions | None) -> str:
    """The judgement, or that the run does not decide it or is missing. Raises Contradicted."""
    if found is None:
        return NOT_MEASURED
    rows = {(row.cell.key, row.arm): row for row in found.primaries}
    open = {key for key, row in rows.items() if row.verdict in OPEN}
    if any(key in open and rows[key].verdict not in words for key, words in claim.rests_on.items()):
        return NOT_DECIDED
    check(claim, found)
    sizes = [size(claim, rows[key], *limits) for key, limits in claim.within.items()]
    return claim.judgement if all(sizes) else NOT_DECIDED


def size(claim: Claim, row: Verdict, least: float, most: float) -> bool:
    """Whether the interval is within the limits; if not, it includes one of them. Raises Contradicted."""
    low, high = row.bounds[0] or 0.0, row.bounds[1] or inf
    if high < least or low > most:
        wanted = units.interval(least, most)
        raise Contradicted(
            f"{claim.title}: {row.cell.key} against {row.arm} is {measured(row)}, not {wanted}"
        )
    return least <= low and high <= most


def section(claim: Claim, found: Conclusions | None) -> list[str]:
    """One claim: what was done there, the judgement, what was measured here, its limits, the command."""
    word = judgement(claim, found)
    judged = f"**{ANSWERS[word]}**" if word in ANSWERS else f"**It {word}.** {claim.answer}"
    rows = [row for scenario in claim.scenarios for row in table(found, scenario)] if found else []
    return [
        f"## {claim.title}",
        "",
        f"{claim.words} ([{claim.author}]({claim.source}), {claim.published})",
        "",
        judged,
        "",
        *([*HEAD, *rows, "", claim.unless, ""] if rows else []),
        "```sh",
        claim.command,
        "```",
        "",
    ]


if __name__ == "__main__":
    main()
