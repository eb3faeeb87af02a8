"""Plans that cannot conclude are not started; what is announced is kept, or corrected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadtests.errors import PlanError
from loadtests.measure.prospects.feasibility import check_conclusive
from loadtests.measure.prospects.forecast import Forecast
from loadtests.measure.prospects.time_limit import STAGES, VISITS, TimeLimit
from loadtests.measure.validity import until_undisturbed
from loadtests.plan import plan as plans
from loadtests.plan.building import build_plan
from loadtests.plan.cells import ENOUGH_FOR_P50, Cell, Load
from loadtests.plan.plan import LocustFile, Plan
from loadtests.plan.profiles import FIRST_LOOK, LAST_LOOK
from loadtests.plan.request import LONGEST
from loadtests.plan.settings import RunSettings
from loadtests.records.faults import Fault
from loadtests.records.refusals import foreseen
from loadtests.records.run import Calibration, Ceiling
from reports.analysis.estimates import needed_for
from reports.analysis.readings import Readings
from reports.analysis.rounds.silence import NoRequestMade
from reports.analysis.verdicts import verdicts
from reports.render.live import expected
from reports.wording.plans import plan_text
from reports.wording.reservations import reservation_text
from tests import scripted
from tests.commands import duel_here
from tests.scripted import Scripted


def planned(**changes: Any) -> Plan:
    """Of two arms in one cell: 8 trials of a second and a half, with servers that take as long again."""
    return scripted.plan().model_copy(update=changes)


def thinking(pause: float, *levels: int, **changes: Any) -> Plan:
    """Users of a locustfile who wait between two requests."""
    file = LocustFile(file="load.py", digest="0", pauses={"Person": pause})
    plan = scripted.plan(cells=[("Person", users) for users in levels])
    return plan.model_copy(update={"locustfile": file, **changes})


def arriving(rate: float, window: float = 10.0) -> Plan:
    cell = Cell(scenario="ping", load=Load(rate=rate, arrivals="poisson"))
    return planned(cells=(cell,), window=window)


@pytest.mark.parametrize(
    "plan",
    [
        planned(),
        planned(max_rounds=4),
        planned(min_rounds=12, max_rounds=12),
        # The fifth is not measured: it is a maximum.
        planned(max_rounds=5),
        planned(deadline=60.0),
        # The expectation may be wrong by half.
        planned(deadline=25.0),
        thinking(2.0, 64),
        thinking(30.0, 64),
        thinking(30.0, 1, 64),
        thinking(30.0, 8, window=120.0),
        arriving(2.0),
    ],
)
def test_a_plan_that_may_conclude_is_started(plan: Plan) -> None:
    check_conclusive(plan)


@pytest.mark.parametrize(
    ("plan", "said", "hint"),
    [
        (planned(min_rounds=1, max_rounds=1), "too few rounds: 1, and an interval needs 4", "--rounds 4"),
        (planned(min_rounds=3, max_rounds=3), "too few rounds: 3, and an interval needs 4", "--rounds 4"),
        (planned(min_rounds=5, max_rounds=5), "the last one would not count", "--fixed-rounds 4 or 6"),
        (planned(deadline=10.0), "4 rounds of all cells do not fit --max-time, 10 s", "--max-time 33s or"),
        (
            scripted.plan(cells=[("ping", n) for n in range(1, 21)]).model_copy(update={"deadline": 120.0}),
            "4 rounds of all cells do not fit --max-time, 120 s",
            "or at most 5 of the 20 cells",
        ),
        # In 10 s, 8 users who wait for 30 s make 2.7 requests.
        (thinking(30.0, 8), "no cell makes enough requests", "-t 75, or more users"),
        (thinking(30.0, 1, 8), "no cell makes enough requests", "-t 75, or more users"),
        (thinking(600.0, 64), "no cell makes enough requests", "-t 188, or more users"),
        (arriving(1.0), "no cell makes enough requests", "-t 20, or a higher --rate"),
    ],
)
def test_a_plan_that_cannot_conclude_is_refused_with_what_would_fit(plan: Plan, said: str, hint: str) -> None:
    with pytest.raises(PlanError, match=said) as caught:
        check_conclusive(plan)
    assert hint in str(caught.value.hint)


def test_too_few_rounds_are_refused_before_anything_starts(tmp_path: Path) -> None:
    arms = [word for name in "abc" for word in ("--arm", f"{name}=sync")]
    done = duel_here("run", "-s", "ping", *arms, "--rounds", "2", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: too few rounds: 2, and an interval needs 4",
        "hint: use --rounds 4 or more; `duel check` tries the arms without load",
    ]
    assert not (tmp_path / "runs").exists()


def test_a_cell_whose_windows_are_too_short_is_named_in_the_plan_and_the_others_are_measured() -> None:
    plan = thinking(30.0, 1, 64)
    assert set(foreseen(plan)) == {"Person@1"}
    assert (
        "Person at 1 user: not measured: makes about 0 requests in a window of 10 s, since its users wait "
        "about 30 s between two; a median needs 20: use -t 600, or more users (-u)."
    ) in plan_text(plan)


@pytest.mark.parametrize("arms", [2, 4])
@pytest.mark.parametrize("deadline", [45.0, 200.0, 3600.0])
def test_endless_answers_leave_most_of_the_time_for_the_rounds(deadline: float, arms: int) -> None:
    """Calibrated and asked before them, they took more than three times the limit, 45 s, by themselves."""
    plan = scripted.plan([f"arm{number}" for number in range(arms)]).model_copy(update={"deadline": deadline})
    limit, loads, scenarios = TimeLimit(plan), 2, 1
    asked = arms * VISITS * scenarios * limit.visit(6.0, scenarios)
    calibrated = arms * loads * STAGES * limit.stretch(loads)
    assert asked + calibrated <= deadline / 2
    # A window that is stretched for slow answers leaves room for the minimum of rounds.
    assert plan.longest * plan.min_rounds * arms <= deadline
    unlimited = plan.model_copy(update={"deadline": None})
    assert (TimeLimit(unlimited).stretch(loads), unlimited.longest) == (LONGEST, LONGEST)
    assert TimeLimit(unlimited).visit(6.0, 1) == 6.0


def test_a_disturbed_calibration_is_repeated_only_while_there_is_time() -> None:
    late = TimeLimit(planned(deadline=45.0))
    late.began -= 16.0
    disturbed = Ceiling(
        scenario="ping", users=64, rate=1.0, faults=(Fault(kind="steal", value=0.2, limit=0.02),)
    )
    for limit, attempts in ((TimeLimit(None), 3), (TimeLimit(planned(deadline=45.0)), 3), (late, 1)):
        assert len(until_undisturbed(lambda: disturbed, limit.repeatable)) == attempts


def test_a_plan_knows_how_long_the_users_of_its_locustfile_wait(tmp_path: Path) -> None:
    file = tmp_path / "load.py"
    file.write_text("")
    told = {"Person": {"pause": 2.0}, "Robot": {"pause": 0.0}, "Odd": {"pause": None}, "Old": {}}
    own = {"scenarios": told, "ignored": ()}
    plan = build_plan(RunSettings(locustfile=str(file), arm=("sync", "async")), own)
    assert plan.locustfile is not None
    assert plan.locustfile.pauses == {"Person": 2.0}


def test_the_median_needs_as_many_requests_as_the_plan_asks_for() -> None:
    assert needed_for("p50") == ENOUGH_FOR_P50


@pytest.mark.parametrize("silent", ["sync", "async"])
def test_a_cell_in_which_no_request_was_made_says_that(tmp_path: Path, silent: str) -> None:
    """It was: an arm answered nothing."""
    plan = scripted.plan()
    run, directory = scripted.run(
        tmp_path, plan, lambda arm, _, round: Scripted(requests=0 if arm == silent and round else 400)
    )
    primary = next(one for one in verdicts(run, Readings(directory)) if one.primary)
    assert (primary.verdict, primary.reservations) == ("inconclusive", (NoRequestMade(silent, 3, 4),))
    assert reservation_text(primary.reservations[0]).startswith(
        f"no request was made to {silent} in 3 of 4 windows: the users wait for longer than that"
    )


def slow(throughput: float) -> tuple[Calibration, ...]:
    made = {"scenario": "ping", "throughput": throughput, "service_time": 1.0 / throughput}
    return tuple(
        Calibration.model_validate({"arm": arm, "users": users, **made})
        for arm in ("sync", "async")
        for users in (1, 40)
    )


def test_what_was_announced_stands_while_it_is_right() -> None:
    plan = planned()
    forecast = Forecast(plan, slow(1_000.0), plan.cells)
    before, one = plan.preparation_seconds, plan.round_seconds()
    assert forecast.correction(plan.cells, before) is None
    for _ in range(2):
        forecast.note(plan.cells[0], one * 1.3)
        assert forecast.correction(plan.cells, before) is None
    assert forecast.round_seconds(plan.cells) == pytest.approx(1.3 * one)


@pytest.mark.parametrize("factor", [3.0, 0.3])
def test_a_run_that_takes_much_longer_or_shorter_is_corrected_once(factor: float) -> None:
    plan = planned()
    forecast = Forecast(plan, slow(1_000.0), plan.cells)
    before, one = plan.preparation_seconds, plan.round_seconds()
    forecast.note(plan.cells[0], one * factor)
    found = forecast.correction(plan.cells, before)
    assert found is not None
    assert found == pytest.approx([before + rounds * one * factor for rounds in (FIRST_LOOK, LAST_LOOK)])
    assert forecast.correction(plan.cells, before) is None


def test_slow_answers_are_announced_before_the_first_round() -> None:
    """64 users of an arm that serves 40 a second need windows of 8 s, and warm-ups of 5 s."""
    plan = planned()
    forecast = Forecast(plan, slow(40.0), plan.cells)
    found = forecast.correction(plan.cells, 20.0)
    assert found is not None
    round = plans.ROUND_OVERHEAD + 2 * (3 * 64 / 40 + 5 * 64 / 40 + plans.TRIAL_OVERHEAD)
    assert found == pytest.approx((20.0 + 4 * round, 20.0 + 20 * round))
    assert expected(*found) == "this run is now expected to take 2 min 13 s to 9 min 43 s in all"


def test_cells_are_forecast_by_what_each_of_them_takes() -> None:
    """A slow cell that comes first says nothing of a fast one."""
    plan = scripted.plan(cells=[("Person", 64), ("ping", 8)])
    file = LocustFile(file="load.py", digest="0", pauses={"Person": 5.0})
    plan = plan.model_copy(update={"locustfile": file})
    forecast = Forecast(plan, (), plan.cells)
    slow_one, fast = (forecast.round_seconds([cell]) for cell in plan.cells)
    assert (slow_one, fast) == (
        plans.ROUND_OVERHEAD + 2 * (5.0 + 10.0 + plans.TRIAL_OVERHEAD),
        plan.round_seconds(),
    )
    forecast.note(plan.cells[0], slow_one)
    assert forecast.round_seconds([plan.cells[1]]) == pytest.approx(fast)
