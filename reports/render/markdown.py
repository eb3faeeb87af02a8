"""The verdicts as Markdown: for a README, a summary or a comment."""

from __future__ import annotations

import re
from collections.abc import Sequence

from loadtests.records import Cell, Run
from reports.advice.cards import Card
from reports.advice.conversion import Conversion
from reports.analysis.bounds import Prediction, predictions
from reports.analysis.verdicts import Verdict
from reports.conclusions import Conclusions
from reports.render.tables import endpoints, portraits
from reports.wording import units
from reports.wording.advice.cards import (
    CARD_FIGURES,
    card_advice,
    card_cell,
    card_figures,
    card_lines,
    card_title,
)
from reports.wording.advice.conversion import (
    CONVERSION_HEAD,
    conversion_row,
    conversion_text,
    conversion_title,
)
from reports.wording.advice.portraits import HEADS, portrait_title
from reports.wording.advice.proofs import (
    proof_head,
    proof_lines,
    proof_rows,
    proof_title,
    unmixed_text,
)
from reports.wording.cpus import servers_text
from reports.wording.failures import failure_lines
from reports.wording.headlines import headline
from reports.wording.plans import NO_THINK
from reports.wording.sentences import (
    failed_pair,
    gate_lines,
    judgement_line,
    sentences,
    together,
    unlike_lines,
    warnings,
)


def report(conclusions: Conclusions) -> str:
    """What failed, differing answers, sentences, thresholds, table, cards, warnings, machine."""
    run, found, cards = conclusions.run, conclusions.verdicts, conclusions.cards
    lines = [*box(failure_lines(conclusions.failure_kinds)), *box(unlike_lines(run, found))]
    lines += proof_section(conclusions)
    if conclusions.portraits:
        lines += [*portrait_section(conclusions), *threshold_section(conclusions)]
    else:
        lines += [*verdict_section(conclusions), *threshold_section(conclusions)]
        lines += [table(run, found), "", plain(together(run, found)), ""]
        lines += endpoint_lines(conclusions)
    if cards:
        lines += ["# What to write, and why", "", card_table(run, cards), ""]
        for card in cards:
            lines.append(f"- {plain(card_title(card, run))}")
            lines += [f"  - {plain(text)}" for text in card_lines(card)]
        lines.append("")
    for plan in conclusions.conversions:
        lines += conversion_section(plan)
    lines += prediction_lines(run, found)
    lines += [*quoted(warnings(run, found)), "", machine_text(run), ""]
    return "\n".join(lines)


def verdict_section(conclusions: Conclusions) -> list[str]:
    """The verdicts as sentences; of a gate, its result and its cases."""
    if conclusions.outcomes:
        title, said = headline(conclusions), [line for _, line in gate_lines(conclusions)]
    else:
        title, said = "Verdicts", sentences(conclusions)
    return [f"# {plain(title)}", "", *(f"- {plain(line)}" for line in said), ""]


def threshold_section(conclusions: Conclusions) -> list[str]:
    """The results of the thresholds, if there are any."""
    if not conclusions.judgements:
        return []
    return ["# Thresholds", "", *(f"- {plain(judgement_line(one))}" for one in conclusions.judgements), ""]


def proof_section(conclusions: Conclusions) -> list[str]:
    """Whether the advice holds, where the run shows it."""
    proof, unmixed = conclusions.proof, conclusions.nothing_to_mix
    if unmixed is not None:
        return ["# The advice, followed", "", f"- {plain(unmixed_text(unmixed, conclusions.run))}", ""]
    if proof is None:
        return []
    head = proof_head(proof)
    table = [
        f"| {' | '.join(map(plain, head))} |",
        f"|---|---|---|{'---:|' * (len(head) - 3)}",
        *(f"| {' | '.join(map(plain, row))} |" for row in proof_rows(proof)),
        "",
    ]
    return [
        "# The advice, followed",
        "",
        f"- {plain(proof_title(proof, conclusions.run))}",
        *(f"  - {plain(line)}" for line in proof_lines(proof, conclusions.run)),
        "",
        *(table if proof.cells else ()),
    ]


def endpoint_lines(conclusions: Conclusions) -> list[str]:
    """A table for each cell that has several endpoints."""
    lines = []
    for cell, several in endpoints.by_cell(conclusions.endpoints):
        lines += [f"# {plain(str(cell))}, by endpoint", "", f"| {' | '.join(endpoints.HEAD)} |"]
        lines.append(f"|---|---|{'---:|' * (len(endpoints.HEAD) - 2)}")
        lines += [
            f"| {' | '.join(plain(row[name]) for name in endpoints.HEAD)} |"
            for one in several for row in endpoints.rows(one)
        ]  # fmt: skip
        more = endpoints.left_out(cell, conclusions.endpoints)
        lines += ["", f"And {units.counted(more, 'more endpoint')} with fewer requests."] if more else []
        lines.append("")
    return [*lines, f"{plain(endpoints.ABOUT)}.", ""] if lines else []


def box(lines: Sequence[str]) -> list[str]:
    """What must be read first: lines of which the first says what the others are, if there are any."""
    if not lines:
        return []
    return [f"> **{plain(lines[0])}**", ">", *quoted(lines[1:]), ""]


def quoted(lines: Sequence[str]) -> list[str]:
    """Lines that stand out, each an item: Markdown joins quoted lines to one paragraph."""
    return [f"> - {plain(line)}" for line in lines]


def table(run: Run, found: Sequence[Verdict]) -> str:
    """The primary verdicts, one row per cell."""
    reference = run.plan.yardstick
    failing = any(any(verdict.failed.values()) for verdict in found if verdict.primary)
    heads = ["cell", plain(reference), "arm", "ratio", "interval", "n", *(["failed"] if failing else [])]
    rows = [f"| {' | '.join(heads)} | verdict |", f"|---|{'---:|' * (len(heads) - 1)}---|"]
    for row in (verdict for verdict in found if verdict.primary):
        ours, theirs = (units.value(row.metric, row.values.get(name)) for name in (row.reference, row.arm))
        where = plain(str(row.cell)) + (f", {row.metric}" if row.metric != "throughput" else "")
        cells = [where, ours, f"{plain(row.arm)} {theirs}"]
        cells += [
            units.ratio(row.ratio),
            units.interval(*row.bounds),
            str(row.n),
            *([failed_pair(row)] if failing else []),
            row.verdict,
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def portrait_section(conclusions: Conclusions) -> list[str]:
    """What the only arm shows: lines per cell, then the table."""
    lines = [f"# {plain(portrait_title(conclusions.run.plan))}", ""]
    for first, *more in portraits.blocks(conclusions):
        lines += [f"- {plain(first)}", *(f"  - {plain(text)}" for text in more)]
    head = [f"| {' | '.join(HEADS)} |", "|---|" + "---:|" * (len(HEADS) - 1)]
    body = [f"| {' | '.join(map(plain, row))} |" for row in portraits.rows(conclusions.portraits)]
    return [*lines, "", *head, *body, ""]


def card_table(run: Run, cards: Sequence[Card]) -> str:
    """Advice, neighbours and costs, one row per card."""
    names = [arm.name for arm in run.plan.arms]
    several = len(run.plan.rivals) > 1
    rows = [
        "| scenario |" + (" arm |" if several else "") + f" advice | {' | '.join(CARD_FIGURES)} |",
        "|---|" + ("---|" if several else "") + "---|" * (1 + len(CARD_FIGURES)),
    ]
    for card in cards:
        figures = card_figures(card, names)
        cells = [card_cell(card, run), *([card.arm] if several else []), card_advice(card), *figures]
        rows.append(f"| {' | '.join(map(plain, cells))} |")
    return "\n".join(rows)


def conversion_section(plan: Conversion) -> list[str]:
    """What to convert, in order of gain."""
    head = [f"| {' | '.join(CONVERSION_HEAD)} |", "|---|---|---|---:|---:|---:|"]
    rows = [f"| {' | '.join(map(plain, conversion_row(step)))} |" for step in plan.steps]
    title = f"# {plain(conversion_title(plan))}"
    return [title, "", f"{plain(conversion_text(plan))}.", "", *head, *rows, ""]


def prediction_lines(run: Run, found: Sequence[Verdict]) -> list[str]:
    """What the calibration predicted beside what was measured, the worst prediction first."""
    rows = [f"| {' | '.join(map(plain, prediction_row(one)))} |" for one in predictions(run, measured(found))]
    if not rows:
        return []
    head = ["| cell | arm | predicted | limited by | measured | error |", "|---|---|---:|---|---:|---:|"]
    about = "Predicted from the calibration with 1 and 40 users, where users are not the limit."
    return ["# Predicted and measured", "", about, "", *head, *rows, ""]


def measured(found: Sequence[Verdict]) -> dict[tuple[Cell, str], float]:
    """The throughput of every arm in every closed cell that was judged."""
    return {
        (verdict.cell, arm): value
        for verdict in found
        if verdict.primary and verdict.metric == "throughput"
        for arm, value in verdict.values.items()
        if value is not None
    }


def prediction_row(one: Prediction) -> tuple[str, str, str, str, str, str]:
    """Cell, arm, predicted, limited by, measured, error."""
    return (
        str(one.cell), one.arm, units.rate(one.bound.throughput), one.bound.name,
        units.rate(one.throughput), f"{one.error:+.0%}",
    )  # fmt: skip


def machine_text(run: Run) -> str:
    """The machine and the method in one sentence."""
    machine = run.machine
    users = f"{NO_THINK}; " if run.plan.no_think else ""
    return (
        f"{plain(machine.cpu)}, {units.counted(machine.cores, 'core')} ({plain(servers_text(run))}), "
        f"{plain(machine.system)}, {plain(machine.python)}, {plain(machine.database or 'no database')}; "
        f"{users}windows of {run.plan.window:g} s, {units.exact_percent(1 - run.plan.alpha)} repeated "
        f"confidence intervals; run {plain(run.id)}."
    )


CODE = re.compile(r"(`[^`]+`)")

MARKUP, MARKUP_OF_TABLES = "\\`*_[]<>|", "|"
"""What a backslash escapes: in a code span only what would end the cell of a table."""


def plain(text: str) -> str:
    """Text that Markdown does not read as markup, except its code spans. One with a `<` is text, too: no
    reader, however it pairs the backticks, finds HTML."""
    parts = CODE.split(" ".join(text.splitlines()))
    return "".join(
        escaped(part, MARKUP_OF_TABLES if place % 2 and "<" not in part else MARKUP)
        for place, part in enumerate(parts)
    )


def escaped(text: str, signs: str) -> str:
    for sign in signs:
        text = text.replace(sign, f"\\{sign}")
    return text
