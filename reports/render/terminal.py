"""For the terminal: verdicts and cards as sentences and tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtests.records import Run
from reports.advice.cards import Card
from reports.advice.conversion import Conversion
from reports.advice.proving.proof import Proof
from reports.conclusions import Conclusions
from reports.render.streams import say, say_list
from reports.render.tables import endpoints, portraits
from reports.render.tables.verdicts import pair, table
from reports.wording import units
from reports.wording.advice.cards import (
    CARD_FIGURES,
    card_advice,
    card_cell,
    card_figures,
    card_lines,
    card_title,
    short_reference,
)
from reports.wording.advice.conversion import (
    CONVERSION_HEAD,
    conversion_row,
    conversion_text,
    conversion_title,
)
from reports.wording.advice.proofs import (
    proof_head,
    proof_lines,
    proof_rows,
    proof_title,
    unmixed_text,
)
from reports.wording.failures import failure_lines
from reports.wording.headlines import headline
from reports.wording.sentences import (
    gate_lines,
    judgement_line,
    sentences,
    together,
    unlike_lines,
    warnings,
)
from reports.wording.vocabulary import OUTCOME_MARKS, VERDICT_MARKS


def card_table(run: Run, cards: Sequence[Card], width: int) -> Table:
    """Advice, neighbours and costs, one row per card."""
    arms = [arm.name for arm in run.plan.arms]
    several = len(run.plan.rivals) > 1
    shown = pair([short_reference(run.plan.yardstick), "arm"] if several else arms)
    room = card_room(cards, width)
    titles = CARD_FIGURES[room]
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    grid.add_column("scenario", overflow="fold")
    if several:
        grid.add_column("arm", overflow="fold")
    grid.add_column("advice")
    for title in titles:
        heading = title.replace(" (", "\n(")
        grid.add_column(f"{heading}\n{shown}", justify="right", no_wrap=True)
    for card in cards:
        name = [escape(card.arm)] if several else []
        figures = card_figures(card, arms)[room]
        grid.add_row(escape(card_cell(card, run)), *name, escape(card_advice(card)), *figures)
    return grid


def card_room(cards: Sequence[Card], width: int) -> slice:
    """Which of CARD_FIGURES have room: hops follow from the code, memory hardly differs, and what is served
    is in the table above. One wait always has: the canary's where no pulse was measured."""
    if width >= 100:
        return slice(6 if width >= 152 else 4 if width >= 120 else 3)
    return slice(1, 2) if any(any(card.pulses.values()) for card in cards) else slice(2, 3)


def show_findings(console: Console, conclusions: Conclusions) -> None:
    """What failed, how the answers differ, then the verdicts as sentences, then the thresholds."""
    say_list(console, VERDICT_MARKS["failing"], failure_lines(conclusions.failure_kinds))
    say_list(console, VERDICT_MARKS["different"], unlike_lines(conclusions.run, conclusions.verdicts))
    if conclusions.outcomes:
        say(console, headline(conclusions))
        for word, line in gate_lines(conclusions):
            say(console, f"{OUTCOME_MARKS[word]} {line}")
    else:
        for line in sentences(conclusions):
            say(console, line)
    for judgement in conclusions.judgements:
        say(console, judgement_line(judgement))


def show_proof(console: Console, proof: Proof, run: Run) -> None:
    """Whether the advice holds, and the p95 of every endpoint."""
    say(console, proof_title(proof, run))
    for line in proof_lines(proof, run):
        say(console, f"  {line}")
    console.print()
    if not proof.cells:
        return
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, title in enumerate(proof_head(proof)):
        grid.add_column(title, justify="left" if number < 3 else "right", overflow="fold")
    for row in proof_rows(proof):
        grid.add_row(*map(escape, row))
    console.print(grid, highlight=False)
    console.print()


def show_conversion(console: Console, plan: Conversion) -> None:
    """What to convert, in order of gain."""
    console.print(conversion_title(plan), style="bold", markup=False, highlight=False)
    say(console, f"{conversion_text(plan)}.")
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, title in enumerate(CONVERSION_HEAD):
        grid.add_column(title, justify="left" if number < 3 else "right", overflow="fold")
    for step in plan.steps:
        grid.add_row(*map(escape, conversion_row(step)))
    console.print(grid, highlight=False)
    console.print()


def show_endpoints(console: Console, conclusions: Conclusions) -> None:
    """The figures of every endpoint, of the cells that have several."""
    for cell, several in endpoints.by_cell(conclusions.endpoints):
        console.print(f"{cell}, by endpoint", style="bold", markup=False, highlight=False)
        console.print(endpoints.table(several, console.width), highlight=False)
        more = endpoints.left_out(cell, conclusions.endpoints)
        if more:
            say(console, f"and {units.counted(more, 'more endpoint')} with fewer requests")
        console.print()
    if conclusions.endpoints:
        say(console, endpoints.ABOUT)
        console.print()


def show_advice_followed(console: Console, conclusions: Conclusions) -> None:
    """Whether the advice of the run holds, where that was measured, or why it was not."""
    if conclusions.proof is not None:
        show_proof(console, conclusions.proof, conclusions.run)
    if conclusions.nothing_to_mix is not None:
        say(console, unmixed_text(conclusions.nothing_to_mix, conclusions.run))


def show_portraits(console: Console, conclusions: Conclusions) -> None:
    """What an arm by itself does."""
    for first, *more in portraits.blocks(conclusions):
        say(console, first)
        for line in more:
            say(console, f"  {line}")
    if conclusions.portraits:
        console.print()
        console.print(portraits.table(conclusions.portraits, console.width), highlight=False)
        console.print()


def show(console: Console, conclusions: Conclusions) -> None:
    """Whether the advice holds, the findings, then the table, then the cards, then the warnings with their
    remedies."""
    run, found, cards = conclusions.run, conclusions.verdicts, conclusions.cards
    primaries = conclusions.primaries
    show_advice_followed(console, conclusions)
    show_findings(console, conclusions)
    if primaries:
        console.print()
        for metric in dict.fromkeys(verdict.metric for verdict in primaries):
            console.print(units.METRIC_ABOUT[metric], style="dim", highlight=False)
        console.print(table(run, found, console.width), highlight=False)
        console.print()
        show_endpoints(console, conclusions)
    show_portraits(console, conclusions)
    for plan in conclusions.conversions:
        show_conversion(console, plan)
    if cards:
        console.print(card_table(run, cards, console.width), highlight=False)
        console.print()
        for card in cards:
            say(console, card_title(card, run))
            for line in card_lines(card):
                say(console, f"  {line}")
        console.print()
    corrected = together(run, found)
    if corrected:
        say(console, corrected)
    for line in warnings(run, found):
        say(console, f"warning: {line}")
