"""Verdicts, gates and thresholds as sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from loadtests.records import Cell, Plan, Run
from loadtests.records.answers import AnswerDifference
from reports.advice.caveats import caveats
from reports.analysis.answers.differences import AnswersDiffer, Unlike, explained
from reports.analysis.names.endpoints import ALL
from reports.analysis.reservations import Failure, NotSignificant, TooFewRequests
from reports.analysis.rounds.think_time import UsersThink
from reports.analysis.thresholds import Judgement
from reports.analysis.verdicts import Outcome, Verdict, VerdictWord
from reports.conclusions import Conclusions
from reports.gate.findings import WORST_FIRST, BeganToFail, Decision, FailedBefore, FailsBy, GateNote
from reports.gate.mixtures import not_judged
from reports.wording import units
from reports.wording.advice.caveats import caveat_text
from reports.wording.cpus import cpus_text
from reports.wording.gates.bases import base_lines
from reports.wording.gates.notes import gate_figures, gate_note_text
from reports.wording.reservations import clients_text, failed_text, reservation_text, think_text
from reports.wording.units import counted
from reports.wording.vocabulary import OUTCOMES, THRESHOLD_MARKS


def sentence(verdict: Verdict, plan: Plan) -> str:
    """A verdict in words, with the arms' failures and HTTP clients."""
    # With several arms, words such as "equivalent" need the arm's name.
    where = f"{verdict.cell}, {verdict.arm}" if len(plan.rivals) > 1 else str(verdict.cell)
    return f"{where}: {with_context(finding(verdict), verdict)}"


def with_context(text: str, verdict: Verdict) -> str:
    """A text about a verdict, with what it does not say of its context itself."""
    return "; ".join((text, *(one for one in context(verdict) if one not in text)))


def context(verdict: Verdict) -> list[str]:
    """Whether the users set the throughput; the failures of both arms where any request failed, and their
    HTTP clients where they call another service; the CPUs of their servers. Empty where nothing was
    measured."""
    clients = clients_text(verdict.clients) if verdict.clients else ""
    thinking = [think_text(one) for one in verdict.reservations if isinstance(one, UsersThink)]
    placed = cpus_text(verdict.cpus) if verdict.cpus else ""
    return [*thinking, *filter(None, (failed_text(verdict.failed, verdict.resent), clients, placed))]


def failed_pair(verdict: Verdict) -> str:
    """The fractions of failed requests of the reference and the arm: `0% / 0.9%`."""
    parts = (units.percent(verdict.failed.get(name)) for name in (verdict.reference, verdict.arm))
    return " / ".join(parts)


def sentences(conclusions: Conclusions) -> list[str]:
    """A sentence per case: in a gate the gate's, elsewhere the verdict's."""
    plan = conclusions.run.plan
    if not plan.gate:
        return [sentence(verdict, plan) for verdict in conclusions.cases]
    judged = zip(conclusions.cases, conclusions.decisions, strict=True)
    return [gate_sentence(verdict, decision, plan) for verdict, decision in judged]


def gate_lines(conclusions: Conclusions) -> list[tuple[Outcome, str]]:
    """A sentence per case of a gate with its outcome, the worst first; one for all endpoints of a mixture
    that pass."""
    lines: list[tuple[Outcome, str]] = []
    passed: dict[tuple[Cell, str], list[str]] = {}
    every = zip(conclusions.cases, conclusions.outcomes, sentences(conclusions), strict=True)
    for verdict, word, line in every:
        if verdict.primary or word != "pass":
            lines.append((word, line))
        else:
            passed.setdefault((verdict.cell, verdict.arm), []).append(verdict.endpoint)
    for where, endpoints in passed.items():
        of = sum((one.cell, one.arm) == where for one in conclusions.cases) - 1
        silent = sum((one.cell, one.arm) == where for one in not_judged(conclusions.verdicts))
        told = f" ({silent} not judged)" if silent else ""
        said = f"{len(endpoints)} of {counted(of, 'endpoint')} not worse by response time{told}"
        lines.append(("pass", f"{where[0]}, {where[1]}: {said}: {', '.join(endpoints)}"))
    return sorted(lines, key=lambda one: WORST_FIRST.index(one[0]))


def gate_sentence(verdict: Verdict, decision: Decision, plan: Plan) -> str:
    """What a gate says of a cell: the outcome, then figures and notes, the decisive part first."""
    word, than = decision.outcome, f"than {verdict.reference}"
    if word in (decision.speed, "inconclusive"):
        than += f" by more than {units.exact_percent(plan.margin)}"
    match word:
        case "regression" | "pass":
            said = f"{OUTCOMES[word]} {than}"
        case "invalid":
            said = f"{OUTCOMES[word]}: {doubts(verdict)}"
        case "inconclusive":
            said = f"not decided whether it is worse {than}"
    figures = gate_figures(verdict) if word != "invalid" else ""
    notes = "; ".join(noted(note, verdict) for note in decision.notes)
    if word == "inconclusive" and not figures and not notes and verdict.reservations:
        notes = reservation_text(verdict.reservations[0])
    parts = [figures, notes] if decision.speed == word else [notes, figures]
    # The notes have the failures of both arms where these were compared.
    known = any(isinstance(note, FailsBy) for note in decision.notes)
    around = context(replace(verdict, failed={}) if known else verdict)
    parts += [one for one in around if one not in said]
    whole = " as a whole" if verdict.endpoint == ALL else ""
    where = f"{case_name(verdict)}{whole}, {verdict.arm}"
    return ": ".join(filter(None, (where, said, "; ".join(filter(None, parts)))))


def case_name(verdict: Verdict) -> str:
    """`shop at 20 users`; of an endpoint of a mixture `shop at 20 users, posts.list`."""
    return str(verdict.cell) if verdict.primary else f"{verdict.cell}, {verdict.endpoint}"


def noted(note: GateNote, verdict: Verdict) -> str:
    """A note on a cell; of an arm that fails for a reason without a degree, the verdict's reason."""
    if isinstance(note, BeganToFail | FailedBefore):
        for one in verdict.reservations:
            if isinstance(one, Failure) and one.arm == note.arm:
                return reservation_text(one)
    return gate_note_text(note)


def finding(verdict: Verdict) -> str:
    """What a verdict says, with its figures where it has them."""
    if verdict.ratio is None or verdict.low is None or verdict.verdict in ("failing", "invalid"):
        return claim(verdict)
    ratio, interval = units.ratio(verdict.ratio), units.interval(*verdict.bounds)
    return f"{claim(verdict)} ({ratio}, {interval}, n = {verdict.n})"


def claim(verdict: Verdict) -> str:
    """What a verdict says."""
    if verdict.verdict == "different":
        return f"different: the arms do different work: {reservation_text(verdict.reservations[0])}"
    if verdict.verdict == "failing":
        return f"failing: {doubts(verdict)}"
    if verdict.ratio is None or verdict.low is None:
        reason = f": {reservation_text(verdict.reservations[0])}" if verdict.reservations else ""
        return f"{verdict.verdict}{reason}"
    factor = factor_text(verdict)
    first, second = verdict.arm, verdict.reference
    if verdict.verdict == "slower":
        first, second = second, first
    match verdict.verdict:
        case "faster" | "slower" if verdict.metric == "throughput":
            return f"{first} serves {factor} times as much as {second}"
        case "faster" | "slower":
            return f"{second} takes {factor} times as long as {first} ({units.METRIC_NAMES[verdict.metric]})"
        case "equivalent":
            higher = (verdict.ratio > 1) == (verdict.metric == "throughput")
            by = abs(verdict.ratio - 1)
            ahead = f", {verdict.arm if higher else verdict.reference} ahead by {by:.0%}"
            return "equivalent" + (ahead if by >= 0.005 else "")
        case "inconclusive":
            alone = [one for one in verdict.reservations if isinstance(one, NotSignificant)]
            return ": ".join(["inconclusive", *map(reservation_text, alone)])
        case "different" | "failing" | "invalid":
            return f"{verdict.verdict}: {doubts(verdict)}"


def factor_text(verdict: Verdict) -> str:
    """How many times as much, or as long: `1.27`; of a capped cell the bound, `at least 1.04`."""
    low, high = verdict.bounds
    known = [one for one in (low, high) if one is not None]
    if verdict.ratio is not None and len(known) != 1:
        return units.figures(max(verdict.ratio, 1 / verdict.ratio))
    return f"at least {units.figures(max(known[0], 1 / known[0]))}"


def doubts(verdict: Verdict) -> str:
    """All reservations of a verdict in one line."""
    return "; ".join(map(reservation_text, verdict.reservations))


def judgement_text(judgement: Judgement) -> str:
    """`http_req_duration{arm:async}: p(95)<50: posts.read at 64 users, async: 41.2 ms (39.0 to 43.5)`."""
    # The cell of a search is at the highest rate that it may try.
    capacity = judgement.threshold.metric == "capacity"
    where = f"{judgement.cell.scenario if capacity else judgement.cell}, {judgement.arm}"
    return f"{judgement.threshold.text}: {where}: {judged_value(judgement)}"


def judgement_line(judgement: Judgement) -> str:
    """The same after its mark."""
    return f"{THRESHOLD_MARKS[judgement.word]} {judgement_text(judgement)}"


def judged_value(judgement: Judgement) -> str:
    """The value with its interval, in the threshold's own unit."""
    value, low, high = judgement.value, judgement.low, judgement.high
    if value is None:
        if judgement.word == "missed":
            return "none, since too many requests failed"
        if judgement.disturbed:
            return "not measured: too many slices were disturbed"
        if judgement.threshold.metric == "capacity":
            return "too few rounds near the crossing"
        return "too few rounds, or too few samples per window"
    unit = " ms" if judgement.threshold.metric == "http_req_duration" else ""
    ends = ["unknown" if end is None else units.plain(end) for end in (low, high)]
    return f"{units.plain(value)}{unit} ({ends[0]} to {ends[1]})"


MOST_NAMED = 8
"""Verdicts that are named in one line."""


def together(run: Run, found: Sequence[Verdict]) -> str:
    """Which differences can be relied on together, after Holm correction; "" for one verdict, without any
    difference, and in a gate, which corrects its own decisions."""
    primaries = [verdict for verdict in found if verdict.primary]
    several = len(run.plan.rivals) > 1
    stand = [
        f"{one.cell}, {one.arm}" if several else str(one.cell)
        for one in primaries
        if one.verdict in ("faster", "slower")
    ]
    fall = sum(isinstance(why, NotSignificant) for one in primaries for why in one.reservations)
    if len(primaries) < 2 or run.plan.gate or not len(stand) + fall:
        return ""
    names = f": {units.listed(stand, MOST_NAMED)}" if stand else ""
    return (
        f"{len(stand)} of {counted(len(stand) + fall, 'difference')} can be relied on{names} (error rate of "
        f"all together ≤ {units.exact_percent(run.plan.alpha)}, Holm)."
    )


def warnings(run: Run, found: Sequence[Verdict]) -> list[str]:
    """All warnings of a run; those about primary verdicts once each, with their cells."""
    several = len(run.plan.rivals) > 1
    cells: dict[str, list[str]] = {}
    for verdict in found:
        if verdict.primary:
            where = f"{verdict.cell}, {verdict.arm}" if several else str(verdict.cell)
            for reservation in verdict.reservations:
                if isinstance(reservation, Unlike):
                    continue  # in `unlike_lines`, which stand first
                cells.setdefault(reservation_text(reservation), []).append(where)
    lines = [f"{'; '.join(places)}: {warning}" for warning, places in cells.items()]
    unjudged = not_judged_lines(found) if run.plan.gate else []
    return [*map(caveat_text, caveats(run, found)), *base_lines(run.plan), *unjudged, *lines]


def not_judged_lines(found: Sequence[Verdict]) -> list[str]:
    """The endpoints of mixtures that a gate does not judge, with the window that would do."""
    by_cell: dict[tuple[Cell, str], list[Verdict]] = {}
    for verdict in not_judged(found):
        by_cell.setdefault((verdict.cell, verdict.arm), []).append(verdict)
    return [
        f"{cell}, {arm}: not judged, since {no_median(several)}: {', '.join(one.endpoint for one in several)}"
        for (cell, arm), several in by_cell.items()
    ]


def no_median(several: Sequence[Verdict]) -> str:
    """Why some endpoints have no median in every round."""
    few = [why for one in several for why in one.reservations if isinstance(why, TooFewRequests)]
    if not few:
        return "too many of the base's requests failed, or too few were made, for a median in every round"
    fewest, needed = min(one.throughput for one in few), max(one.needed for one in few)
    longer = f"; windows of {math.ceil(needed / fewest)} s (-t) would hold them" if fewest > 0.0 else ""
    return f"a median needs {needed} requests in every window{longer}"


MOST_LINES = 12
"""Differences that are listed; all are in the JSON."""


def unlike_headline(plan: Plan) -> str:
    """What follows from answers that differ."""
    if plan.gate:
        return "Base and head answer differently, as a change may:"
    if plan.answers == "differ":
        return "The arms answer differently, which --answers differ accepts:"
    return (
        "The arms answer differently, so they do different work and no arm is recommended. Make them return "
        "the same answers, or accept the differences with --answers differ:"
    )


def unlike_lines(run: Run, found: Sequence[Verdict] = ()) -> list[str]:
    """How the arms' answers differ, before load and under it, for the top of every report; the first line
    says what follows. Empty where they answer alike."""
    every = run.answers.differences if run.answers else ()
    asked = [AnswersDiffer(one) for one in every if not in_errors(one, every, found)]
    lines = [f"{one.difference.scenario}, {reservation_text(one)}" for one in asked]
    lines += [
        f"{verdict.cell}, {reservation_text(one)}"
        for verdict in found
        if verdict.primary
        for one in verdict.reservations
        if isinstance(one, Unlike) and not isinstance(one, AnswersDiffer)
    ]
    lines = list(dict.fromkeys(lines))
    if not lines:
        return []
    more = [f"and {counted(len(lines) - MOST_LINES, 'more difference')}"] if len(lines) > MOST_LINES else []
    return [unlike_headline(run.plan), *lines[:MOST_LINES], *more]


def in_errors(one: AnswerDifference, every: Sequence[AnswerDifference], found: Sequence[Verdict]) -> bool:
    """Whether a difference is what the errors of an arm hold that fails."""
    pair = one.scenario, one.arm
    alike = [AnswersDiffer(other) for other in every if (other.scenario, other.arm) == pair]
    return any(
        explained(alike, verdict.failing)
        for verdict in found
        if verdict.primary and (verdict.cell.scenario, verdict.arm) == pair
    )


def answers_text(run: Run) -> str:
    """Whether and how the arms' answers were compared before load."""
    if run.answers_compared is not None:
        return f"equal for {run.answers_compared} requests"
    check = run.answers
    cut = f"; cut off before all was answered: {', '.join(check.cut)}" if check and check.cut else ""
    if check is None or not check.endpoints:
        return f"not compared{cut}"
    alike = "answers that differ" if check.differences else "answers alike"
    missed = f"; not compared: {', '.join(check.not_compared)}" if check.not_compared else ""
    return f"{alike}, in {counted(len(check.endpoints), 'endpoint')} of the scenarios{missed}{cut}"


UNSETTLED: tuple[VerdictWord, ...] = ("different", "failing", "invalid", "inconclusive")
"""Verdicts that decide nothing on speed."""


def unsettled(words: Sequence[VerdictWord]) -> list[str]:
    """The number of verdicts of each kind that decides nothing on speed, in words."""
    return [f"{word} in {words.count(word)}" for word in UNSETTLED if word in words]
