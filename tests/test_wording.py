"""Every kind of fact has its sentence, and every sentence is plain English."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from loadtests.records import (
    AnswerDifference,
    Cell,
    DifferenceKind,
    Fault,
    FaultKind,
    Ignored,
    Load,
    Refusal,
    ServerEnd,
)
from loadtests.records.refusals import RefusalKind
from reports.advice.anatomy import Blocks, Pieces
from reports.advice.app_advice import Caller, Problem, Weight
from reports.advice.cards import Advice, AdviceKind, Card
from reports.advice.caveats import Caveat
from reports.advice.driven import Driven, Missed, PulseWaits, SeenLine
from reports.advice.notes import Note
from reports.advice.portraits import PortraitWord
from reports.advice.selftest import KnownAnswer
from reports.analysis.answers.differences import AnswersDiffer
from reports.analysis.backlogs.growth import BacklogKind
from reports.analysis.backlogs.judgement import Backlog
from reports.analysis.bottlenecks import Bottleneck, Evidence
from reports.analysis.bounds import Name
from reports.analysis.reservations import Reservation, RoundsLost
from reports.analysis.rounds.holders import Holder
from reports.analysis.signs import CanaryTimes
from reports.analysis.statistics import Interval, ShareDifference
from reports.analysis.thresholds import ThresholdWord
from reports.analysis.verdicts import Outcome, Verdict, VerdictWord
from reports.gate.changes import ChangeNote
from reports.gate.findings import WORST_FIRST
from reports.render.charts.style import rounds_text
from reports.render.html import machine_rows
from reports.render.markdown import machine_text
from reports.wording import units, vocabulary
from reports.wording.advice.app_advice import problem_text
from reports.wording.advice.cards import advice_text, note_text
from reports.wording.advice.caveats import caveat_text
from reports.wording.advice.driven import reach_text
from reports.wording.advice.rules import RULES
from reports.wording.bottlenecks import evidence_text, headline_text
from reports.wording.faults import fault_text
from reports.wording.gates import changes
from reports.wording.plans import plan_text
from reports.wording.refusals import refusal_text
from reports.wording.reservations import reservation_text
from reports.wording.selftest import answer_text
from tests import scripted
from tests.scripted import Scripted
from tests.test_language import findings

VERDICT = Verdict(
    cell=Cell(scenario="ping", load=Load(users=8)), endpoint="ping", metric="throughput", primary=True,
    arm="async", reference="sync", verdict="slower", ratio=0.8, low=0.7, high=0.9, n=8, values={},
)  # fmt: skip

EXAMPLES: Mapping[Any, Any] = {
    float: 0.3, int: 3, bool: True, str: "async", Verdict: VERDICT, Cell: VERDICT.cell,
    Interval: Interval(0.9, 0.8, 1.0, 4),
    Caller: Caller("middleware", "Audit.__call__", "async def", may_be_def=False),
    CanaryTimes: CanaryTimes(0.95, 1.6, 200), Blocks: Blocks(what="time.sleep", file="app.py", line=7),
    Pieces: Pieces(what="words", file="app.py", line=7),
    Holder: Holder("/notes/a.py", "notes/a.py", 41, "requests.get", True, "GET /notes", 2, 0.8, 70, False),
    SeenLine: SeenLine("/a.py", "a.py", (7,), "time.sleep", True, False, 0.02, 5, 5, ("GET /notes",)),
    Fault: Fault(kind="steal", value=0.3, limit=0.02), type(None): None,
    PulseWaits: PulseWaits(users=16, alone=0.002, waits=0.03),
    ServerEnd: ServerEnd(during="load", code=-9, log=("Killed",)),
    ShareDifference: ShareDifference(0.009, 0.007, 0.011),
    Refusal: Refusal(kind="window-too-long", needed=26.0, limit=10.0, trials=8, turns=5),
    Ignored: Ignored(kind="shape", name="StepLoad"), Advice: Advice("arm", "def"),
    Card: Card(
        scenario="ping", arm="async", advice=Advice("arm", "async"), verdict=VERDICT, lowest=8.0, highest=8.0,
        crossover=None, notes=(), served={"sync": 400.0, "async": 320.0}, neighbours={},
        pulses={"sync": CanaryTimes(0.95, 0.035, 200), "async": CanaryTimes(0.95, 0.26, 200)}, costs={},
        limits={},
    ),
}  # fmt: skip


def example(hint: Any) -> Any:
    """An example value of a field's type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in EXAMPLES:
        return EXAMPLES[hint]
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        return tuple(example(one) for one in arguments if one is not Ellipsis)
    return example(arguments[0])


def kinds(union: Any) -> Iterator[Any]:
    """An example of every member of a union; for faults, one per kind."""
    for member in get_args(union):
        if member is Fault:
            yield from faults()
        elif member is AnswersDiffer:
            yield from map(AnswersDiffer, unlike())
        else:
            hints = get_type_hints(member)
            yield member(**{one.name: example(hints[one.name]) for one in fields(member) if one.init})


def faults() -> Iterator[Fault]:
    for kind in get_args(FaultKind):
        yield Fault(kind=kind, value=3.0, limit=2.0, whole=8.0)


def unlike() -> Iterator[AnswerDifference]:
    for kind in get_args(DifferenceKind):
        for has in ((), ("307",)):
            yield AnswerDifference(
                kind=kind, scenario="Reader", endpoint="read", request="GET /items/7", reference="sync",
                arm="async", field="name", reference_has=("200",), arm_has=has, arm_part=0.4,
            )  # fmt: skip


def refusals() -> Iterator[Refusal]:
    for kind in get_args(RefusalKind):
        yield Refusal(kind=kind, needed=26.0, limit=10.0, trials=8, turns=5)


def sentences() -> Iterator[str]:
    """Every sentence that `reports/wording` has for a fact."""
    yield from map(fault_text, faults())
    yield from map(refusal_text, refusals())
    yield from map(reservation_text, kinds(Reservation))
    for kind in get_args(BacklogKind):
        yield reservation_text(Backlog("async", kind, 0.3))
        yield reservation_text(Backlog("async", kind, 0.3, 0.002, 0.0004, 0.3, 2.0**27))
    yield from map(evidence_text, kinds(Evidence))
    yield from map(note_text, kinds(Note))
    yield from map(caveat_text, kinds(Caveat))
    yield from map(changes.note_text, kinds(ChangeNote))
    yield from (advice_text(Advice(kind, "async")) for kind in get_args(AdviceKind))
    for problem in map(problem_text, kinds(Problem)):
        yield from (problem.what, problem.why, problem.remedy)
    yield from (text for rule in RULES for text in (rule.about, rule.help))
    yield reach_text(Driven(asked=(), left={why: why for why in get_args(Missed)}))
    for answer in map(answer_text, kinds(KnownAnswer)):
        yield from (answer.question, answer.known, answer.found, answer.remedy)
    evidence = next(kinds(Evidence))
    for name in get_args(Name):
        if name != "users":
            yield headline_text(Bottleneck(name, evidence), "async", 40, 20.0)


SENTENCES = list(sentences())


@pytest.mark.parametrize("text", SENTENCES)
def test_every_kind_of_fact_has_a_sentence_in_plain_english(text: str) -> None:
    assert text.strip()
    assert "None" not in text
    assert not findings("reports/wording", [(1, text)])


def test_no_two_kinds_of_fault_share_a_sentence() -> None:
    texts = list(map(fault_text, faults()))
    assert len(set(texts)) == len(texts) == len(get_args(FaultKind))


def test_every_word_has_its_text_and_its_mark() -> None:
    for texts, marks, words in (
        (vocabulary.VERDICT_MARKS, vocabulary.VERDICT_MARKS, VerdictWord),
        (vocabulary.OUTCOMES, vocabulary.OUTCOME_MARKS, Outcome),
        (vocabulary.GATES, vocabulary.OUTCOME_MARKS, Outcome),
        (vocabulary.THRESHOLDS, vocabulary.THRESHOLD_MARKS, ThresholdWord),
        (vocabulary.PORTRAIT_MARKS, vocabulary.PORTRAIT_MARKS, PortraitWord),
        (vocabulary.WEIGHT_MARKS, vocabulary.WEIGHT_MARKS, Weight),
    ):
        assert set(texts) == set(marks) == set(get_args(words))
        assert len(set(marks.values())) == len(marks)


def test_the_order_of_severity_covers_every_outcome() -> None:
    assert sorted(WORST_FIRST) == sorted(get_args(Outcome))


@pytest.mark.parametrize(
    ("number", "text"), [(9.994, "9.99"), (9.996, "10.0"), (99.94, "99.9"), (99.96, "100"), (1234.5, "1,234")]
)
def test_a_number_that_rounds_up_keeps_three_figures(number: float, text: str) -> None:
    assert units.figures(number) == text


@pytest.mark.parametrize(
    ("part", "text"), [(0.1, "10%"), (0.07, "7%"), (0.025, "2.5%"), (0.004, "0.4%"), (1 - 0.05, "95%")]
)
def test_a_fraction_that_was_set_is_not_rounded(part: float, text: str) -> None:
    assert units.exact_percent(part) == text


def test_one_of_a_kind_is_singular(tmp_path: Path) -> None:
    plan = scripted.plan(["app"], rounds=1).model_copy(update={"deadline": 1.0})
    run, _ = scripted.run(tmp_path, plan, lambda *_: Scripted())
    run = run.model_copy(update={"machine": run.machine.model_copy(update={"cores": 1})})
    assert "1 round (1 trial), then" in plan_text(plan)
    assert "too short for 1 round of all cells" in plan_text(plan)
    assert rounds_text([1, 1]) == "n = 1 round"
    lost = RoundsLost(1, 6, (EXAMPLES[Fault],))
    assert reservation_text(lost).startswith("1 of 6 rounds does not count: ")
    assert "than 1 user can have" in fault_text(Fault(kind="excess-in-flight", value=0.5, limit=0.1, whole=1))
    assert machine_rows(run)[0][1].endswith(", 1 core")
    assert ", 1 core (" in machine_text(run)


@pytest.mark.parametrize(
    ("part", "text"), [(1.0, "100%"), (0.9999, "99.9%"), (0.994, "99.4%"), (0.42, "42%"), (0.00013, "0.013%")]
)
def test_a_fraction_below_one_is_never_said_to_be_all(part: float, text: str) -> None:
    assert units.percent(part) == text
