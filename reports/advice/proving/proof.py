"""A run of two arms and of the hybrid made of both → whether the hybrid is better than either, and which
route's advice failed where it is not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from loadtests.records import Arm, Cell, LightKind, Metric, Run, Trial, rounds_tried
from reports.advice.rule import HALF, NOTICED, TWICE, Bounds
from reports.advice.weighing.neighbours import PARTS, waited
from reports.analysis.catalogue import ROUTES, moved
from reports.analysis.estimates import estimate
from reports.analysis.mixtures.figures import of_arm
from reports.analysis.names.endpoints import ALL, request_name
from reports.analysis.readings import Readings, endpoints_of
from reports.analysis.statistics import Interval, position, repeated_interval
from reports.analysis.verdicts import NOTHING, Verdict, verdicts

ProofWord = Literal["better", "equal", "worse", "not-decided"]

NOT_COMPARED = ("different", "invalid")
"""Verdicts on cells of which no figure says which arm is better."""


@dataclass(frozen=True)
class AgainstArm:
    """The hybrid and one of its arms in one cell. Ratios are the hybrid's value ÷ the arm's."""

    arm: str
    metric: Metric
    """The one that decides the cell."""
    ratio: Interval | None
    waits: Interval | None
    """Of what a light request beside the load waits."""
    word: ProofWord
    """Of the hybrid against the arm."""


@dataclass(frozen=True)
class EndpointProof:
    """One endpoint of a cell. Seconds."""

    endpoint: str
    answered_by: str
    """The arm whose app answers it in the hybrid; "" where that is not known."""
    p95: Mapping[str, float | None]
    """By arm."""
    better: str | None = None
    """The arm in which it is significantly faster than in the hybrid: the advice for this route failed."""
    ratio: Interval | None = None
    """The hybrid's p95, or p50 where a window holds too few requests, ÷ that arm's."""


@dataclass(frozen=True)
class CellProof:
    """What the three show in one cell."""

    cell: Cell
    beside: tuple[AgainstArm, ...]
    served: Mapping[str, float | None]
    """By arm, requests per second."""
    light: tuple[LightKind, float] | None
    """Which light requests beside the load are compared, and at which percentile."""
    waits: Mapping[str, float | None]
    """By arm, their response time in seconds."""
    endpoints: tuple[EndpointProof, ...]


@dataclass(frozen=True)
class Proof:
    """Whether an app that follows the advice is better than either arm."""

    hybrid: str
    arms: tuple[str, str]
    """Those that it is made of; the last one answers what the table does not name."""
    routes: tuple[int, int]
    """How many the table names for each."""
    cells: tuple[CellProof, ...]
    not_measured: tuple[Cell, ...] = ()
    """Those without a round that counts for the hybrid and each arm."""
    apart: bool = False
    """Whether it was measured after the run's rounds, as a run of its own in the run's directory."""
    complete: bool = True
    """Whether its rounds were carried out to their end."""
    changed: tuple[str, ...] = ()
    """Routes for which the run's cards have other advice by now."""

    @property
    def word(self) -> ProofWord:
        """Better: than each arm in some cell, and worse in none that is decided."""
        if not self.cells:
            return "not-decided"
        words = {(one.arm, one.word) for cell in self.cells for one in cell.beside}
        if any(word == "worse" for _, word in words):
            return "worse"
        if all((arm, "better") in words for arm in self.arms):
            return "better"
        return "not-decided" if any(word == "not-decided" for _, word in words) else "equal"

    @property
    def telling(self) -> CellProof | None:
        """The cell that shows most of it: one in which the hybrid is worse, if it is, or the one in which it
        is better than most arms; of several the last one, which is the widest mix. None without cells."""

        def said(cell: CellProof) -> int:
            word = "worse" if self.word == "worse" else "better"
            return sum(one.word == word for one in cell.beside)

        return max(reversed(self.cells), key=said, default=None)

    @property
    def failed(self) -> tuple[tuple[CellProof, EndpointProof], ...]:
        """The endpoints that are significantly faster in an arm, and where."""
        return tuple((cell, one) for cell in self.cells for one in cell.endpoints if one.better is not None)

    @property
    def misadvised(self) -> tuple[str, ...]:
        """The endpoints that would be faster in the other arm than the one that answers them: their own
        advice failed."""
        found = (one.endpoint for _, one in self.failed if one.answered_by not in ("", one.better))
        return tuple(dict.fromkeys(found))


def proof(run: Run, readings: Readings, found: Sequence[Verdict]) -> Proof | None:
    """The proof that a run holds; None where it has no hybrid of two of its arms. `found`: the run's
    verdicts. Raises RecordError."""
    names = {arm.name for arm in run.plan.arms}
    hybrid = next((arm for arm in run.plan.arms if arm.hybrid and {*arm.hybrid.arms} <= names), None)
    if hybrid is None or hybrid.hybrid is None:
        return None
    primaries = on_hybrid(run, readings, hybrid, found)
    every = [(cell, of_cell(run, readings, cell, hybrid, primaries)) for cell in run.plan.cells]
    made = hybrid.hybrid
    return Proof(
        hybrid.name,
        made.arms,
        (len(made.routes), len(made.rest)),
        tuple(shown for _, shown in every if shown is not None),
        tuple(cell for cell, shown in every if shown is None),
    )


def on_hybrid(run: Run, readings: Readings, hybrid: Arm, found: Sequence[Verdict]) -> list[Verdict]:
    """The primary verdicts on the hybrid and each of its arms: the run's, or where that compares its arms
    otherwise (`--arm sync --arm async --arm hybrid=…`), those with the hybrid as reference. Raises
    RecordError."""
    if run.plan.reference != hybrid or run.plan.against:
        parts = hybrid.hybrid.arms if hybrid.hybrid is not None else ()
        arms = (hybrid, *(arm for arm in run.plan.arms if arm.name in parts))
        plan = run.plan.model_copy(update={"arms": arms, "against": {}, "gate": False})
        found = verdicts(run.model_copy(update={"plan": plan}), readings)
    return [one for one in found if one.primary]


def light_of(readings: Readings, trials: Sequence[Trial]) -> tuple[LightKind, float] | None:
    """Which light requests are compared, and at which percentile: the pulse, or without one the canary, at
    the highest one that every trial supports. None without either. Raises RecordError."""
    kinds: tuple[LightKind, ...] = ("pulse", "canary")
    known = (
        (kind, part) for kind in kinds for part in PARTS
        if all(waited(readings, trial, kind, part) is not None for trial in trials)
    )  # fmt: skip
    return next(known, None)


def of_cell(
    run: Run, readings: Readings, cell: Cell, hybrid: Arm, primaries: Sequence[Verdict]
) -> CellProof | None:
    """What the three show in one cell; None without a round in which both of a pair count. Raises
    RecordError."""
    assert hybrid.hybrid is not None  # noqa: S101  # for mypy
    several = {name: both(run, cell, hybrid.name, name) for name in hybrid.hybrid.arms}
    if not all(several.values()):
        return None
    trials = {hybrid.name: [ours for ours, _ in several[hybrid.hybrid.arms[0]]]}
    trials |= {name: [theirs for _, theirs in pairs] for name, pairs in several.items()}
    light = light_of(readings, [trial for mine in trials.values() for trial in mine])
    waits = {name: middle([wait(readings, trial, light) for trial in mine]) for name, mine in trials.items()}
    served = {name: of_arm(readings, mine, ALL).throughput for name, mine in trials.items()}
    alpha = run.plan.alpha / len(several)
    beside = tuple(
        against(
            run, readings, light, cell, (hybrid.name, name), pairs, (waits[hybrid.name], waits[name]), alpha,
            verdict_on(primaries, cell, name),
        )
        for name, pairs in several.items()
    )  # fmt: skip
    sound = all(verdict_on(primaries, cell, name).verdict not in NOT_COMPARED for name in several)
    shown = endpoints(run, readings, cell, hybrid, several, tested=several if sound else {})
    return CellProof(cell, beside, served, light, waits, shown)


def wait(readings: Readings, trial: Trial, light: tuple[LightKind, float] | None) -> float | None:
    """What light requests waited in a trial, in seconds. Raises RecordError."""
    return waited(readings, trial, *light) if light is not None else None


def both(run: Run, cell: Cell, one: str, other: str) -> list[tuple[Trial, Trial]]:
    """The trials of two arms in the rounds in which both count."""
    last = {name: {trial.round: trial for trial in run.of(cell, name)} for name in (one, other)}
    return [(last[one][round], last[other][round]) for round in rounds_tried(run, cell, (one, other)).counted]


def against(
    run: Run,
    readings: Readings,
    light: tuple[LightKind, float] | None,
    cell: Cell,
    names: tuple[str, str],
    pairs: Sequence[tuple[Trial, Trial]],
    waits: tuple[float | None, float | None],
    alpha: float,
    verdict: Verdict,
) -> AgainstArm:
    """The hybrid against one arm, by the trials of both. `names`: theirs, the hybrid's first. Raises
    RecordError."""
    metric = run.primary(cell)
    ours, theirs = ([readings.whole(pair[side]) for pair in pairs] for side in (0, 1))
    ratio = estimate(metric, theirs, ours, alpha).interval
    times = [(wait(readings, mine, light), wait(readings, other, light)) for mine, other in pairs]
    known = [math.log(mine / other) for mine, other in times if mine and other]
    waited = repeated_interval(known, alpha) if len(known) == len(times) else None
    word = judged(gained(verdict, names[0]), waited, waits, speed_of(verdict, names[0]))
    return AgainstArm(names[1], metric, ratio, waited, doubted(word, verdict, names))


def verdict_on(primaries: Sequence[Verdict], cell: Cell, arm: str) -> Verdict:
    """The verdict on the hybrid and one of its arms in a cell."""
    return next(one for one in primaries if one.cell == cell and arm in (one.arm, one.reference))


def speed_of(verdict: Verdict, hybrid: str) -> ProofWord:
    """The hybrid against an arm by what both serve: the verdict, corrected for the number of cells."""
    ahead = {"faster": verdict.arm, "slower": verdict.reference}.get(verdict.verdict)
    if ahead is not None:
        return "better" if ahead == hybrid else "worse"
    return "equal" if verdict.verdict == "equivalent" else "not-decided"


def doubted(word: ProofWord, verdict: Verdict, names: tuple[str, str]) -> ProofWord:
    """The word unless requests fail or answers differ: speed is not advised for its own sake. `names`: the
    hybrid and the arm."""
    if verdict.verdict == "failing":
        bad = {*verdict.failing, *verdict.blemished}
        words: Mapping[bool, ProofWord] = {True: "worse", False: "better"}
        return words[names[0] in bad] if len(bad) == 1 else "not-decided"
    if verdict.verdict in NOT_COMPARED:
        return "not-decided"
    praised = {"better": names[0], "worse": names[1]}.get(word)
    return "not-decided" if praised in verdict.blemished else word


def gained(verdict: Verdict, hybrid: str) -> Bounds:
    """What the hybrid serves ÷ what the arm serves, or how many times as fast it responds; None on a side
    that is not known."""
    low, high = verdict.bounds
    if (verdict.arm == hybrid) == (verdict.metric == "throughput"):
        return low, high
    return (1.0 / high if high else None, 1.0 / low if low else None)


def judged(
    gain: Bounds,
    waits: Interval | None,
    seconds: tuple[float | None, float | None],
    speed: ProofWord,
) -> ProofWord:
    """The hybrid against an arm, by what it serves and by what light requests wait: `gain` and `waits` are
    the hybrid's ÷ the arm's, `seconds` the waits of both, `speed` what follows from what is served alone.

    The rule of the cards: the one beside which light requests wait significantly more than twice as long,
    and noticeably, is worse, unless the other one serves less than half; where that is not known, nothing is
    decided.
    """
    low, high = gain
    mine, theirs = (one or 0.0 for one in seconds)
    if waits is not None and waits.high < 1.0 / TWICE and theirs - mine > NOTICED:
        if speed in ("better", "equal") or (low is not None and low >= HALF):
            return "better"
        return "worse" if high is not None and high < HALF else "not-decided"
    if waits is not None and waits.low > TWICE and mine - theirs > NOTICED:
        if speed in ("worse", "equal") or (high is not None and high <= 1.0 / HALF):
            return "worse"
        return "better" if low is not None and low > 1.0 / HALF else "not-decided"
    return speed


def endpoints(
    run: Run,
    readings: Readings,
    cell: Cell,
    hybrid: Arm,
    several: Mapping[str, Sequence[tuple[Trial, Trial]]],
    tested: Mapping[str, Sequence[tuple[Trial, Trial]]],
) -> tuple[EndpointProof, ...]:
    """Every endpoint of a cell. `several`: pairs of trials, the hybrid's first, by arm; `tested`: those of
    which it is asked whether the endpoint is faster there. Raises RecordError."""
    every = [readings.of(trial) for pairs in several.values() for pair in pairs for trial in pair]
    names = [name for name in endpoints_of(every) if name != ALL]
    first = next(iter(several.values()))
    found = []
    for name in names:
        figures = {hybrid.name: of_arm(readings, [ours for ours, _ in first], name)}
        figures |= {arm: of_arm(readings, [one for _, one in pairs], name) for arm, pairs in several.items()}
        p95 = {arm: one.p95 for arm, one in figures.items()}
        better, ratio = faster(run, readings, name, tested, p95, len(names))
        found.append(EndpointProof(name, answered_by(run, cell, hybrid, name), p95, better, ratio))
    return tuple(found)


def faster(
    run: Run,
    readings: Readings,
    endpoint: str,
    several: Mapping[str, Sequence[tuple[Trial, Trial]]],
    p95: Mapping[str, float | None],
    of: int,
) -> tuple[str | None, Interval | None]:
    """The arm in which an endpoint is faster than in the other one, if it is significantly faster than in
    the hybrid, too; and the hybrid's time ÷ its. `of`: endpoints that are looked at. Raises RecordError."""
    known = {arm: value for arm in several if (value := p95[arm]) is not None}
    best = min(known, key=lambda arm: known[arm], default=None)
    if best is None:
        return None, None
    ours, theirs = (
        [readings.of(pair[side]).get(endpoint, NOTHING) for pair in several[best]] for side in (0, 1)
    )
    metrics: tuple[Metric, ...] = ("p95", "p50")
    for metric in metrics:
        # Of many endpoints some would seem slower by chance, and so would one of two arms.
        found = estimate(metric, theirs, ours, run.plan.alpha / (of * len(several))).interval
        if found is not None:
            return (best, found) if position(found, run.plan.margin) == "above" else (None, None)
    return None, None


def answered_by(run: Run, cell: Cell, hybrid: Arm, endpoint: str) -> str:
    """The arm whose app has an endpoint in the hybrid; "" where that is not known."""
    made = hybrid.hybrid
    route = ROUTES.get(endpoint) if run.plan.locustfile is None else None
    if route is None and run.answers is not None:
        known = run.answers.route(hybrid.name, cell.scenario, request_name(endpoint))
        route = f"{known.method} {known.path}".strip() if known is not None else None
    if made is None or route is None:
        return ""
    return made.arms[0] if moved(hybrid, route) else made.arms[1]


def middle(values: Sequence[float | None]) -> float | None:
    """The geometric mean; None where a value is unknown."""
    known = [math.log(value) for value in values if value]
    return math.exp(sum(known) / len(known)) if known and len(known) == len(values) else None
