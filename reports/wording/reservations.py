"""Warnings about a single verdict, in words, each with its remedy."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress

from loadtests.records import AnswerDifference, ServerEnd
from reports.analysis.answers.differences import AnswersDiffer, SizesDiffer, StatusesDiffer, Unlike
from reports.analysis.answers.shared_state import SharedState
from reports.analysis.backlogs.judgement import Backlog, BacklogPossible
from reports.analysis.backlogs.keeping import KeepsMore
from reports.analysis.backlogs.queues import JobsPileUp
from reports.analysis.cores import CrowdedWorkers, OneCore
from reports.analysis.names.endpoints import TOGETHER
from reports.analysis.reservations import (
    Blemish,
    CanaryFailed,
    DropsConnections,
    FailsMore,
    Failure,
    FarOff,
    MayFailMore,
    MoreRoundsNeeded,
    NotMeasured,
    NotSignificant,
    OrderMatters,
    PercentileFailed,
    RatioDrifts,
    RequestsFailed,
    RequestsUnanswered,
    Reservation,
    RoundsDepend,
    RoundsLost,
    RoundWithoutResponse,
    ServerEnded,
    TooFewRequests,
    TooFewRounds,
    Unsteady,
)
from reports.analysis.rounds.consistency import Capped, CappedAlone, FiguresDisagree, PercentilesDisagree
from reports.analysis.rounds.launches import NotNormal
from reports.analysis.rounds.silence import NoRequestMade
from reports.analysis.rounds.think_time import UsersThink
from reports.analysis.statistics import LAST_LOOK
from reports.wording import units
from reports.wording.cpus import cores_text
from reports.wording.faults import capped_text, carry_text, faults_text, not_counted
from reports.wording.refusals import refusal_text
from reports.wording.units import percent

NOTABLE_MEMORY = 2**24
"""Bytes of memory growth that are shown."""


def reservation_text(reservation: Reservation) -> str:
    """A reservation as a sentence without its full stop."""
    match reservation:
        case RoundsLost(lost, rounds, faults, client):
            again = "" if any(fault.caps for fault in faults) else "; `duel resume` measures them again"
            return f"{not_counted(lost, rounds, 'round')}: {faults_text(faults, client)}{again}"
        case NotMeasured(refusal):
            return f"not measured: {refusal_text(refusal)}"
        case (
            ServerEnded() | RequestsFailed() | RequestsUnanswered() | Backlog() | FailsMore()
            | MayFailMore() | DropsConnections() | BacklogPossible() | JobsPileUp()
        ):  # fmt: skip
            return failure_text(reservation)
        case SharedState():
            return shared_state_text(reservation)
        case CanaryFailed(arm, failed, requests):
            return (
                f"{arm} answered {failed:,} of {requests:,} light requests beside the load with errors; they "
                "count as infinitely slow"
            )
        case PercentileFailed(metric):
            return f"{metric} is infinite in a round: too many requests failed, which never complete"
        case TooFewRounds(rounds, needed, planned):
            more = "use a longer --max-time, or `duel resume` for the rest"
            return (
                f"{rounds} of the {needed} rounds that an interval needs: "
                f"{more if planned >= needed else f'use --rounds {needed} or more'}"
            )
        case TooFewRequests(metric, needed, throughput):
            return (
                f"{metric} needs {needed:,} requests per window, and one window had only about "
                f"{throughput:,.0f} per second: use a longer --window"
            )
        case NoRequestMade() | RoundWithoutResponse():
            return silence_text(reservation)
        case MoreRoundsNeeded(number):
            return rounds_text(number)
        case RatioDrifts(change):
            return f"the ratio drifts by {change:.0%} over the rounds: treat it with care, or use more rounds"
        case OrderMatters(change):
            return (
                f"the ratio depends on which arm comes first, by {change:.0%}: treat it with care, or use "
                "more rounds"
            )
        case RoundsDepend(correlation):
            return f"the rounds are not independent (lag-1 autocorrelation {correlation:.2f})"
        case Unsteady(arm, change):
            than = "more" if change > 0 else "less"
            return (
                f"{arm} served {abs(change):.0%} {than} in the second half of its windows than in the first: "
                "use a longer --warmup, or a longer window (-t)"
            )
        case OneCore() | CrowdedWorkers():
            return cores_text(reservation)
        case AnswersDiffer() | StatusesDiffer() | SizesDiffer():
            return unlike_text(reservation)
        case CappedAlone():
            return capped_text(reservation)
        case _:
            return doubt_text(reservation)


def silence_text(one: NoRequestMade | RoundWithoutResponse) -> str:
    """Which windows hold no response, or not even a request."""
    match one:
        case NoRequestMade(arm, windows, rounds):
            return (
                f"no request was made to {arm} in {windows} of {rounds} windows: the users wait for longer "
                "than that, or their tasks request nothing: use a longer window (-t)"
            )
        case RoundWithoutResponse():
            return "an arm answered nothing in one of the rounds"


def shared_state_text(one: SharedState) -> str:
    """What shows that the arms share state, and the remedy."""
    if one.first is None:
        seen = (
            f"all arms answered {percent(one.later)} of the requests with {one.status} (conflict): they ask "
            "for what an earlier trial has left"
        )
    else:
        seen = (
            f"{percent(one.later)} of the requests were answered with {one.status} by the arm that came "
            f"later in its round, whichever it was, and {percent(one.first)} by the first: they share state"
        )
    remedy = (
        "--before-trial does not undo that"
        if one.reset
        else "undo that before every trial (--before-trial), or give each arm its own"
    )
    return f"{seen}, such as a database: caused by the load, not by an arm; {remedy}"


def unlike_text(one: Unlike) -> str:
    """In what two arms answered differently."""
    match one:
        case AnswersDiffer(difference):
            return difference_text(difference)
        case StatusesDiffer(endpoint, status, reference, arm, ours, theirs):
            return (
                f"{whole(endpoint)} under load: status {status} for {percent(ours)} of the successful "
                f"requests to {reference}, and for {percent(theirs)} of those to {arm}"
            )
        case SizesDiffer(endpoint, reference, arm, ours, theirs, part):
            return (
                f"{whole(endpoint)} under load: {percent(part)} of the answers are of another size: "
                f"{reference} sends {ours:,.0f} bytes at the median, {arm} {theirs:,.0f}"
            )


def difference_text(one: AnswerDifference) -> str:
    """What two arms answered to the same request before load."""
    sides = (
        (one.reference, one.reference_has, one.reference_part), (one.arm, one.arm_has, one.arm_part),
    )  # fmt: skip
    match one.kind:
        case "status":
            said = [f"{name} answers with status {listed(has)}" for name, has, _ in sides]
        case "redirect":
            said = [
                f"{name} {f'leads to {listed(has)}' if has else 'leads nowhere'}" for name, has, _ in sides
            ]
        case "content-type":
            said = [f"{name} sends the content type {listed(has)}" for name, has, _ in sides]
        case "encoding":
            said = [f"{name} sends the content encoding {listed(has)}" for name, has, _ in sides]
        case "shape":
            said = [f"{name}'s JSON has {listed(has)}" for name, has, _ in sides]
        case "value":
            said = [f"`{one.field}` is {listed(has)} from {name}" for name, has, _ in sides]
        case "body":
            said = [f"the body of {one.reference} is not that of {one.arm}"]
        case "size":
            said = [f"{name} sends about {', '.join(has)} bytes" for name, has, _ in sides]
    parts = [f" ({percent(part)} of its answers)" if part < 1.0 else "" for _, _, part in sides]
    whole_text = "; ".join(text + part for text, part in zip(said, parts, strict=False))
    crowd = f" with {one.users} users at once" if one.users > 1 else ""
    return f"`{one.request}`{crowd}: {whole_text}"


def listed(has: Sequence[str]) -> str:
    """What an arm's answers have, as a list."""
    return ", ".join(f"`{one}`" for one in has) or "nothing of that"


def whole(endpoint: str) -> str:
    """An endpoint's name, or that all are meant."""
    return "all endpoints" if endpoint == TOGETHER else endpoint


def failure_text(failure: Failure | Blemish | JobsPileUp) -> str:
    """How an arm fails, or fails more than the other one."""
    match failure:
        case RequestsFailed(arm, part):
            return f"{arm} failed {part:.1%} of its requests"
        case ServerEnded(arm, times, launches, end):
            return f"{arm}: {server_end_text(end)} in {times} of {launches} launches{log_text(end)}"
        case RequestsUnanswered(arm, part):
            return (
                f"{arm} left users without an answer for {part:.1%} of their time: users that wait in vain "
                "send few requests, so the number of failed ones is small"
            )
        case FailsMore(arm, difference):
            return (
                f"{arm} fails significantly more requests: {percent(difference.change)} of them more "
                f"({percent(difference.low)} to {percent(difference.high)})"
            )
        case MayFailMore(arm, difference):
            return (
                f"{arm} failed {percent(difference.change)} more of its requests, which may be chance "
                f"({percent(difference.low)} to {percent(difference.high)}): use more rounds"
            )
        case DropsConnections(arm, part):
            return (
                f"{arm} drops connections: for {percent(part)} of its requests it closed a connection "
                "in use before it answered; they were sent again, which clients cannot do with a POST"
            )
        case Backlog():
            return backlog_text(failure)
        case JobsPileUp(arm, behind):
            return (
                f"{arm} hands over more jobs than its worker does: +{100 * behind:.0f} undone per 100 "
                "responses; at this rate the queue grows without end: use more workers, or check a "
                "sustainable rate (--rate)"
            )
        case BacklogPossible(arm, worked):
            return (
                f"{arm} was still working {units.duration(worked)} after its last response, and its CPU time "
                "per request alone is not known: work may pile up, and this throughput may not last: check a "
                "sustainable rate (--rate)"
            )


def backlog_text(one: Backlog) -> str:
    """What piles up in an arm, what was seen of it, and the remedy."""
    match one.kind:
        case "tasks":
            what = f"background tasks pile up: +{100 * one.behind:.0f} unfinished"
        case "items":
            what = f"its queues grow: +{100 * one.behind:.0f} items that were not processed"
        case "thread-jobs":
            what = f"jobs for its threads pile up: +{100 * one.behind:.0f} waiting"
        case "process-jobs":
            what = f"jobs for its processes pile up: +{100 * one.behind:.0f} unfinished"
        case "threads":
            what = f"its threads pile up: +{100 * one.behind:.0f}"
        case "processes":
            what = f"its child processes pile up: +{100 * one.behind:.0f}"
        case "work":
            what = f"unfinished work piles up: that of about {100 * one.behind:.0f}"
    seen = []
    if one.alone is not None and one.loaded is not None and one.worked is not None:
        seen.append(
            f"a request takes {units.duration(one.alone)} of CPU time alone, "
            f"{units.duration(one.loaded)} under load"
        )
    if one.worked is not None:
        seen.append(f"still working {units.duration(one.worked)} after the last response")
        if one.memory is not None and one.memory >= NOTABLE_MEMORY:
            seen.append(f"{units.memory(round(one.memory))} more memory")
    evidence = f" ({'; '.join(seen)})" if seen else ""
    return (
        f"{one.arm}: {what} per 100 responses{evidence}; users do not wait for them, so this throughput "
        "would not last: find a sustainable rate (--rate)"
    )


def server_end_text(end: ServerEnd) -> str:
    """`its server ended under load (signal SIGKILL)`."""
    match end.during, end.code:
        case "start", None:
            return "its server did not start in time or accepted no connections"
        case "start", int(code):
            return f"its server did not start ({code_text(code)})"
        case _, None:
            return "its server ended or was replaced under load"
        case _, int(code):
            return f"its server ended under load ({code_text(code)})"


def code_text(code: int) -> str:
    """An exit code, or the signal that a negative one stands for."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"


def log_text(end: ServerEnd) -> str:
    """The last lines of its log, if there are any."""
    return f"; its log ends with: {' / '.join(end.log)}" if end.log else ""


def failed_text(failed: Mapping[str, float | None], resent: Mapping[str, float | None]) -> str:
    """`failed requests: sync 0%, async 0.9%; sent again: sync 0%, async 2%`: each only where any were."""
    return "; ".join(
        f"{what}: {', '.join(f'{arm} {percent(part)}' for arm, part in parts.items())}"
        for what, parts in (("failed requests", failed), ("sent again", resent))
        if any(parts.values())
    )


def doubt_text(
    doubt: FarOff
    | NotNormal
    | NotSignificant
    | FiguresDisagree
    | Capped
    | UsersThink
    | PercentilesDisagree
    | KeepsMore,
) -> str:
    """A doubt about a cell's rounds."""
    match doubt:
        case FarOff(number):
            return f"round {number} is an outlier (it still counts)"
        case NotSignificant(word, family):
            return f"{word} by itself, but not significant after Holm correction over {family} verdicts"
        case KeepsMore(arm, objects):
            return (
                f"{arm} keeps about {units.figures(objects)} more objects per response than it frees: a "
                "growing cache, or work left for later that no count shows; this throughput may not last: "
                "check a sustainable rate (--rate), and its memory"
            )
        case NotNormal(lowest, highest, p):
            return (
                f"the rounds do not spread normally ({units.ratio(lowest)} to {units.ratio(highest)}, "
                f"Shapiro-Francia p = {p:.1g}): an arm differs from launch to launch, and the interval may "
                "miss its mean: use more rounds"
            )
        case FiguresDisagree(throughput, response_time):
            return (
                f"throughputs and response times contradict each other: {units.ratio(throughput)} by "
                f"throughput, {units.ratio(response_time)} by mean response time (N = X·R); requests come in "
                "waves, or some outlast the window: use a longer window (-t)"
            )
        case Capped(arms, side, bound, client):
            known = f"{side} {units.ratio(bound)}" if side is not None else "unknown"
            are = (
                "they are truly faster than they seem"
                if len(arms) > 1
                else "it is truly faster than it seems"
            )
            return (
                f"capped: the load generator held {' and '.join(arms)} back: {are}, and the true ratio is "
                f"{known}: {carry_text(client)}"
            )
        case PercentilesDisagree(equal, differs, interval):
            return (
                f"equivalent by {units.METRIC_NAMES[equal]}, but not by {units.METRIC_NAMES[differs]}: "
                f"{units.ratio(interval.ratio)} ({units.interval(interval.low, interval.high)})"
            )
        case UsersThink(parts):
            each = ", ".join(f"{part:.0%} with {arm}" for arm, part in parts)
            return (
                f"{think_text(doubt)} (of their time: {each}): response time decides; to learn the "
                "capacity, use --no-think (a sleep in a task remains) or --rate"
            )


def think_text(one: UsersThink) -> str:
    """Who sets the throughput of users who think."""
    return f"throughput is {'' if one.mostly else 'partly '}set by the users' think time"


def rounds_text(needed: int | None) -> str:
    """What would decide an open cell, given about how many rounds it needs."""
    if needed is not None and needed <= LAST_LOOK:
        return f"about {needed} rounds would decide: use --rounds {needed}"
    rounds = f"about {needed}" if needed is not None else "more than 1,000"
    return f"deciding takes {rounds} such rounds, and {LAST_LOOK} is the maximum: use a longer --window"


def clients_text(clients: Mapping[str, str | None]) -> str:
    """`httpx.Client for sync, httpx.AsyncClient on aiohttp for async`."""
    return ", ".join(f"{client or 'unknown'} for {arm}" for arm, client in clients.items())
