"""For the terminal: the plan, the verdicts as sentences and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from loadtests.records import Cell, Machine, Metric, Plan, Run
from reports import units
from reports.cards import Card
from reports.caveats import caveats
from reports.conclusions import Conclusions
from reports.gate import OUTCOMES
from reports.selftest import Answer, conclusion
from reports.thresholds import Judgement
from reports.verdicts import Outcome, Verdict, Word, standing

LONGEST_HEAD = 9
"""Letters of a reference's name that still fit over its figures."""
MARKS: dict[Word, str] = {
    "faster": "▲", "slower": "▼", "equivalent": "=", "inconclusive": "~", "failing": "✗", "invalid": "!",
}  # fmt: skip
STYLES: dict[Word, str] = {
    "faster": "bold", "slower": "bold", "equivalent": "", "inconclusive": "dim", "failing": "red",
    "invalid": "red",
}  # fmt: skip


def plan_text(plan: Plan) -> str:
    """What will happen and how long it takes, in three lines."""
    least, most = plan.expected_seconds()
    trials = len(plan.cells) * len(plan.arms) * plan.min_rounds
    arms = " against ".join(arm.name for arm in plan.arms) + f", reference {plan.reference.name}"
    if plan.against:
        arms = ", ".join(f"{head} against {base}" for head, base in plan.against.items())
    further = plan.max_rounds - plan.min_rounds >= plan.block
    more = f", then more where undecided, up to {plan.max_rounds}" if further else ""
    lines = [
        f"{arms}: {counted(len(plan.cells), 'cell')}, windows of "
        f"{plan.window:g} s after {plan.warmup:g} s of warm-up, a fresh server and database for every trial.",
        f"{counted(plan.min_rounds, 'round')} ({trials} trials){more}: "
        + (
            f"{units.span(least)} to {units.span(most)}."
            if most > least * 1.05
            else f"about {units.span(least)}."
        ),
    ]
    needed = len(plan.cells) * len(plan.arms) * plan.min_rounds * plan.trial_seconds()
    if plan.deadline is not None and needed > plan.deadline:
        lines.append(
            f"{units.span(plan.deadline)} are too short for {plan.min_rounds} rounds of all cells, about "
            f"{units.span(needed)}: some will stay undecided. Give more time, or fewer cells (-s, -u)."
        )
    if plan.profile == "quick":
        lines.append(
            "The quick profile is a demonstration: it settles large effects and leaves small ones undecided."
        )
    return "\n".join(lines)


def cells_text(plan: Plan) -> str:
    """The cells, one scenario a line with its loads."""
    loads: dict[str, list[str]] = {}
    for cell in plan.cells:
        loads.setdefault(cell.scenario, []).append(f"{cell.load.level:g}")
    unit = " arrivals a second" if plan.open else " users"
    return "\n".join(f"  {scenario} at {', '.join(levels)}{unit}" for scenario, levels in loads.items())


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def sentence(verdict: Verdict, plan: Plan) -> str:
    """A verdict in words, with the HTTP clients where another service is called."""
    # With several arms, words such as "equivalent" must say whose they are.
    where = f"{verdict.cell}, {verdict.arm}" if len(plan.rivals) > 1 else str(verdict.cell)
    clients = f"; {verdict.clients}" if verdict.clients else ""
    return f"{where}: {finding(verdict, verdict.reference)}{clients}"


def sentences(conclusions: Conclusions) -> list[str]:
    """What is said of every primary verdict, in a gate of what the gate asks."""
    plan = conclusions.run.plan
    if not plan.gate:
        return [sentence(verdict, plan) for verdict in conclusions.primaries]
    judged = zip(conclusions.primaries, conclusions.outcomes, strict=True)
    return [gate_sentence(verdict, word, plan) for verdict, word in judged]


def gate_sentence(verdict: Verdict, word: Outcome, plan: Plan) -> str:
    """What a gate says of a cell."""
    if verdict.ratio is None or verdict.low is None:
        return sentence(verdict, plan)
    numbers = f"({units.ratio(verdict.ratio)}, {units.interval(verdict.low, verdict.high)}, n = {verdict.n})"
    where = f"{verdict.cell}, {verdict.arm}"
    values = [
        units.value(verdict.metric, verdict.values.get(name)) for name in (verdict.reference, verdict.arm)
    ]
    what = f"{units.METRIC_NAMES[verdict.metric]} {' → '.join(values)} {numbers}"
    than = f"than {verdict.reference} by more than {plan.margin:.0%}"
    match word:
        case "regression":
            return f"{where}: worse {than}: {what}"
        case "pass":
            return f"{where}: not worse {than}: {what}"
        case "invalid":
            return f"{where}: invalid: {'; '.join(verdict.warnings)}"
        case "inconclusive":
            return f"{where}: not decided whether it is worse {than}: {what}"


def headline(words: Sequence[Outcome]) -> str:
    """A gate in one line, by the outcomes of its cases."""
    counts = [f"{words.count(word)} {OUTCOMES[word]}" for word in WORST_FIRST if word in words]
    how = {"pass": "passed", "regression": "breached", "inconclusive": "not decided", "invalid": "invalid"}
    said = ", ".join(counts) or "nothing was judged"
    return f"gate {how[worst(words)]}: {said}, of {counted(len(words), 'case')}"


def worst(words: Sequence[Outcome]) -> Outcome:
    """The worst of all; nothing passes where nothing was judged."""
    return next((word for word in WORST_FIRST if word in words), "invalid")


def finding(verdict: Verdict, reference: str) -> str:
    """What a verdict says."""
    n = f"n = {verdict.n}"
    if verdict.ratio is None or verdict.low is None:
        reason = f": {verdict.warnings[0]}" if verdict.warnings else ""
        return f"{verdict.verdict}{reason}"
    numbers = f"({units.ratio(verdict.ratio)}, {units.interval(verdict.low, verdict.high)}, {n})"
    factor = units.figures(max(verdict.ratio, 1 / verdict.ratio))
    first, second = verdict.arm, reference
    if verdict.verdict == "slower":
        first, second = second, first
    match verdict.verdict:
        case "faster" | "slower" if verdict.metric == "throughput":
            return f"{first} serves {factor} times as much as {second} {numbers}"
        case "faster" | "slower":
            what = units.METRIC_NAMES[verdict.metric]
            return f"{second} takes {factor} times as long as {first} ({what}) {numbers}"
        case "equivalent":
            ahead = verdict.arm if (verdict.ratio > 1) == (verdict.metric == "throughput") else reference
            by = abs(verdict.ratio - 1)
            lead = f", {ahead} ahead by {by:.0%}" if by >= 0.005 else ""
            return f"equivalent{lead} {numbers}"
        case "inconclusive":
            return f"not decided {numbers}"
        case word:
            return f"{word}: {'; '.join(verdict.warnings)}"


def table(run: Run, found: Sequence[Verdict], width: int) -> Table:
    """The primary verdicts with intervals; p50 and p95 besides where there is room."""
    wide = width >= 110
    padding = (0, 2 if width >= 90 else 1, 0, 0)
    rich_table = Table(box=None, pad_edge=False, header_style="bold", padding=padding)
    several = len(run.plan.rivals) > 1
    arms = [arm.name for arm in run.plan.arms]
    reference = run.plan.yardstick
    rich_table.add_column("scenario", overflow="fold")
    rich_table.add_column("rate" if run.plan.open else "users", justify="right", no_wrap=True)
    if several:
        rich_table.add_column("arm", no_wrap=True)
        shown = [short_reference(reference), "arm"]
    else:
        shown = arms
    for name in shown:
        rich_table.add_column(name, justify="right", no_wrap=True)
    rich_table.add_column("ratio", justify="right", no_wrap=True)
    rich_table.add_column("interval", justify="right", no_wrap=True)
    rich_table.add_column("n", justify="right")
    rich_table.add_column("verdict", no_wrap=True)
    latencies = {(v.cell, v.arm, v.metric): v for v in found if v.endpoint == first_endpoint(found, v.cell)}
    if wide:
        besides: tuple[Metric, ...] = ("service_p50", "service_p99") if run.plan.open else ("p50", "p95")
        for metric in besides:
            title = f"{units.METRIC_SHORT[metric]} {' / '.join(shown)}"
            rich_table.add_column(title, justify="right", no_wrap=True)
    for row in (v for v in found if v.primary):
        level = f"{row.cell.load.level:g}" + ("/s" if run.plan.open else "")
        cells: list[RenderableType] = [escape(row.cell.scenario), level]
        if several:
            cells.append(escape(row.arm))
        cells += [units.value(row.metric, row.values.get(name)) for name in (row.reference, row.arm)]
        cells += [units.ratio(row.ratio), units.interval(row.low, row.high), str(row.n)]
        cells.append(Text(f"{MARKS[row.verdict]} {row.verdict}", style=STYLES[row.verdict]))
        if wide:
            for metric in besides:
                other = latencies.get((row.cell, row.arm, metric))
                values = other.values if other else {}
                pair = (units.duration(values.get(row.reference)), units.duration(values.get(row.arm)))
                cells.append(" / ".join(pair))
        rich_table.add_row(*cells)
    return rich_table


def short_reference(name: str) -> str:
    """What heads the reference's column beside several arms; a long name would leave them no room."""
    return name if len(name) <= LONGEST_HEAD else "reference"


def first_endpoint(found: Sequence[Verdict], cell: Cell) -> str | None:
    """The endpoint that a cell's primary verdict is about."""
    return next((v.endpoint for v in found if v.cell == cell and v.primary), None)


def say(console: Console, text: str) -> None:
    """A line of text, wrapped between words on a terminal and left whole in a file."""
    console.print(text, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def card_title(card: Card, run: Run) -> str:
    """`upstream: async def, from 8 to 64 users`."""
    unit = "arrivals a second" if run.plan.open else "users"
    where = f"{card.scenario}, {card.arm}" if len(run.plan.rivals) > 1 else card.scenario
    if card.lowest is None or card.highest is None:
        return f"{where}: {card.advice}"
    levels = f"{card.highest:g}" if card.lowest == card.highest else f"{card.lowest:g} to {card.highest:g}"
    text = f"{where}: {card.advice}, at {levels} {unit if card.highest != 1 else unit.removesuffix('s')}"
    if card.crossover:
        text += f"; the order flips between {card.crossover[0]:g} and {card.crossover[1]:g}"
    return text


def card_lines(card: Card) -> list[str]:
    """Why, and what goes with it."""
    return [card.reason, *card.notes]


CARD_FIGURES = ("others wait", "CPU s per 1,000", "thread hops", "memory")


def card_figures(card: Card, arms: Sequence[str]) -> tuple[str, ...]:
    """What a light request beside the load waits, the CPU seconds of 1,000 requests, the thread hops of
    one, and memory: of the reference and the arm."""
    names = [name for name in arms if name in card.costs]
    parts = {one.part for one in card.neighbours.values() if one}
    suffix = f" (p{min(parts) * 100:.0f})" if len(parts) == 1 else ""
    waits = [card.neighbours.get(name) for name in names]
    costs = [card.costs[name] for name in names]
    return (
        " / ".join(units.duration(one.response_time if one else None) for one in waits) + suffix,
        " / ".join(units.NONE if one.cpu is None else units.figures(one.cpu) for one in costs),
        " / ".join(units.NONE if one.hops is None else f"{one.hops:.0f}" for one in costs),
        " / ".join(units.memory(None if one.rss is None else round(one.rss)) for one in costs),
    )


def card_table(run: Run, cards: Sequence[Card], width: int) -> Table:
    """Advice, neighbours and costs, one row a card."""
    arms = [arm.name for arm in run.plan.arms]
    several = len(run.plan.rivals) > 1
    shown = " / ".join([short_reference(run.plan.yardstick), "arm"] if several else arms)
    # Hops follow from the code, and memory hardly differs: they go where there is no room.
    titles = CARD_FIGURES[: 4 if width >= 110 else 2]
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    grid.add_column("scenario", overflow="fold")
    if several:
        grid.add_column("arm", overflow="fold")
    grid.add_column("advice")
    for title in titles:
        grid.add_column(f"{title}\n{shown}", justify="right", no_wrap=True)
    for card in cards:
        name = [escape(card.arm)] if several else []
        figures = card_figures(card, arms)[: len(titles)]
        grid.add_row(escape(card.scenario), *name, escape(card.advice), *figures)
    return grid


GATE_MARKS: dict[Outcome, str] = {"regression": "✗", "invalid": "!", "inconclusive": "~", "pass": "✓"}
WORST_FIRST: Sequence[Outcome] = ("regression", "invalid", "inconclusive", "pass")
JUDGED = {"met": "✓", "missed": "✗", "inconclusive": "~"}


def judgement_line(judgement: Judgement) -> str:
    """`✓ http_req_duration{arm:async}: p(95)<50: posts.read at 64 users, async: 41.2 ms (39.0 to 43.5)`."""
    where = f"{judgement.cell}, {judgement.arm}"
    return f"{JUDGED[judgement.word]} {judgement.threshold.text}: {where}: {judgement.shown}"


def show(console: Console, conclusions: Conclusions) -> None:
    """Sentences, the thresholds, then the table, then the cards, then the warnings with their remedies."""
    run, found, cards = conclusions.run, conclusions.verdicts, conclusions.cards
    primaries = conclusions.primaries
    if conclusions.outcomes:
        say(console, headline(conclusions.outcomes))
        for word, said in zip(conclusions.outcomes, sentences(conclusions), strict=True):
            say(console, f"{GATE_MARKS[word]} {said}")
    else:
        for said in sentences(conclusions):
            say(console, said)
    for judgement in conclusions.judgements:
        say(console, judgement_line(judgement))
    if primaries:
        console.print()
        for metric in dict.fromkeys(verdict.metric for verdict in primaries):
            console.print(units.METRIC_ABOUT[metric], style="dim", highlight=False)
        console.print(table(run, found, console.width), highlight=False)
        console.print()
    if cards:
        console.print(card_table(run, cards, console.width), highlight=False)
        console.print()
        for card in cards:
            say(console, card_title(card, run))
            for line in card_lines(card):
                say(console, f"  {line}")
        console.print()
    line = together(run, found)
    if line:
        say(console, line)
    for line in warnings(run, found):
        say(console, f"warning: {line}")


def together(run: Run, found: Sequence[Verdict]) -> str:
    """What is left of the differences when all cells together may err as often as one; "" for one cell."""
    differences, stand = standing(found, run.plan.level)
    if len(run.plan.cells) < 2 or not differences:
        return ""
    return (
        f"Each verdict errs with a probability of {run.plan.level:.0%} at most. All cells taken together "
        f"(Holm), {stand} of {counted(differences, 'difference')} can be relied on."
    )


def warnings(run: Run, found: Sequence[Verdict]) -> list[str]:
    """What a reader must know besides the verdicts: of primaries, each thing once with its cells."""
    several = len(run.plan.rivals) > 1
    said: dict[str, list[str]] = {}
    for verdict in found:
        if verdict.primary:
            where = f"{verdict.cell}, {verdict.arm}" if several else str(verdict.cell)
            for warning in verdict.warnings:
                said.setdefault(warning, []).append(where)
    lines = [f"{'; '.join(cells)}: {warning}" for warning, cells in said.items()]
    return [*caveats(run, found), *lines]


def show_catalogue(
    console: Console, arms: Mapping[str, str], profiles: Mapping[str, str], scenarios: Mapping[str, Any]
) -> None:
    """What can be named on the command line."""
    listing(console, "arms", [(name, app) for name, app in arms.items()])
    listing(console, "profiles", list(profiles.items()))
    mixes = {name: of for name, of in scenarios.items() if len(of["endpoints"]) > 1}
    listing(console, "mixed scenarios", [(name, mix_text(of)) for name, of in mixes.items()])
    singles = {name: of for name, of in scenarios.items() if name not in mixes}
    listing(
        console,
        "scenarios of one endpoint",
        [(name, "writes" if of["writes"] else "reads") for name, of in singles.items()],
    )


def mix_text(scenario: Mapping[str, Any]) -> str:
    """`posts.read 40, posts.list 10`: weights as parts of a hundred or so."""
    return f"{scenario['about']} ({', '.join(f'{name} {n}' for name, n in scenario['endpoints'].items())})"


def listing(console: Console, title: str, rows: Sequence[tuple[str, str]]) -> None:
    console.print(title, style="bold", highlight=False)
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for name, text in rows:
        grid.add_row(f"  {escape(name)}", escape(text))
    console.print(grid, highlight=False)
    console.print()


def show_answers(console: Console, answers: Sequence[Answer]) -> None:
    """Known answers and what was found, with a remedy where it is wrong, and what that says."""
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("", "question", "known", "found"):
        grid.add_column(title)
    for answer in answers:
        mark = Text("✓") if answer.right else Text("✗", style="red")
        grid.add_row(mark, answer.question, answer.known, answer.found)
    console.print(grid, highlight=False)
    console.print()
    for answer in answers:
        if not answer.right:
            say(console, f"warning: {answer.question}: {answer.remedy}")
    say(console, conclusion(answers))


def show_machine(console: Console, machine: Machine, findings: Sequence[str], ceiling: float) -> None:
    """The fingerprint, what the generator can do here, and what speaks against measuring."""
    placed = ", ".join(f"{who} on {list(cpus)}" for who, cpus in machine.placement.items())
    rows = [
        ("processor", f"{machine.cpu}, {machine.cores} cores"),
        ("memory", units.memory(machine.memory)),
        ("system", machine.system),
        ("python", machine.python),
        ("packages", ", ".join(f"{name} {version}" for name, version in machine.packages.items())),
        ("database", machine.database or "not used yet"),
        ("placement", placed or "none: processes cannot be bound to CPUs here"),
        ("generator", f"{units.rate(ceiling)} at most, of a server that does nothing"),
    ]
    listing(console, "machine", rows)
    for finding in findings:
        say(console, f"warning: {finding}")
    if not findings:
        console.print("the machine is quiet enough", highlight=False)


def show_equality(console: Console, arms: Sequence[str], compared: int | None) -> None:
    names = " and ".join(arms)
    if compared is None:
        text = f"{names} start; their answers were not compared, since no OpenAPI document says what to ask"
    else:
        text = f"{names} answer {compared} requests alike"
    say(console, text)
