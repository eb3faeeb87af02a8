"""The gate: three outcomes, an error rate that holds, no silent passes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from loadtests.errors import PlanError
from loadtests.plan.arms import BUILT_IN, Arm, Serving
from loadtests.plan.hybrids.parsing import joined
from loadtests.plan.plan import LocustFile, Plan
from loadtests.records import Cell, Load, Refusal
from loadtests.records.run import Machine
from reports.analysis.statistics import shift
from reports.analysis.verdicts import VerdictWord
from reports.gate.changes import ArmMoved, Change
from reports.gate.comparison import Comparison, compare
from reports.gate.findings import (
    AnsweredNothing,
    BeganToFail,
    FailedBefore,
    FailsBy,
    FitsNow,
    GateNote,
    Health,
    MayPileUp,
    NearMaximum,
    NotAmongAll,
    RatioMissing,
    SideInvalid,
    Unfit,
)
from reports.gate.setups import IRRELEVANT, Setup, allowed, arm_setup, names, plan_setup
from reports.gate.sides import Incompatible, Side, Standing
from reports.render import changes
from reports.wording.gates.changes import warnings
from tests import scripted
from tests.scripted import MACHINE

MARGIN = 0.10


FINE = Health(failed=((0, 1000),) * 12)
ALIKE = Setup()


def row(
    differences: Sequence[float],
    users: int = 64,
    word: VerdictWord = "equivalent",
    values: tuple[float | None, float | None] = (1000.0, 1000.0),
    health: Health = FINE,
    refusal: Refusal | None = None,
) -> Standing:
    """One of the cells; `health` is that of async."""
    cell = Cell(scenario="ping", load=Load(users=users))
    return Standing(
        cell, "throughput", "sync", "async", word, tuple(differences), values, (FINE, health), refusal
    )


def a_side(*rows: Standing, machine: Machine = MACHINE, setup: Setup = ALIKE) -> Side:
    return Side("a-run", machine, rows, setup)


def judged(base: Side, head: Side, allow: Sequence[str] = ()) -> Comparison:
    """Base and head, as two runs."""
    sides = (replace(base, run="base", began="2026-01-01"), replace(head, run="head", began="2026-01-02"))
    return compare(*sides, MARGIN, allowed(allow))


def noisy(mean: float, random: Random, n: int = 12, spread: float = 0.07) -> list[float]:
    return [random.gauss(mean, spread) for _ in range(n)]


def only(base: Standing, head: Standing) -> Change:
    (found,) = judged(a_side(base), a_side(head)).changes
    return found


def even(mean: float) -> list[float]:
    """Twelve rounds with little noise around a mean."""
    return [mean + 0.01 * (-1) ** number for number in range(12)]


@pytest.mark.parametrize(
    ("mean", "outcome"),
    [(0.0, "pass"), (0.2, "pass"), (-0.02, "pass"), (-0.1, "inconclusive"), (-0.25, "regression")],
)
def test_a_cell_passes_is_worse_or_is_not_decided(mean: float, outcome: str) -> None:
    assert only(row(even(0.3)), row(even(0.3 + mean))).outcome == outcome


def test_a_gate_rarely_fires_without_a_change_and_mostly_finds_twice_the_margin() -> None:
    """2,000 gates of one cell: 12 rounds, 5% noise per trial, sessions that differ by 2% without a
    change."""
    random = Random(1)
    fired = {0.0: 0, -2 * math.log1p(MARGIN): 0}
    for change in fired:
        for _ in range(2000):
            sessions = [random.gauss(0.0, 0.02) for _ in range(2)]
            base, head = noisy(sessions[0], random), noisy(sessions[1] + change, random)
            fired[change] += only(row(base), row(head)).outcome == "regression"
    assert fired[0.0] <= 20
    assert fired[-2 * math.log1p(MARGIN)] >= 1300


def test_a_gate_of_many_cells_exactly_at_the_margin_has_an_error_rate_of_5_percent() -> None:
    """Ten cells, all exactly at the margin: at most 5% of the gates call any cell worse."""
    random = Random(2)
    fired = 0
    for _ in range(400):
        base, head = [], []
        for users in range(1, 11):
            sessions = [random.gauss(0.0, 0.02) for _ in range(2)]
            base.append(row(noisy(sessions[0], random), users))
            head.append(row(noisy(sessions[1] - math.log1p(MARGIN), random), users))
        fired += any(one.outcome == "regression" for one in judged(a_side(*base), a_side(*head)).changes)
    assert fired <= 0.05 * 400 + 3 * math.sqrt(400 * 0.05 * 0.95)


def test_a_cell_worse_on_its_own_may_not_be_significant_after_holm_correction() -> None:
    cells = [row(even(0.0), users) for users in range(1, 21)]
    # About 1.9 standard errors beyond the margin: significant alone, not after Holm correction for twenty.
    edge = -math.log1p(MARGIN) - 1.9 * math.sqrt(2) * 0.02
    worse = [row(even(edge), 1), *(row(even(0.0), users) for users in range(2, 21))]
    assert only(cells[0], worse[0]).outcome == "regression"
    among = judged(a_side(*cells), a_side(*worse))
    assert among.changes[0].outcome == "inconclusive"
    assert among.changes[0].notes[0] == NotAmongAll(20)


def test_a_latency_that_rises_is_worse() -> None:
    cell = Cell(scenario="ping", load=Load(rate=100.0, arrivals="poisson"))
    before, after = (
        replace(row(even(mean), values=(0.01, 0.01)), cell=cell, metric="p99") for mean in (0.0, 0.4)
    )
    assert only(before, after).outcome == "regression"
    assert only(after, before).outcome == "pass"


def test_the_arm_that_moved_is_named() -> None:
    before = row(even(0.0), values=(1000.0, 1000.0))
    after = row(even(-0.4), values=(1010.0, 670.0))
    assert only(before, after).notes == (ArmMoved("async", "throughput", 1000.0, 670.0),)


def failing(*shares: float, requests: int = 10_000) -> Health:
    """An arm that fails shares of its requests, one after the other over and over."""
    counts = [round(share * requests) for share in shares]
    found = Health(failed=tuple((counts[n % len(counts)], requests) for n in range(12)))
    return found.model_copy(update={"failing": "by degree"}) if sum(shares) > 0.01 * len(shares) else found


OTHERWISE = Health(failed=FINE.failed, failing="otherwise")
FINE_ALL = Health(failed=FINE.failed, behind=(0.0,) * 12)
PILING = Health(failed=FINE.failed, behind=(0.5,) * 12, failing="by degree")
MAY_PILE_UP = Health(failed=FINE.failed, behind=(0.0,) * 12, may_pile_up=True)


@pytest.mark.parametrize(
    ("before", "after", "outcome", "note"),
    [
        # The worst outcomes are regressions, whether or not the base failed a little.
        (FINE, failing(1.0), "regression", FailsBy("async", "failed", 0.0, 1.0)),
        (failing(0.02), failing(1.0), "regression", FailsBy("async", "failed", 0.02, 1.0)),
        (failing(0.02, 0.03), failing(0.05, 0.06), "regression", FailsBy("async", "failed", 0.025, 0.055)),
        (FINE, failing(0.0, 1.0), "regression", FailsBy("async", "failed", 0.0, 0.5)),
        # Also where no arm is failing: more than 0.1% more, and proven.
        (FINE, failing(0.009), "regression", FailsBy("async", "failed", 0.0, 0.009)),
        (FINE, failing(0.0, 0.004), "inconclusive", FailsBy("async", "failed", 0.0, 0.002)),
        (failing(0.0005), failing(0.001), "pass", FailsBy("async", "failed", 0.0005, 0.001)),
        # Near: on either side of the 1% of a failing arm, within the margin, in some of the rounds.
        (failing(0.0098), failing(0.0105), "inconclusive", FailsBy("async", "failed", 0.0098, 0.0105)),
        (failing(0.05), failing(0.051), "pass", FailsBy("async", "failed", 0.05, 0.051)),
        (failing(0.0, 0.1), failing(0.02, 0.12), "inconclusive", FailsBy("async", "failed", 0.05, 0.07)),
        # Better.
        (failing(0.3), FINE, "pass", FailsBy("async", "failed", 0.3, 0.0)),
        # A degree that one side lacks is not compared, and no reason to pass.
        (FINE, PILING, "regression", BeganToFail("async")),
        (FINE_ALL, PILING.model_copy(update={"behind": ()}), "regression", BeganToFail("async")),
        (PILING.model_copy(update={"behind": ()}), PILING, "inconclusive", FailedBefore("async")),
        (FINE, MAY_PILE_UP, "inconclusive", MayPileUp("async")),
        # Of other reasons no degree is known.
        (FINE, OTHERWISE, "regression", BeganToFail("async")),
        (OTHERWISE, OTHERWISE, "inconclusive", FailedBefore("async")),
    ],
)
def test_how_much_an_arm_fails_is_compared_not_only_whether(
    before: Health, after: Health, outcome: str, note: GateNote
) -> None:
    found = only(row(even(0.0), health=before), row(even(0.0), health=after))
    assert found.outcome == outcome
    said = found.notes[0]
    if isinstance(said, FailsBy):
        said = replace(said, base=round(said.base, 9), head=round(said.head, 9))
    assert said == note


def test_a_head_that_may_pile_up_work_as_its_base_may_passes() -> None:
    assert only(row(even(0.0), health=MAY_PILE_UP), row(even(0.0), health=MAY_PILE_UP)).outcome == "pass"


def test_a_head_whose_tasks_pile_up_more_is_worse() -> None:
    piles = [
        Health(failed=FINE.failed, behind=(part,) * 12, failing="by degree") for part in (0.06, 0.07, 0.9)
    ]
    words = [only(row(even(0.0), health=piles[0]), row(even(0.0), health=one)).outcome for one in piles]
    assert words == ["pass", "pass", "regression"]
    some = only(row(even(0.0), health=piles[0]), row(even(0.0), health=piles[2]))
    assert some.notes[0] == FailsBy("async", "behind", 0.06, 0.9)


def test_a_head_that_answers_nothing_is_worse_and_one_whose_base_did_is_not() -> None:
    nothing, some = row((), word="failing", values=(1000.0, None), health=failing(1.0)), row(even(0.0))
    assert only(some, nothing).outcome == "regression"
    assert (only(nothing, some).outcome, only(nothing, some).notes[0]) == ("pass", AnsweredNothing("async"))
    assert only(nothing, nothing).outcome == "inconclusive"
    assert RatioMissing() in only(nothing, nothing).notes


@pytest.mark.parametrize(
    ("before", "after", "worse", "better"),
    [
        # The true ratio of a capped head is at least what was measured, of a capped reference at most.
        ((True, True), (True, False), "inconclusive", "pass"),
        ((True, True), (False, True), "regression", "inconclusive"),
        ((True, False), (True, True), "regression", "inconclusive"),
        ((True, True), (False, False), "inconclusive", "inconclusive"),
    ],
)
def test_a_side_near_the_generators_maximum_is_judged_from_what_is_known(
    before: tuple[bool, bool], after: tuple[bool, bool], worse: str, better: str
) -> None:
    base = replace(row(even(0.0)), known=before)
    heads = [replace(row(even(mean)), known=after) for mean in (-0.4, 0.4)]
    assert [only(base, head).outcome for head in heads] == [worse, better]
    assert NearMaximum() in only(base, heads[0]).notes


def refused(async_needs: float) -> Refusal:
    needs = {"sync": 2.0, "async": async_needs}
    return Refusal(kind="window-too-long", needed=async_needs, limit=10.0, trials=24, turns=5, needs=needs)


def test_a_head_whose_window_does_not_fit_is_worse() -> None:
    """Needing 12 s of 10 s is near; another machine may itself be twice as slow."""
    measured, near, far = row(even(0.0)), row((), refusal=refused(12.0)), row((), refusal=refused(31.0))
    assert only(measured, near).outcome == "inconclusive"
    assert only(measured, far).outcome == "regression"
    assert only(measured, far).notes == (Unfit("async", 31.0, 10.0, 10.0),)
    assert (only(far, measured).outcome, only(far, measured).notes) == ("pass", (FitsNow(),))
    assert only(far, far).outcome == "inconclusive"
    elsewhere = a_side(far, machine=MACHINE.model_copy(update={"cpu": "another"}))
    assert judged(a_side(measured), elsewhere).outcome == "inconclusive"


def test_a_failed_measurement_is_invalid_whichever_side_it_is_on() -> None:
    good, bad = row(even(0.0)), row(even(0.0), word="invalid")
    assert only(good, bad).notes == (SideInvalid(("head",)),)
    assert only(bad, bad).notes == (SideInvalid(("base", "head")),)
    assert only(bad, good).outcome == "invalid"


def test_a_missing_cell_is_refused_and_an_added_one_reported() -> None:
    both, one = a_side(row(even(0.0), 8), row(even(0.0), 64)), a_side(row(even(0.0), 64))
    with pytest.raises(Incompatible) as refused:
        judged(both, one)
    assert refused.value.cause == "the head lacks ping at 8 users, async against sync"
    assert refused.value.hint.endswith("--allow cells")
    added, missing = judged(one, both), judged(both, one, ["cells"])
    assert [str(row) for row in added.added] == ["ping at 8 users, async against sync"]
    assert [str(row) for row in missing.missing] == ["ping at 8 users, async against sync"]
    assert "only base has ping at 8 users" in " ".join(warnings(missing))


def test_another_machine_widens_the_gate_and_is_reported() -> None:
    elsewhere = MACHINE.model_copy(update={"cpu": "another"})
    base, head = row(even(0.0)), row(even(-0.17))
    here = judged(a_side(base), a_side(head))
    there = judged(a_side(base), a_side(head, machine=elsewhere))
    assert (here.outcome, there.outcome) == ("regression", "inconclusive")
    assert "cpu: A processor, now another" in warnings(there)[0]


def test_changed_packages_are_reported() -> None:
    newer = MACHINE.model_copy(update={"packages": {"fastapi": "0.166.0"}})
    found = judged(a_side(row(even(0.0))), a_side(row(even(0.0)), machine=newer))
    assert "not only the code changed: fastapi 0.165.0 → 0.166.0" in warnings(found)


SETUP = Setup(
    settings={"window": "1 s", "rounds": "12", "duel": "1"}, arms={"async": {"workers": "1", "env.A": "x"}}
)


def altered(**values: str) -> Setup:
    """SETUP with other settings, and with other ones of async where the name starts with `async_`."""
    plan = {name: value for name, value in values.items() if not name.startswith("async_")}
    arm = {name.removeprefix("async_"): value for name, value in values.items() if name.startswith("async_")}
    return Setup(settings={**SETUP.settings, **plan}, arms={"async": {**SETUP.arms["async"], **arm}})


def test_every_difference_between_two_setups_is_named_in_one_error_and_allowed_by_name() -> None:
    base = a_side(row(even(0.0)), setup=SETUP)
    other = altered(window="2 s", async_workers="4", **{"async_env.A": "y"})
    head = a_side(row(even(0.0)), setup=other)
    with pytest.raises(Incompatible) as refused:
        judged(base, head)
    assert refused.value.cause.splitlines() == [
        "window: 1 s, now 2 s", "env.A of async: x, now y", "workers of async: 1, now 4",
    ]  # fmt: skip
    assert refused.value.hint.endswith("--allow window --allow env --allow workers")
    with pytest.raises(Incompatible, match="measured differently") as one_left:
        judged(base, head, ["window,env"])
    assert one_left.value.cause == "workers of async: 1, now 4"
    found = judged(base, head, ["window,env", "workers"])
    assert (
        "as allowed (window: 1 s, now 2 s; env.A of async: x, now y; workers of async" in warnings(found)[0]
    )


def test_differences_that_change_no_figure_are_said_and_not_refused() -> None:
    found = judged(a_side(row(even(0.0)), setup=SETUP), a_side(row(even(0.0)), setup=altered(rounds="20")))
    assert warnings(found) == ["measured differently (rounds: 12, now 20)"]


def test_an_unknown_difference_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(PlanError) as refused:
        allowed(["worker"])
    assert "did you mean workers" in refused.value.hint
    with pytest.raises(PlanError, match="needs no --allow"):
        allowed(["rounds"])


def test_every_field_of_a_plan_is_compared_or_known_to_be_irrelevant() -> None:
    """A new field that changes what is measured must not make unlike runs comparable."""
    plan = scripted.plan()
    compared = {*(name.replace("-", "_") for name in plan_setup(plan)), "rounds"}
    fields = {*Plan.model_fields} - IRRELEVANT - {"min_rounds", "max_rounds"}
    assert fields == compared - {"rounds"}
    assert {*Arm.model_fields} - IRRELEVANT - {"serving", "env", "hybrid"} == {"app", "python", "copied"}
    served = Arm(name="a", app="a:a", env={"A": "b"}, serving=Serving(gc_threshold=1))
    assert {name.partition(".")[0] for name in arm_setup(served)} <= {*names(), "python"}
    assert len(arm_setup(served)) == len(Serving.model_fields) + 4
    tables = (("/a",), ()), (("/a", "/b"), ()), (("/a",), ("/c",))
    twins = BUILT_IN["sync"], BUILT_IN["async"]
    assert len({arm_setup(joined("hybrid", twins, table))["app"] for table in tables}) == len(tables)


def test_a_run_against_itself_is_an_error() -> None:
    """It would pass every gate."""
    one = a_side(row(even(0.0)))
    with pytest.raises(Incompatible, match="are the same run, a-run"):
        compare(one, one, MARGIN)
    with pytest.raises(Incompatible, match="began at once and have the same figures"):
        compare(one, replace(one, run="copy"), MARGIN)


def test_a_head_that_was_measured_before_its_base_is_said() -> None:
    base, head = (
        replace(a_side(row(even(mean))), run=name, began=began)
        for mean, name, began in ((0.0, "base", "2026-01-02T00:00:00"), (0.01, "head", "2026-01-01T00:00:00"))
    )
    assert "check that the two are not swapped" in warnings(compare(base, head, MARGIN))[0]


def test_the_shift_is_welchs() -> None:
    """Against the textbook formula, without drift."""
    before, after = [1.0, 2.0, 3.0, 5.0], [2.0, 4.0, 5.0, 7.0, 9.0]
    found = shift(before, after, 0.0)
    assert found is not None
    one, other = 2.9166666666666665 / 4, 7.3 / 5
    assert found.error == pytest.approx(math.sqrt(one + other))
    assert found.freedom == pytest.approx((one + other) ** 2 / (one**2 / 3 + other**2 / 4))
    assert shift([1.0] * 3, after, 0.0) is None


def test_every_word_of_a_comparison_is_harmless_in_markdown() -> None:
    found = judged(a_side(row(even(0.0))), a_side(row(even(-0.4))))
    assert isinstance(found, Comparison)
    text = changes.markdown(found)
    assert text.startswith("# gate breached: 1 worse, of 1 cell\n")
    assert "| ✗ worse |" in text


def test_users_who_think_are_not_compared_with_the_same_users_who_do_not() -> None:
    plan = scripted.plan()
    base, head = (
        Setup(settings=plan_setup(one)) for one in (plan, plan.model_copy(update={"no_think": True}))
    )
    with pytest.raises(Incompatible) as refused:
        judged(a_side(row(even(0.0)), setup=base), a_side(row(even(0.0)), setup=head))
    assert refused.value.cause == "no-think: not set, now yes"
    assert "--allow no-think" in refused.value.hint


def test_changed_packages_are_those_of_the_app_where_both_sides_know_them() -> None:
    """Its interpreter may be another one than that of duel."""
    old, new, none = (
        a_side(row(even(0.0)), setup=Setup(packages=packages))
        for packages in ({"fastapi": "0.110.0"}, {"fastapi": "0.111.0"}, {})
    )
    assert warnings(judged(old, new)) == ["not only the code changed: fastapi 0.110.0 → 0.111.0"]
    assert warnings(judged(old, old)) == []
    # A baseline of an earlier version knows those of duel alone.
    assert warnings(judged(none, new)) == []


def test_modules_that_the_users_import_are_part_of_how_a_run_was_measured() -> None:
    def measured_by(home: str, **helpers: str) -> Side:
        named = {f"{home}/{name}.py": digest for name, digest in helpers.items()}
        file = LocustFile(file=f"{home}/load.py", digest="d", helpers=named)
        plan = scripted.plan().model_copy(update={"locustfile": file})
        return a_side(row(even(0.0)), setup=Setup(settings=plan_setup(plan)))

    base = measured_by("/shop", orders="1")
    with pytest.raises(Incompatible) as refused:
        judged(base, measured_by("/shop", orders="2"))
    assert refused.value.cause.startswith("locustfile: ")
    assert judged(base, measured_by("/elsewhere/shop", orders="1")).outcome == "pass"
    alone = LocustFile(file="/shop/load.py", digest="d")
    plan = scripted.plan().model_copy(update={"locustfile": alone})
    assert plan_setup(plan)["locustfile"] == "d"
