"""Cards in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadtests.records import LightKind, Run
from reports.advice.cards import Advice, Card
from reports.advice.notes import (
    AlwaysCoroutine,
    LightRoutesAsync,
    MayNotLast,
    NeighbourWaits,
    Note,
    NotForItsSpeed,
    OffloadSeen,
    OffloadUntried,
    PulseMissing,
    ThreadsAreTheDifference,
    ThreadsNote,
    ThreadsSeen,
    ThreadsUndecided,
    ThreadsUnsound,
    ThreadsUntried,
)
from reports.advice.weighing.behind import FinishesMore
from reports.advice.weighing.computing import HoldsGil
from reports.analysis.signs import CanaryTimes
from reports.wording import units
from reports.wording.bottlenecks import canary_text, limit_text
from reports.wording.cpus import cpus_text
from reports.wording.gates.notes import gate_figures
from reports.wording.reservations import reservation_text
from reports.wording.vocabulary import OUTCOMES

NEIGHBOURS: Mapping[LightKind, str] = {
    "pulse": "an `async def` route",
    "canary": "the app's own light route",
}

LONGEST_HEAD = 9
"""Maximum length of a reference's name above its column."""


def short_reference(name: str) -> str:
    """The heading of the reference's column beside several arms: a long name would leave them no room."""
    return name if len(name) <= LONGEST_HEAD else "reference"


def advice_text(advice: Advice) -> str:
    """What to write, in a word or a few."""
    match advice.kind:
        case "arm" | "style":
            return advice.name
        case "either":
            return "either"
        case "offload":
            return "offload it"
        case "more-threads":
            return "raise the thread limit"
        case "not-decided":
            return "not decided"
        case "not-comparable":
            return "not comparable"


def card_advice(card: Card) -> str:
    """A card's heading: its advice, or in a gate its outcome."""
    return OUTCOMES[card.outcome] if card.outcome is not None else advice_text(card.advice)


def card_cell(card: Card, run: Run) -> str:
    """The scenario, with the load of a card's figures where the run has several: `cached at 1 user`."""
    several = len({cell.load for cell in run.plan.cells}) > 1
    return str(card.verdict.cell) if several else card.scenario


def card_range(card: Card, run: Run) -> str:
    """Where a card's advice holds: `at 8 to 64 users, server on 1 CPU`; "" where nothing is decided."""
    if card.lowest is None or card.highest is None:
        return ""
    unit = "arrivals per second" if run.plan.open else "users" if card.highest != 1 else "user"
    loads = f"{card.highest:g}" if card.lowest == card.highest else f"{card.lowest:g} to {card.highest:g}"
    text = f"at {loads} {unit}"
    if card.verdict.cpus is not None:
        text += f", {cpus_text(card.verdict.cpus)}"
    if card.crossover:
        text += f"; the order flips between {card.crossover[0]:g} and {card.crossover[1]:g}"
    return text


def card_title(card: Card, run: Run) -> str:
    """`upstream: async def, at 8 to 64 users, server on 1 CPU`."""
    where = f"{card.scenario}, {card.arm}" if len(run.plan.rivals) > 1 else card.scenario
    return ", ".join(filter(None, (f"{where}: {card_advice(card)}", card_range(card, run))))


def card_reason(card: Card) -> str:
    """What limits each arm: the leading bottleneck of each, with its evidence."""
    limited = [
        f"{arm} is limited by {limit_text(limits[0])}"
        for arm in (card.verdict.reference, card.arm)
        if (limits := card.limits[arm])
    ]
    return "; ".join(limited) or "no bottleneck identified"


def card_lines(card: Card) -> list[str]:
    """In a gate the endpoints that do not pass; then the reason, and the notes."""
    endpoints = []
    for word, verdict in card.endpoints:
        why = gate_figures(verdict) or "; ".join(map(reservation_text, verdict.reservations))
        endpoints.append(f"{verdict.endpoint}: {OUTCOMES[word]}: {why}")
    return [*endpoints, card_reason(card), *map(note_text, card.notes)]


def note_text(note: Note) -> str:
    """A note on the advice."""
    match note:
        case NeighbourWaits(arm, kind, waits, instead):
            why = wait_reason(note)
            return f"beside {arm}, {NEIGHBOURS[kind]} waits {instead_text(waits, instead)}: {why}"
        case LightRoutesAsync(arm, asyncs, defs):
            return (
                f"keep light routes `async def`: beside {arm} they wait {instead_text(asyncs, defs)}, which "
                "`def` routes wait for a thread"
            )
        case HoldsGil(arm, waits):
            return f"{gil_text(arm)}, here {canary_text(waits)}: {OWN_PROCESS}"
        case PulseMissing(arm):
            return (
                f"no pulse was measured: how much longer `async def` neighbours wait beside {arm} is not "
                "known, so it is not advised for its speed"
            )
        case AlwaysCoroutine():
            return (
                "FastAPI takes a WebSocket route as `async def` only: `def` stands for one that hands its "
                "blocking calls to threads (run_in_threadpool)"
            )
        case NotForItsSpeed(arm):
            return (
                f"{arm} is ahead, but fails more requests, drops connections or may let work pile up: not "
                "advised for its speed"
            )
        case MayNotLast(arm):
            return f"{arm} keeps more objects with every response: its throughput may not last"
        case FinishesMore(arm, other, finished, others):
            return (
                f"{arm}'s work piles up, and it still finishes {units.rate(finished)}, where {other} answers "
                f"{units.rate(others)}: {other} is no remedy; find the rate that {arm} sustains (--rate)"
            )
        case OffloadUntried():
            return "computing or blocking in a thread or a process instead: not tried here"
        case OffloadSeen(metric, ratio, waits):
            return (
                f"as `def`, on threads: {units.ratio(ratio)} the {units.METRIC_NAMES[metric]}, and a light "
                f"request takes {canary_text(waits)}; a process pool: not tried here"
            )
        case _:
            return threads_text(note)


def wait_reason(note: NeighbourWaits) -> str:
    """What light requests wait for."""
    match note.behind, note.kind:
        case "requests", _:
            return (
                f"behind many short requests, since {note.arm} serves more of them; at the "
                "other arm's rate it has time left"
            )
        case "threads", "canary":
            return "other `def` routes queue for the same threads"
        # A pulse needs no thread, but the GIL, which threads that compute hold in turn.
        case "threads", _:
            return "its threads hold the GIL in turn"
        case _:
            return "everything else on its event loop waits"


def threads_text(note: ThreadsNote) -> str:
    """What more threads would do, or did."""
    match note:
        case ThreadsUntried(arm, threads, by_app):
            way = "its app sets that number itself" if by_app else "--sweep threads=…"
            return f"not tried: more than {threads:g} threads for {arm} ({way})"
        case ThreadsAreTheDifference(arm, limited, threads):
            return f"{arm} is {limited} with {threads:g} threads"
        case ThreadsSeen(limited, threads, better, metric, ratio, bounds):
            return (
                f"with {threads:g} threads {limited} has {units.ratio(ratio)} "
                f"({units.interval(*bounds)}) of {better}'s {units.METRIC_NAMES[metric]}"
            )
        case ThreadsUnsound(limited, threads):
            return (
                f"with {threads:g} threads {limited} fails requests or has no valid measurement, so more "
                "threads are not advised"
            )
        case ThreadsUndecided():
            return "with more threads nothing was decided"


OWN_PROCESS = "compute in a process (ProcessPoolExecutor), or accept that"


def gil_text(arm: str) -> str:
    """What threads that compute cost their neighbours."""
    return f"{arm} computes on threads, which hold the GIL in turn, so `async def` neighbours wait for it"


def instead_text(waits: CanaryTimes, instead: CanaryTimes) -> str:
    """`35.1 ms instead of 182 ms (p95)`."""
    return f"{units.duration(waits.response_time)} instead of {canary_text(instead)}"


def served_text(card: Card, arms: Sequence[str]) -> str:
    """`437/s / 484/s`: what each arm serves."""
    found = [card.served[name] for name in arms if name in card.served]
    return " / ".join(units.NONE if one is None else units.rate(one) for one in found)


CARD_FIGURES = (
    "served", "async def waits (pulse)", "light route waits (canary)", "CPU s per 1,000", "thread hops",
    "memory",
)  # fmt: skip


def card_figures(card: Card, arms: Sequence[str]) -> tuple[str, ...]:
    """What is served per second, what an `async def` neighbour and the app's own light route wait beside the
    load, CPU seconds per 1,000 requests, thread hops per request, memory: of the reference and the arm."""
    names = [name for name in arms if name in card.costs]
    costs = [card.costs[name] for name in names]
    return (
        served_text(card, names),
        waits_text(card.pulses, names),
        waits_text(card.neighbours, names),
        " / ".join(units.NONE if one.cpu is None else units.figures(one.cpu) for one in costs),
        " / ".join(units.NONE if one.hops is None else f"{one.hops:.0f}" for one in costs),
        " / ".join(units.memory(None if one.rss is None else round(one.rss)) for one in costs),
    )


def waits_text(found: Mapping[str, CanaryTimes | None], names: Sequence[str]) -> str:
    """`35.1 ms / 182 ms (p95)`: what light requests wait beside each arm's load."""
    parts = {one.part for one in found.values() if one}
    suffix = f" (p{min(parts) * 100:.0f})" if len(parts) == 1 else ""
    waits = [found.get(name) for name in names]
    return " / ".join(units.duration(one.response_time if one else None) for one in waits) + suffix
