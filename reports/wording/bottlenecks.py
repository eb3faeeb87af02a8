"""What limits an arm, in words."""

from __future__ import annotations

from loadtests.records import Fault, LightKind
from reports.analysis.bottlenecks import (
    Bottleneck,
    CallsCostly,
    CpuExhausted,
    Evidence,
    FewUsers,
    LockWait,
    LoopLate,
    OneCpuEach,
    PoolExhausted,
    ThinkTime,
    TokensExhausted,
)
from reports.analysis.rounds.holders import Holder
from reports.analysis.signs import CanaryTimes
from reports.analysis.waits import MOST, Convoy, IdleWait, Observed, SlowAlone
from reports.wording import units
from reports.wording.faults import fault_text

SHOWN = 0.1
"""Fraction of a wait below which its part is not mentioned."""


def limit_text(limit: Bottleneck) -> str:
    """`event-loop: notes/main.py:41 requests.get holds it 83% of the time (…)`: what limits an arm, with the
    evidence."""
    evidence = evidence_text(limit.evidence)
    if isinstance(limit.evidence, LoopLate) and limit.evidence.holder is not None:
        return f"{limit.name}: {holder_text(limit.evidence.holder)} ({evidence})"
    return f"{limit.name} ({evidence})"


def holder_text(holder: Holder) -> str:
    """`notes/main.py:41 requests.get holds it 83% of the time, waiting (GET /notes/{id}; 412 samples)`."""
    does = "computes on it" if holder.computes else "holds it"
    waits = ", waiting" if holder.computes is False else ""
    others = f" and {units.counted(holder.routes - 1, 'other route')}" if holder.routes > 1 else ""
    where = f"{holder.route}{others}; " if holder.route is not None else ""
    return (
        f"{holder.shown}:{holder.line} {holder.what} {does} {holder.part:.0%} of the time{waits} "
        f"({where}{units.counted(holder.looks, 'sample')})"
    )


def evidence_text(evidence: Evidence) -> str:
    """The evidence that something limits an arm."""
    match evidence:
        case Fault():
            return fault_text(evidence)
        case LoopLate(computes, lag, canary):
            doing = "computing" if computes else "blocked"
            beside = f", and a light request beside the load takes {canary_text(canary)}" if canary else ""
            return f"its event loop is {doing} and runs {units.duration(lag)} late (p90){beside}"
        case CallsCostly(delay, latency, among, alone, client):
            by = f"{client} calls: " if client is not None else ""
            return (
                f"{by}the called service answered in {units.duration(delay)}, the route in "
                f"{units.duration(latency)}; under load a request costs {units.duration(among)} of CPU time, "
                f"alone {units.duration(alone)}"
            )
        case LockWait(seconds, part):
            return (
                f"a request waits {units.duration(seconds)} for locks, {part:.0%} of its time with a "
                "connection"
            )
        case PoolExhausted(connections, part, wait):
            return (
                f"all {connections:.0f} database connections were in use, with requests waiting for one, in "
                f"{part:.0%} of the heartbeats; a request waits {units.duration(wait)}"
            )
        case TokensExhausted(tokens, part, queued, service_time):
            return (
                f"all {tokens:.0f} threads were taken in {part:.0%} of the heartbeats, with {queued:.0f} "
                f"tasks waiting; {tokens:.0f} threads ÷ {units.duration(service_time)} allow "
                f"{units.rate(evidence.throughput)}"
            )
        case CpuExhausted(cpus, part, cost, alone):
            whole = "its one CPU is" if cpus == 1 else f"its {cpus} CPUs are"
            return f"{whole} busy {part:.0%} of the time; {cost_text(cost, alone)}"
        case OneCpuEach(cores, cpus, cost, alone):
            return (
                f"{cores:.2f} of {cpus} CPUs are used, since Python code of one process runs on one CPU at a "
                f"time; {cost_text(cost, alone)}"
            )
        case FewUsers(users, service_time):
            who = "one user sends" if users == 1 else f"{users} users send"
            return (
                f"{who} at most {units.rate(evidence.throughput)} at {units.duration(service_time)} per "
                "request; the server has CPU time to spare"
            )
        case ThinkTime(users, part):
            return f"{units.counted(users, 'user')} wait between requests for {part:.0%} of their time"
        case Convoy():
            return convoy_text(evidence)
        case IdleWait():
            return idle_wait_text(evidence)
        case SlowAlone(alone, other, others_alone, idle):
            return (
                f"a request takes {units.duration(alone)} even with one user, under {other} "
                f"{units.duration(others_alone)}; its CPU is idle {idle:.0%} of the time"
            )


def convoy_text(convoy: Convoy) -> str:
    """Bursts of requests, and what they cost each of them."""
    together = f"{convoy.size:.0f}"
    return (
        f"requests arrive in bursts: about {together} of {convoy.users} users at once, then none for "
        f"{units.duration(convoy.quiet)}; a request takes {units.duration(convoy.response_time)}, "
        f"{units.duration(convoy.longer)} longer than with one user, since those of a burst take turns "
        f"({together} × {units.duration(convoy.cost)} of CPU time) on a CPU that is idle "
        f"{convoy.idle:.0%} of the time"
    )


OBSERVED: dict[Observed, str] = {
    "threads": "a thread",
    "pools": "a thread of its own pools",
    "connections": "a database connection",
    "locks": "database locks",
    "loop": "its turn on the event loop",
    "cpu": "its turn on the CPU",
}


def idle_wait_text(wait: IdleWait) -> str:
    """How long a request waits while the CPU is idle, and what for."""
    than = "with one user" if wait.than is None else f"under {wait.than}"
    parts = [
        f"a request takes {units.duration(wait.response_time)}, {units.duration(wait.longer)} longer than "
        f"{than}, while the CPU is idle {wait.idle:.0%} of the time"
    ]
    known = [(OBSERVED[what], seconds) for what, seconds in wait.observed]
    if not known:
        parts.append("what it waits for was not observed")
    elif wait.unseen >= MOST * wait.longer:
        names = " or ".join((", ".join(name for name, _ in known[:-1]), known[-1][0]))
        in_statements = wait.statements or 0.0
        what = "" if in_statements >= MOST * wait.longer else " for something that is not observed"
        parts.append(f"it waits {units.duration(wait.unseen)}{what}: not for {names}")
        if in_statements >= SHOWN * wait.longer:
            parts.append(f"its database statements take {units.duration(in_statements)}")
    else:
        most = [f"{name} ({units.duration(s)})" for name, s in known if s >= SHOWN * wait.longer]
        parts.append(f"it waits for {' and '.join(most)}")
    if wait.together is not None:
        parts.append(f"about {wait.together:.0f} users ask at once")
    return "; ".join(parts)


def cost_text(seconds: float, alone: float | None) -> str:
    """The CPU time of a request, and the same with one user."""
    beside = f", with one user {units.duration(alone)}" if alone else ""
    return f"a request costs {units.duration(seconds)} of CPU time{beside}"


def canary_text(canary: CanaryTimes) -> str:
    """`1.62 s (p95)`."""
    return f"{units.duration(canary.response_time)} (p{canary.part * 100:.0f})"


def light_text(times: CanaryTimes, kind: LightKind) -> str:
    """`35.1 ms (p95, pulse)`."""
    return f"{units.duration(times.response_time)} (p{times.part * 100:.0f}, {kind})"


def headline_text(bottleneck: Bottleneck, arm: str, threads: float, connections: float) -> str:
    """A bottleneck's effect, for a chart's title; "" for the users, which need no title. `threads` and
    `connections` are those of all workers."""
    match bottleneck.name:
        case "generator":
            return "not measured: the load generator was the limit"
        case "host":
            return "not measured: the machine was busy"
        case "event-loop":
            return f"{arm} blocks its event loop"
        case "http-client":
            client = getattr(bottleneck.evidence, "client", None)
            return f"{arm} is held back by its HTTP client" + (f", {client}" if client is not None else "")
        case "db-lock":
            return f"{arm} waits for locks"
        case "db-pool":
            return f"{arm} stops at its {connections:.0f} connections"
        case "thread-tokens":
            return f"{arm} stops at its {threads:g} threads"
        case "gil":
            return f"{arm} runs Python code on one CPU at a time"
        case "cpu":
            return f"{arm} has no CPU time left"
        case "convoys":
            return f"requests to {arm} arrive in bursts"
        case "waiting":
            return f"{arm} waits while its CPU is idle"
        case "service-time":
            return f"{arm} takes longer even with one user"
        case "users":
            return ""
