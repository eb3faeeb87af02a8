"""A fast endpoint under Locust's own clients: the generator holds an arm back, and what that still shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from loadtests.measure.validity import CEILING, near_ceiling
from loadtests.records import Cell, Fault, Load
from loadtests.records.faults import FaultKind
from loadtests.records.run import Ceiling, Run
from reports.analysis.estimates import own_interval
from reports.analysis.readings import Readings
from reports.analysis.reservations import RoundsLost
from reports.analysis.rounds.consistency import Capped, own_ends
from reports.analysis.verdicts import Verdict, VerdictWord, verdicts
from reports.conclusions import conclude
from reports.export.measures import measures
from reports.gate.outcomes import decisions, speed
from reports.wording.faults import faults_text
from reports.wording.reservations import reservation_text
from reports.wording.sentences import sentence
from tests import scripted
from tests.scripted import Scripted

BUSY = Fault(kind="generator-busy", value=0.98, limit=0.80)
IDLE = Fault(kind="users-idle", value=0.31, limit=0.10)
LATE = Fault(kind="generator-late", value=0.012, limit=0.005)
NEAR = Fault(kind="near-ceiling", value=2_873.0, limit=1_680.0, whole=2_400.0)
STEAL = Fault(kind="steal", value=0.05, limit=0.02)


def verdict_on(
    parent: Path, rates: Mapping[str, int], faults: Mapping[str, Sequence[Fault]], gate: bool = False,
    client: str = "HttpUser",
) -> tuple[Verdict, str, str]:  # fmt: skip
    """The primary verdict on two arms, each with its faults in every round; its outcome in a gate, and its
    sentence."""
    plan = scripted.plan(arms=tuple(rates)).model_copy(update={"gate": gate})
    run, directory = scripted.run(parent, plan, lambda arm, *_: Scripted(requests=rates[arm], latency=0.001))
    trials = tuple(
        one.model_copy(update={"faults": tuple(faults.get(one.arm, ())), "client": client})
        for one in run.trials
    )
    run = run.model_copy(update={"trials": trials})
    found = next(one for one in verdicts(run, Readings(directory)) if one.primary)
    return found, decisions(plan, [found])[0].outcome, sentence(found, plan)


@pytest.mark.parametrize(
    "held",
    [(BUSY,), (NEAR,), (IDLE,), (BUSY, LATE, NEAR, IDLE), (BUSY, STEAL)],
    ids=["busy", "near", "idle", "all", "disturbed"],
)
def test_a_head_seven_times_slower_than_a_base_too_fast_for_the_generator_is_a_regression(
    tmp_path: Path, held: tuple[Fault, ...]
) -> None:
    """It was `invalid`: the generator only makes the difference look smaller."""
    rates = {"base": 2_800, "head": 400}
    found, outcome, text = verdict_on(tmp_path, rates, {"base": held}, gate=True)
    assert (found.verdict, found.n, outcome) == ("slower", 4, "regression")
    low, high = found.bounds
    assert low is None
    assert high == pytest.approx(1 / 7, rel=0.02)
    assert "base serves at least 7.0" in text
    assert found.ratio == pytest.approx(1 / 7, rel=0.02)


@pytest.mark.parametrize(
    ("rates", "held", "word", "side"),
    [
        # The arm that is held back is ahead at least by that much.
        ((400, 2_800), "head", "faster", "at least"),
        # It is truly faster than it seems: neither equal nor slower is known.
        ((2_800, 2_800), "head", "inconclusive", "at least"),
        ((2_800, 2_000), "head", "inconclusive", "at least"),
        ((2_000, 2_800), "base", "inconclusive", "at most"),
    ],
)
def test_what_the_generator_held_back_is_known_from_one_side(
    tmp_path: Path, rates: tuple[int, int], held: str, word: VerdictWord, side: str
) -> None:
    found, _, _ = verdict_on(tmp_path, dict(zip(("base", "head"), rates, strict=True)), {held: (BUSY, IDLE)})
    assert found.verdict == word
    (cap,) = (one for one in found.reservations if isinstance(one, Capped))
    assert (cap.arms, cap.side) == ((held,), side)
    text = reservation_text(cap)
    assert text.startswith(f"capped: the load generator held {held} back: it is truly faster than it seems")
    assert text.count("use ") == 1
    assert "LeanUser of loadtests.load.users in place of HttpUser" in text


@pytest.mark.parametrize(
    "faults",
    [
        {"base": (BUSY,), "head": (BUSY,)},
        {"base": (LATE,)},
        {"head": (STEAL,)},
    ],
)
def test_two_arms_held_back_and_other_disturbances_show_nothing(
    tmp_path: Path, faults: Mapping[str, Sequence[Fault]]
) -> None:
    found, outcome, _ = verdict_on(tmp_path, {"base": 2_800, "head": 400}, faults, gate=True)
    assert (found.verdict, outcome) == ("invalid", "invalid")


def held_back_once(
    parent: Path, rates: Mapping[str, int], held: Fault, arm: str, failures: int = 0
) -> tuple[Verdict, Run, Readings]:
    """The primary verdict on two arms, of which one was held back in a first attempt that was repeated."""
    plan = scripted.plan(arms=tuple(rates))
    run, directory = scripted.run(
        parent, plan, lambda name, _, round: Scripted(requests=rates[name] + round, failures=failures)
    )
    lost = [
        one.model_copy(update={"faults": (held,)}) for one in run.trials if (one.arm, one.round) == (arm, 1)
    ]
    run = run.model_copy(update={"trials": (*lost, *run.trials)})
    readings = Readings(directory)
    return next(one for one in verdicts(run, readings) if one.primary), run, readings


@pytest.mark.parametrize("held", [BUSY, NEAR, IDLE], ids=["busy", "near", "idle"])
def test_whatever_held_an_arm_back_in_an_attempt_that_was_repeated_caps_the_cell(
    tmp_path: Path, held: Fault
) -> None:
    """The attempts that count are the slower ones; of a busy generator and idle users they read as equal."""
    found, run, readings = held_back_once(tmp_path, {"base": 1_000, "head": 1_000}, held, "head")
    assert (found.verdict, found.n) == ("inconclusive", 4)
    assert [(one.arms, one.side) for one in found.reservations if isinstance(one, Capped)] == [
        (("head",), "at least")
    ]
    interval = own_interval(run, readings, found.cell, "head", "throughput")
    assert interval is not None
    assert own_ends(run, found.cell, "head", "throughput", interval) == (interval.low, None)


def test_two_arms_that_fail_alike_are_known_from_one_side_where_the_generator_held_one_back(
    tmp_path: Path,
) -> None:
    """A base that is truly faster than it seems: a gate passed a head by the bound that is not known."""
    found, _, _ = held_back_once(tmp_path, {"base": 1_000, "head": 970}, NEAR, "base", failures=20)
    assert (found.verdict, found.failing) == ("failing", ("base", "head"))
    assert found.bounds == (None, found.high)
    assert speed(found, 0.10).outcome == "inconclusive"


@pytest.mark.parametrize(
    ("rounds", "held"),
    [
        # The rounds that count by themselves are the slower ones: their upper end bounds nothing.
        (10, 6),
        # None counts by itself, and each is a lower bound.
        (4, 4),
    ],
)
def test_thresholds_and_exports_know_one_end_of_an_arm_that_was_held_back_in_most_rounds(
    tmp_path: Path, rounds: int, held: int
) -> None:
    table = {"http_reqs{arm:head}": ("rate>=400", "rate>=5000")}
    plan = scripted.plan(arms=("base", "head"), rounds=rounds).model_copy(update={"thresholds": table})

    def script(arm: str, _: Cell, round: int) -> Scripted:
        seen = 500 if arm == "base" else 1_300 if round < held else 900
        return Scripted(requests=seen + round, latency=0.001)

    run, directory = scripted.run(tmp_path, plan, script)
    trials = tuple(
        one.model_copy(update={"faults": (BUSY,)}) if one.arm == "head" and one.round < held else one
        for one in run.trials
    )
    found = conclude(run.model_copy(update={"trials": trials}), Readings(directory))
    assert [one.word for one in found.judgements] == ["met", "inconclusive"]
    (served,) = (one for one in measures(found) if (one.arm, one.metric) == ("head", "throughput"))
    assert served.low is not None
    assert (served.low > 400.0, served.high, served.n) == (True, None, rounds)


def test_an_open_loop_has_its_rate_and_no_bound() -> None:
    cell = Cell(scenario="ping", load=Load(rate=100.0, arrivals="poisson"))
    closed = scripted.trial(Scripted(), 1, 0, 0, scripted.plan().cells[0], "sync")
    assert closed.model_copy(update={"faults": (BUSY,)}).capped
    assert not closed.model_copy(update={"faults": (BUSY,), "cell": cell}).capped
    assert not closed.capped


@pytest.mark.parametrize(
    ("client", "said"),
    [
        ("HttpUser", "LeanUser of loadtests.load.users in place of HttpUser"),
        ("FastHttpUser", "LeanUser of loadtests.load.users in place of FastHttpUser"),
        ("LeanUser", "more --generators"),
        (None, "LeanUser of loadtests.load.users if the users are Locust's own"),
    ],
)
def test_remedies_of_one_message_agree(client: str | None, said: str) -> None:
    """`use a lower load; … use a lower load; … use more users, or slower requests`."""
    text = reservation_text(RoundsLost(4, 4, (BUSY, LATE, NEAR, IDLE), client))
    assert text.count(": use ") == 1
    assert said in text.rsplit(": use ", 1)[1]
    for other in ("more users", "lower load", "slower requests", "stop other programs", "starved", "resume"):
        assert other not in text
    for seen in ("98% of its core", "12.0 ms late", "2,873/s", "31% as much time"):
        assert seen in text
    assert faults_text([LATE, NEAR], client).startswith("the load generator's timers fired 12.0 ms late; ")
    alone = faults_text([IDLE], client)
    assert "more users (-u)" in alone
    # A remedy for something else stays beside it.
    assert "use a quieter machine" in faults_text([BUSY, STEAL], client)


def test_a_rate_that_log_ins_of_users_upset_is_told_to_warm_up_for_longer() -> None:
    """Each user logs in before its first request: with a short warm-up, requests that wait for that are sent
    late and all at once in the window."""
    more = Fault(kind="rate-off", value=22.6, limit=2.0, whole=16.0)
    late = Fault(kind="arrivals-late", value=1.4, limit=0.09)
    text = faults_text([late, more], "HttpUser")
    assert text.count("; where users log in first (on_start), a longer --warmup") == 1


@pytest.mark.parametrize(("rate", "ceiling"), [(12_058.0, 8_445.0), (8_000.0, 8_445.0), (5_000.0, 8_445.0)])
def test_a_ceiling_is_never_below_what_was_made(rate: float, ceiling: float) -> None:
    found = near_ceiling(rate, ceiling)
    assert bool(found) == (rate > CEILING * ceiling)
    for fault in found:
        assert fault.whole == max(rate, ceiling)
        assert fault.limit == CEILING * fault.whole
    text = faults_text(found) if found else ""
    assert ("12,058/s is the most that the load generator has made" in text) == (rate > ceiling)


def test_the_ceiling_of_a_run_is_at_least_what_its_trials_made(tmp_path: Path) -> None:
    run, _ = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted())
    run = run.model_copy(update={"ceilings": (Ceiling(scenario="ping", users=64, rate=8_445.0),)})
    assert run.ceiling("ping") == 8_445.0
    trial = run.trials[0].model_copy(update={"faults": tuple(near_ceiling(12_058.0, 8_445.0))})
    assert run.model_copy(update={"trials": (trial, *run.trials[1:])}).ceiling("ping") == 12_058.0
    assert run.ceiling("mixed") is None


def test_only_the_generators_own_limits_hold_an_arm_back() -> None:
    kinds: tuple[FaultKind, ...] = (
        "generator-late",
        "steal",
        "foreign-work",
        "no-sockets",
        "generators-lost",
    )
    assert not any(Fault(kind=kind, value=1.0).caps for kind in kinds)
