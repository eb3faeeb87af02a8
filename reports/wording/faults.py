"""Why a trial does not count, in words, with what to do: what one message advises, it advises once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from loadtests.records import Fault
from reports.advice.caveats import LEAN
from reports.analysis.rounds.consistency import CappedAlone
from reports.wording import units


def fault_text(fault: Fault) -> str:
    """What was seen, what is allowed, and what to do."""
    return faults_text([fault])


def faults_text(faults: Sequence[Fault], client: str | None = None) -> str:
    """Several reasons, those with the same remedy together. `client`: the kind of Locust user, None where
    that is not known.

    Where the generator was the limit, its late timers and idle users follow from that: no other remedy."""
    limited = any(fault.kind in ("generator-busy", "near-ceiling") for fault in faults)
    remedies: dict[str, list[str]] = {}
    for fault in faults:
        seen, remedy = fault_parts(fault)
        if limited and fault.kind == "generator-late":
            seen = f"the load generator's timers fired {units.duration(fault.value)} late"
            remedy = carry_text(client)
        elif limited and fault.caps:
            remedy = carry_text(client)
        elif fault.kind == "users-idle":
            remedy = idle_text(client)
        elif fault.kind in ("arrivals-late", "arrivals-missing", "rate-off"):
            remedy = late_text(client)
        remedies.setdefault(remedy, []).append(seen)
    return "; ".join(f"{'; '.join(seen)}: {remedy}" for remedy, seen in remedies.items())


def not_counted(lost: int, of: int, noun: str) -> str:
    """`1 of 6 rounds does not count`."""
    return f"{lost} of {units.counted(of, noun)} {'does' if lost == 1 else 'do'} not count"


def carry_text(client: str | None) -> str:
    """What to do where the generator can make no more requests."""
    return f"use {leaner(client)}more --generators, or a --rate that the generator can make"


def capped_text(one: CappedAlone) -> str:
    """What is known of an arm that the generator held back, and the remedy."""
    side = "at least" if one.metric == "throughput" else "at most"
    known = f"{units.METRIC_NAMES[one.metric]} is {side} {units.value(one.metric, one.bound)}"
    return (
        f"capped: the load generator held {one.arm} back: it is truly faster than it seems, and its {known}: "
        f"{carry_text(one.client)}"
    )


def idle_text(client: str | None) -> str:
    """What to do where users spend their time in the generator."""
    return f"use {leaner(client)}more users (-u), or a --rate"


def late_text(client: str | None) -> str:
    """What to do where the generator did not keep the schedule of an open loop."""
    others = f"stop other programs, or use {leaner(client)}more --generators, or a lower rate"
    return f"{others}; where users log in first (on_start), a longer --warmup"


def leaner(client: str | None) -> str:
    """The leaner client, where Locust's own makes the load, or may."""
    if client is None:
        return "LeanUser of loadtests.load.users if the users are Locust's own, "
    return "" if client == LEAN else f"LeanUser of loadtests.load.users in place of {client}, "


def fault_parts(fault: Fault) -> tuple[str, str]:
    """What was seen with what is allowed, and what to do."""
    value, limit, whole = fault.value, fault.limit or 0.0, fault.whole or 0.0
    match fault.kind:
        case "generators-lost":
            processes = "process" if value == 1 else "processes"
            return f"{value:.0f} load generator {processes} ended or went silent", "see generator.log"
        case "generator-busy":
            return (
                f"the load generator used {value:.0%} of its core (limit {limit:.0%}) and may have measured "
                "itself"
            ), carry_text(None)
        case "generator-idle":
            return (
                f"the load generator used only {value:.0%} of its core (at least {limit:.0%}) against a "
                "server that does nothing: it was starved of CPU"
            ), "stop other programs"
        case "generator-late":
            return (
                f"the load generator's timers fired {units.duration(value)} late "
                f"(limit {units.duration(limit)}): it was starved of CPU"
            ), "stop other programs"
        case "near-ceiling" if value >= whole:
            return f"{units.rate(value)} is the most that the load generator has made", carry_text(None)
        case "near-ceiling":
            return (
                f"{units.rate(value)} is more than {limit / whole:.0%} of the {units.rate(whole)} that the "
                "load generator can reach in this scenario"
            ), carry_text(None)
        case "users-idle":
            return (
                f"users spent {value:.0%} as much time between requests as waiting for responses "
                f"(limit {limit:.0%})"
            ), idle_text(None)
        case "users-ended":
            return (
                f"{value:.0f} of {units.counted(round(whole), 'user')} ended by themselves (StopUser): their "
                "data may be used up"
            ), "let them start over, or give them more"
        case "excess-in-flight":
            return (
                f"the records hold {value:.0%} more requests in flight than "
                f"{units.counted(round(whole), 'user')} can have (limit {limit:.0%})"
            ), "bug in duel, please report it"
        case "arrivals-late" | "arrivals-missing" | "rate-off":
            return schedule_parts(fault.kind, value, limit, whole)
        case "no-sockets":
            return (
                f"the load generator got no socket for {units.counted(round(value), 'request')}"
            ), "close other programs, or raise the limits of open files and ports (ulimit -n)"
        case "steal":
            return (
                f"other guests took {value:.1%} of this host's CPU time (limit {limit:.0%})"
            ), "use a quieter machine"
        case "foreign-work":
            return f"other processes used {value:.2f} CPUs (limit {limit:.2f})", "stop other programs"


def schedule_parts(
    kind: Literal["arrivals-late", "arrivals-missing", "rate-off"], value: float, limit: float, whole: float
) -> tuple[str, str]:
    """How the schedule of an open loop was missed, and what to do."""
    match kind:
        case "arrivals-late":
            return (
                f"1% of the arrivals were sent at least {units.duration(value)} late "
                f"(limit {units.duration(limit)})"
            ), "stop other programs, or use a lower rate"
        case "arrivals-missing":
            return f"{value:.0f} of {whole:.0f} arrivals were never sent", "use a lower rate"
        case "rate-off":
            return f"{units.rate(value)} were sent where {units.rate(whole)} were due", "use a lower rate"
