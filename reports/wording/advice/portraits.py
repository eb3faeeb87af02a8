"""What one arm shows by itself, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from loadtests.records import Metric, Plan, Run
from reports.advice.explanations import Explanations
from reports.advice.portraits import EndpointFigures, NextStep, OwnFigure, Portrait
from reports.advice.threads import in_force
from reports.advice.weighing.costs import Cost
from reports.analysis.catalogue import is_twin
from reports.analysis.rounds.holders import Holder
from reports.analysis.signs import Signs
from reports.wording import units
from reports.wording.advice.cards import OWN_PROCESS, gil_text
from reports.wording.bottlenecks import light_text, limit_text
from reports.wording.cpus import cpus_text
from reports.wording.reservations import reservation_text
from reports.wording.vocabulary import PORTRAIT_MARKS

HEADS = ("scenario", "load", "requests", "failed", "throughput", "p50", "p95", "p99")
"""Of the table of all cells: see `row_texts`."""


def portrait_title(plan: Plan) -> str:
    """`app by itself`."""
    return f"{plan.reference.name} by itself"


def portrait_lines(portrait: Portrait, explanations: Explanations) -> list[str]:
    """The arm in one cell: its figures, what limits it, what others wait, what it costs, what to try next."""
    run = explanations.run
    lines = [headline(portrait, run.plan), *map(reservation_text, portrait.reservations)]
    if portrait.word == "invalid":
        return lines  # its reservations say why, and what to do
    if not run.plan.external(portrait.arm):
        lines[0] += f"; {cpus_text(run.server_cpus(portrait.cell))}"
    lines.append(limitation(portrait, explanations))
    lines += neighbour_text(portrait.signs)
    if portrait.computes is not None:
        lines.append(f"{gil_text(portrait.arm)}: {OWN_PROCESS}")
    lines += cost_text(portrait.cost)
    if portrait.next_step is not None:
        lines.append(f"try next: {next_text(portrait.next_step, portrait, explanations.run)}")
    return lines


def headline(portrait: Portrait, plan: Plan) -> str:
    """`Reader at 64 users: throughput 1,010/s (984/s–1,030/s), median response time 31.2 ms, n = 6`."""
    where = f"{PORTRAIT_MARKS[portrait.word]} {portrait.cell}"
    if portrait.word in ("failing", "invalid"):
        return f"{where}: {portrait.word}"
    metric, figures = portrait.metric, portrait.whole.figures
    known = figures.get(metric)
    if known is None:
        few = portrait.n < plan.min_rounds
        why = f", which takes {plan.min_rounds} rounds: n = {portrait.n}" if few else ""
        return f"{where}: {units.METRIC_NAMES[metric]} is not known{why}"
    bounds = units.ends(metric, known.low, known.high)
    said = [f"{units.METRIC_NAMES[metric]} {units.value(metric, known.value)} ({bounds})"]
    other: Metric = "p50" if metric == "throughput" else "throughput"
    if other in figures:
        said.append(f"{units.METRIC_NAMES[other]} {units.value(other, figures[other].value)}")
    unsure = ""
    if portrait.word == "inconclusive":
        one_side = ": known from one side only"
        within = units.exact_percent(plan.margin)
        unsure = one_side if portrait.settled else f": not known to within {within} yet"
    return f"{where}: {', '.join(said)}, n = {portrait.n}{unsure}"


def limitation(portrait: Portrait, explanations: Explanations) -> str:
    """What limits the arm, with the evidence."""
    _, limits = explanations.of(portrait.cell, portrait.arm)
    if not limits:
        return "no bottleneck identified"
    return f"limited by {limit_text(limits[0])}"


def neighbour_text(signs: Signs | None) -> list[str]:
    """What others wait; empty where nothing was requested beside the load."""
    parts = []
    if signs is not None and signs.pulse is not None:
        parts.append(f"an `async def` neighbour waits {light_text(signs.pulse, 'pulse')}")
    if signs is not None and signs.canary is not None:
        parts.append(f"the app's own light route waits {light_text(signs.canary, 'canary')}")
    return ["; ".join(parts)] if parts else []


def cost_text(cost: Cost) -> list[str]:
    """What a request costs; empty where nothing of it is known."""
    parts = []
    if cost.cpu is not None:
        parts.append(f"{units.duration(cost.cpu / 1000)} of CPU time")
    if cost.hops is not None:
        parts.append(units.counted(round(cost.hops), "thread hop"))
    text = f"a request costs {' and '.join(parts)}" if parts else ""
    memory = f"the server holds {units.memory(round(cost.rss))}" if cost.rss is not None else ""
    return ["; ".join(filter(None, (text, memory)))] if text or memory else []


def row_texts(portrait: Portrait, row: EndpointFigures) -> tuple[str, ...]:
    """A row of the table, see HEADS: of a mix, the whole first, then its endpoints."""
    whole = row is portrait.whole
    name = portrait.cell.scenario if whole else f"  {row.endpoint}"
    known = row.figures.get("throughput")
    served = units.NONE if known is None else served_text(known)
    percentiles: Sequence[Metric] = ("p50", "p95", "p99")
    return (
        name,
        str(portrait.cell.load) if whole else "",
        f"{row.requests:,}",
        units.percent(row.failed),
        served,
        *(
            units.value(metric, at.value if (at := row.figures.get(metric)) else None)
            for metric in percentiles
        ),
    )


def served_text(throughput: OwnFigure) -> str:
    """`1,010/s ±2%`, or `≥ 984/s` where the load generator held the arm back."""
    if throughput.high is None:
        return f"≥ {units.rate(throughput.low)}"
    return f"{units.rate(throughput.value)} ±{throughput.half_width:.0%}"


def off_the_loop(holder: Holder) -> str:
    """Where the work of a line that holds the event loop may go."""
    where = f"{holder.what} ({holder.shown}:{holder.line}) off the event loop, in a second --arm"
    if holder.computes:
        return f"{where}: in a process, or as `def`, on threads"
    return f"{where}: an async client, or a thread (`def`, asyncio.to_thread)"


def more_processes(portrait: Portrait, run: Run) -> str:
    """What would show whether an arm gains from them: not workers that share a CPU."""
    alone = len(run.server_cpus(portrait.cell).numbers) == 1
    where = ", on a machine with more CPUs for the server than one" if alone else ""
    return f"more processes{where}: --sweep workers=1,2"


def next_text(step: NextStep, portrait: Portrait, run: Run) -> str:
    """The experiment that would tell whether the limit is understood, as a command where there is one."""
    arm = run.plan.reference
    match step:
        case "more-threads":
            now, by_app = in_force(run, arm)
            if by_app:
                return f"more threads than the {now:g} that the app sets itself, as a second --arm"
            return f"more threads: --sweep threads={now:g},{2 * now:g},{4 * now:g}"
        case "larger-pool":
            return "a larger connection pool (SQLAlchemy: pool_size) in a second --arm"
        case "shorter-transactions":
            return "shorter transactions, which hold their locks for less time"
        case "find-the-call":
            holder = next(iter(portrait.signs.holders), None) if portrait.signs is not None else None
            if holder is not None:
                return off_the_loop(holder)
            app = arm.app if arm.url is None else "module:attribute"
            return f"`duel advise {app}`, which names calls that block the event loop"
        case "another-client":
            ours = ", such as client=httpx2" if is_twin(arm) else ""
            return f"another HTTP client in a second --arm{ours}"
        case "more-workers":
            return more_processes(portrait, run)
        case "own-process":
            return f"the same work in a process pool, as a second --arm; or {more_processes(portrait, run)}"
        case "more-users":
            users = portrait.cell.load.users or 1
            return f"more users, to find a limit: -u {2 * users},{4 * users}"
        case "fewer-hops":
            return "fewer hops between event loop and threads: `def` dependencies, middleware, sync_to_async"
        case "lighter-generator":
            return "lighter users (loadtests.load.users.LeanUser), or --generators 2"
        case "quiet-machine":
            return "the same run while nothing else works on this machine"
    assert_never(step)
