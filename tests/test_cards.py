"""Advice from the verdicts: it weighs other requests, states where it holds, and claims only what an arm
showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import stdtrit

from loadtests.plan.arms import BUILT_IN, Arm, Serving
from loadtests.records import Cell, Fault, Load
from loadtests.records.directory import RunDirectory
from loadtests.records.run import Calibration, Run
from reports.advice import explanations as module
from reports.advice.cards import EITHER, NOT_DECIDED, Advice, AtLoad, Card, choose, crossover
from reports.advice.notes import ThreadsUntried
from reports.advice.weighing.computing import HoldsGil, holds_gil
from reports.advice.weighing.neighbours import NeighbourRatio, alike, side_by_side
from reports.analysis.bottlenecks import Bottleneck, CpuExhausted, LoopLate, OneCpuEach, TokensExhausted
from reports.analysis.cores import CrowdedWorkers
from reports.analysis.readings import Readings
from reports.analysis.reservations import RoundsLost
from reports.analysis.signs import CanaryTimes, Signs
from reports.analysis.statistics import Interval
from reports.analysis.verdicts import Verdict, VerdictWord
from reports.conclusions import conclude
from reports.wording.advice.cards import advice_text, card_advice, card_figures, card_reason, note_text
from reports.wording.sentences import doubts
from tests import scripted
from tests.scripted import Scripted

SYNC, ASYNC = BUILT_IN["sync"], BUILT_IN["async"]
LOOP = (Bottleneck("event-loop", LoopLate(computes=True, lag=0.1, canary=None)),)
TOKENS = (Bottleneck("thread-tokens", TokensExhausted(40.0, 0.9, 20.0, 0.02)),)


def signs(canary: float = 0.001) -> Signs:
    return Signs(
        trials=4, throughput=100.0, latency=0.01, cores=0.5, cpu=0.001, rss=None, threads=None, delay=None,
        canary=CanaryTimes(0.95, canary, 200), queued=0.0,
    )  # fmt: skip


def test_canaries_are_compared_at_the_farthest_percentile_that_all_of_them_support() -> None:
    far = CanaryTimes(0.99, 5.4, 1_170, ((0.95, 3.9), (0.90, 3.0), (0.50, 0.5)))
    found = alike({"sync": replace(signs(), canary=far), "async": signs(2.0), "other": None})
    told = {
        name: one.canary and (one.canary.part, one.canary.response_time) for name, one in found.items() if one
    }
    assert told == {"sync": (0.95, 3.9), "async": (0.95, 2.0)}
    assert far.at(0.99) == far
    assert far.at(0.93).part == 0.90


def test_light_requests_that_fail_do_not_lower_the_percentile_at_which_pulses_are_compared() -> None:
    """A loop that is held for 250 ms now and then was harmless, since the app's light route answered errors;
    only an arm's own two kinds are compared at the percentile that both support."""
    pulse = CanaryTimes(0.95, 0.25, 200, ((0.90, 0.20), (0.50, 0.018)))
    quick = CanaryTimes(0.99, 0.04, 1_170, ((0.95, 0.03), (0.90, 0.02), (0.50, 0.002)))
    failing = CanaryTimes(0.50, 0.5, 200, failed=60)
    found = alike({
        "sync": replace(signs(), pulse=quick, canary=quick),
        "async": replace(signs(), pulse=pulse, canary=failing),
    })  # fmt: skip
    sync, async_ = (one for one in found.values() if one is not None)
    assert [one.pulse and one.pulse.response_time for one in (sync, async_)] == [0.03, 0.25]
    assert [one.canary and one.canary.response_time for one in (sync, async_)] == [0.002, 0.5]
    together = side_by_side(async_)
    assert together is not None
    assert [(one.part, one.response_time) for one in together] == [(0.50, 0.018), (0.50, 0.5)]
    assert side_by_side(signs()) is None


def verdict(word: VerdictWord, users: int = 64, failing: Sequence[str] = ()) -> Verdict:
    return Verdict(
        cell=Cell(scenario="ping", load=Load(users=users)), endpoint="ping", metric="throughput",
        primary=True, arm="async", reference="sync", verdict=word, ratio=1.0, low=0.9, high=1.1, n=4,
        values={"sync": 1.0, "async": 1.0},
        failing=tuple(failing),
    )  # fmt: skip


def chosen(
    word: VerdictWord,
    neighbour: tuple[float, float] | None = None,
    limits: Mapping[str, tuple[Bottleneck, ...]] | None = None,
    failing: Sequence[str] = (),
) -> str:
    """The choice if the canary's ratio of async to sync is in `neighbour`; the worse one waits 0.5 s. Nothing
    is known of an `async def` neighbour, as of external servers."""
    interval = Interval(float(np.sqrt(neighbour[0] * neighbour[1])), *neighbour, 4) if neighbour else None
    ratio = NeighbourRatio("canary", interval) if interval else None
    found = {"sync": signs(), "async": signs()}
    if interval is not None:
        found["async" if interval.ratio > 1 else "sync"] = signs(0.5)
    none: Mapping[str, tuple[Bottleneck, ...]] = {"sync": (), "async": ()}
    one = verdict(word, failing=failing)
    return advice_text(choose(one, SYNC, ASYNC, found, ratio, {**none, **(limits or {})}))


@pytest.mark.parametrize(
    ("word", "neighbour", "choice"),
    [
        ("faster", None, "async"),
        ("slower", None, "sync"),
        ("equivalent", None, "either"),
        ("inconclusive", None, "not decided"),
        ("invalid", None, "not decided"),
        # Equally fast, but other requests wait much longer under one of them.
        ("equivalent", (4.0, 9.0), "sync"),
        ("equivalent", (0.1, 0.3), "async"),
        # The difference is not significant, or below a factor of two.
        ("equivalent", (1.5, 9.0), "either"),
        ("equivalent", (1.2, 1.8), "either"),
        # Throughput is undecided, so there is no advice.
        ("inconclusive", (4.0, 9.0), "not decided"),
        # Slower, and harmful to other requests.
        ("slower", (4.0, 9.0), "sync"),
        # Faster but harmful: a note reports the other requests' queue for threads.
        ("slower", (0.1, 0.3), "sync"),
    ],
)
def test_the_choice_weighs_throughput_and_neighbours(
    word: VerdictWord, neighbour: tuple[float, float] | None, choice: str
) -> None:
    assert chosen(word, neighbour) == choice


def test_an_arm_that_serves_more_and_stalls_its_loop_is_not_advised() -> None:
    assert chosen("faster", (4.0, 9.0), {"async": LOOP}) == "sync"


@pytest.mark.parametrize("word", ["faster", "equivalent"])
def test_without_a_pulse_an_arm_that_holds_its_loop_is_not_advised(word: VerdictWord) -> None:
    """As `hash` on one core: a canary that waits for a thread is as slow as one that waits for the loop."""
    assert chosen(word, (1.1, 1.5), {"async": LOOP}) == "not decided"
    assert chosen("slower", (1.1, 1.5), {"async": LOOP}) == "sync"


def test_an_unnoticeable_slowdown_is_no_harm() -> None:
    """Four times as long, but 4 ms at most."""
    found = {"sync": signs(0.001), "async": signs(0.004)}
    ratio = NeighbourRatio("canary", Interval(4.0, 3.0, 5.0, 4))
    assert choose(verdict("equivalent"), SYNC, ASYNC, found, ratio, {"sync": (), "async": ()}) == EITHER


def test_where_one_arm_fails_the_other_is_advised() -> None:
    assert chosen("failing", failing=["sync"]) == "async"
    assert chosen("failing", failing=["async"]) == "sync"
    assert chosen("failing", failing=["sync", "async"]) == "not decided"


@pytest.mark.parametrize(
    ("share", "advised"), [(0.001, "async"), (0.3, "not decided"), (None, "not decided")]
)
def test_an_arm_without_a_round_that_counts_is_not_advised_while_it_fails(
    share: float | None, advised: str
) -> None:
    """However disturbed its rounds were, one server ended; that the other arm is whole is not known."""
    lost = RoundsLost(4, 4, ())
    one = replace(
        verdict("failing", failing=["sync"]), failed={"sync": 0.2, "async": share}, reservations=(lost,)
    )
    none: Mapping[str, tuple[Bottleneck, ...]] = {"sync": (), "async": ()}
    found = {"sync": signs(), "async": signs()}
    assert advice_text(choose(one, SYNC, ASYNC, found, None, none)) == advised


def at_load(word: VerdictWord, users: int) -> AtLoad:
    choice = {"faster": Advice("arm", "async"), "slower": Advice("arm", "sync"), "equivalent": EITHER}
    return AtLoad(verdict(word, users), {}, {}, None, choice.get(word, NOT_DECIDED), ())


def test_the_crossover_is_between_the_loads_where_the_order_flips() -> None:
    ordered = [at_load("slower", 1), at_load("inconclusive", 8), at_load("faster", 40), at_load("faster", 64)]
    assert crossover(ordered) == (1.0, 40.0)
    assert crossover(ordered[2:]) is None


def made(
    tmp_path: Path,
    told: Mapping[str, Mapping[int, Scripted]],
    arms: Sequence[Arm] = (SYNC, ASYNC),
    noisy: int | None = None,
) -> tuple[Run, list[Card]]:
    """The cards of a run in which each arm has these numbers per level, with little noise; with much at the
    `noisy` level."""
    levels = sorted(next(iter(told.values())))
    rounds = 4 if len(arms) == 2 else 2 * len(arms)
    plan = scripted.plan([arm.name for arm in arms], [("sleep", users) for users in levels], rounds)
    plan = plan.model_copy(update={"arms": tuple(arms)})

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        one = told[arm][cell.load.users or 0]
        # Alternating, so that rounds differ but the mean of a block does not.
        more = 3 if cell.load.users != noisy or arm == "sync" else one.requests
        return replace(one, requests=one.requests + (more if round % 2 else 0))

    run, directory = scripted.run(tmp_path, plan, script)
    return run, list(conclude(run, Readings(directory)).cards)


def test_a_card_says_at_which_loads_its_advice_held(tmp_path: Path) -> None:
    slow, same, fast = Scripted(requests=400), Scripted(requests=1000), Scripted(requests=2000)
    told = {
        "sync": {1: same, 8: same, 64: same, 256: same},
        "async": {1: slow, 8: same, 64: fast, 256: fast},
    }
    _, (card,) = made(tmp_path, told)
    assert (card_advice(card), card.lowest, card.highest) == ("async def", 64.0, 256.0)
    assert card.crossover == (1.0, 64.0)
    assert card.verdict.cell.load.users == 256
    assert card.verdict.ratio == pytest.approx(2.0, rel=0.01)


def test_advice_is_not_claimed_across_a_load_that_is_not_decided(tmp_path: Path) -> None:
    slow, fast = Scripted(requests=1000), Scripted(requests=2000)
    told = {"sync": {8: slow, 40: slow, 64: slow}, "async": {8: fast, 40: slow, 64: fast}}
    _, (card,) = made(tmp_path, told, noisy=40)
    assert (card_advice(card), card.lowest, card.highest) == ("async def", 64.0, 64.0)


def test_arms_that_are_equal_under_few_users_are_not_called_equal_while_many_are_open(tmp_path: Path) -> None:
    """With one user, arms that wait are always equal: `checkout` was "either", and ×0.74 at 64 users."""
    same, fast = Scripted(requests=1000), Scripted(requests=1300)
    told = {"sync": {1: same, 8: same, 64: same}, "async": {1: same, 8: same, 64: fast}}
    _, (card,) = made(tmp_path / "a", told, noisy=64)
    assert (card_advice(card), card.verdict.cell.load.users) == ("not decided", 64)
    assert (card.lowest, card.highest) == (None, None)
    _, (card,) = made(tmp_path / "b", {**told, "async": {1: same, 8: same, 64: same}})
    assert (card_advice(card), card.lowest, card.highest) == ("either", 1.0, 64.0)


def test_equal_throughput_with_a_starved_neighbour_is_no_tie(tmp_path: Path) -> None:
    """The finding that throughput alone hides."""
    told = {
        "sync": {64: Scripted(requests=1000, canary=0.17)},
        "async": {64: Scripted(requests=1000, canary=1.50)},
    }
    _, (card,) = made(tmp_path, told)
    assert card.verdict.verdict == "equivalent"
    assert card_advice(card) == "def"
    (note,) = map(note_text, card.notes)
    assert note == (
        "beside async, the app's own light route waits 1.64 s instead of 186 ms (p95): everything "
        "else on its event loop waits"
    )
    (sync, async_) = (card.neighbours[name] for name in ("sync", "async"))
    assert sync is not None
    assert async_ is not None
    assert (sync.part, sync.n) == (0.95, 200)
    assert async_.response_time == pytest.approx(1.5 * 1.08, rel=0.02)


def test_a_route_that_computes_is_def_and_its_light_neighbours_are_async_def(tmp_path: Path) -> None:
    """As `python` on two cores: `async def` serves 11% more, and holds up everything else."""
    told = {
        "sync": {64: Scripted(requests=437, pulse=0.033, canary=0.169)},
        "async": {64: Scripted(requests=484, pulse=0.236, canary=0.236)},
    }
    _, (card,) = made(tmp_path, told)
    assert card.verdict.verdict == "faster"
    assert card_advice(card) == "def"
    assert [note_text(note) for note in card.notes] == [
        "beside async, an `async def` route waits 258 ms instead of 36.0 ms (p95): everything else "
        "on its event loop waits",
        "keep light routes `async def`: beside sync they wait 36.0 ms instead of 185 ms (p95), which `def` "
        "routes wait for a thread",
    ]
    served, pulses, *_ = card_figures(card, ["sync", "async"])
    assert (served, pulses) == ("438/s / 486/s", "36.0 ms / 258 ms (p95)")


def test_a_queue_for_threads_is_no_reason_against_a_route_that_waits(tmp_path: Path) -> None:
    """The canary of the `def` app waits for a thread; an `async def` neighbour would not."""
    told = {
        "sync": {64: Scripted(requests=900, pulse=0.005, canary=0.5)},
        "async": {64: Scripted(requests=450, pulse=0.006, canary=0.006)},
    }
    _, (card,) = made(tmp_path, told)
    assert card_advice(card) == "def"
    (note,) = map(note_text, card.notes)
    assert note.startswith("keep light routes `async def`: beside sync they wait 5")


def test_offloading_advice_includes_the_measured_effect_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`def` is offloading, to the thread pool."""
    monkeypatch.setattr(module, "bottlenecks", lambda *_: list(LOOP))
    told = {
        "sync": {64: Scripted(requests=1000, canary=0.2)},
        "async": {64: Scripted(requests=2500, canary=1.2)},
    }
    _, (card,) = made(tmp_path, told)
    assert card_advice(card) == "offload it"
    assert note_text(card.notes[-1]) == (
        "as `def`, on threads: ×0.40 the throughput, and a light request takes 218 ms (p95); "
        "a process pool: not tried here"
    )


def test_offloading_that_was_not_measured_is_marked_as_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "bottlenecks", lambda *_: list(LOOP))
    before, after = Arm(name="before", app="shop:before"), Arm(name="after", app="shop:after")
    told = {
        "before": {64: Scripted(requests=1000, canary=0.2)},
        "after": {64: Scripted(requests=2500, canary=1.2)},
    }
    _, (card,) = made(tmp_path, told, (before, after))
    assert card_advice(card) == "offload it"
    assert note_text(card.notes[-1]).endswith("not tried here")
    assert "def" not in note_text(card.notes[-1])


def test_costs_are_per_thousand_requests(tmp_path: Path) -> None:
    told = {
        "sync": {64: Scripted(requests=1000, server_cpu=0.8)},
        "async": {64: Scripted(requests=2000, server_cpu=0.8)},
    }
    _, (card,) = made(tmp_path, told)
    assert card.costs["sync"].cpu == pytest.approx(0.8, rel=0.01)
    assert card.costs["async"].cpu == pytest.approx(0.4, rel=0.01)
    assert card.costs["sync"].hops is None


def test_every_number_of_a_card_can_be_recomputed_from_the_run_directory(tmp_path: Path) -> None:
    """From the files with numpy alone, to 1e-9."""
    told = {
        "sync": {64: Scripted(requests=1000, canary=0.17, server_cpu=0.8)},
        "async": {64: Scripted(requests=1700, canary=1.50, server_cpu=0.9)},
    }
    made(tmp_path, told)
    directory = RunDirectory(tmp_path / "scripted")
    run, readings = directory.load(), Readings(directory)
    (card,) = conclude(run, readings).cards
    logs = []
    for round in range(4):
        rates = {}
        for trial in (trial for trial in run.trials if trial.round == round):
            with np.load(directory.path / trial.files.samples) as file:
                rows = file["rows"]
            ended = (rows["end"] >= 0) & (rows["end"] < trial.window) & (rows["error"] == 0)
            rates[trial.arm] = ended.sum() / trial.window
        logs.append(np.log(rates["async"] / rates["sync"]))
    reach = stdtrit(3, 1 - 0.02016 / 2) * np.std(logs, ddof=1) / np.sqrt(4)
    assert card.verdict.ratio == pytest.approx(np.exp(np.mean(logs)), rel=1e-9)
    assert card.verdict.low == pytest.approx(np.exp(np.mean(logs) - reach), rel=1e-9)
    assert card.verdict.high == pytest.approx(np.exp(np.mean(logs) + reach), rel=1e-9)
    for arm in ("sync", "async"):
        times, requests, cpu = [], 0, 0.0
        for trial in (trial for trial in run.trials if trial.arm == arm):
            with np.load(directory.path / trial.files.canary) as file:
                times += list(file["rows"]["end"] - file["rows"]["due"])
            with np.load(directory.path / trial.files.samples) as file:
                end = file["rows"]["end"]
            requests += int(((end >= 0) & (end < trial.window)).sum())
            cpu += trial.resources.server_cpu or 0.0
        neighbour = card.neighbours[arm]
        assert neighbour is not None
        assert neighbour.n == len(times)
        assert neighbour.response_time == pytest.approx(sorted(times)[189], rel=1e-9)
        assert card.costs[arm].cpu == pytest.approx(1000 * cpu / requests, rel=1e-9)


GIL = (Bottleneck("gil", OneCpuEach(0.99, 2, 0.002, None)),)

CPU = (Bottleneck("cpu", CpuExhausted(2, 0.99, 0.002, None)),)


@pytest.mark.parametrize(
    ("pulse", "loop_share", "limits", "told"),
    [
        # Threads compute, and a light request waits for the GIL.
        (0.036, 0.05, GIL, True),
        # It waits, but not noticeably.
        (0.008, 0.05, GIL, False),
        # The event loop itself computes.
        (0.036, 0.9, GIL, False),
        (0.036, 0.05, (*LOOP, *GIL), False),
        # Several CPUs are busy: the work releases the GIL.
        (0.036, 0.05, CPU, False),
        # A server elsewhere does not tell.
        (0.036, None, GIL, False),
    ],
)
def test_threads_that_compute_are_told_to_hold_the_gil_where_neighbours_notice(
    pulse: float, loop_share: float | None, limits: tuple[Bottleneck, ...], told: bool
) -> None:
    sign = replace(signs(), pulse=CanaryTimes(0.95, pulse, 200), loop_share=loop_share)
    assert (holds_gil("sync", sign, limits) is not None) == told


def test_an_arm_that_is_advised_although_its_threads_compute_says_what_neighbours_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `def` the route is right, and yet light requests wait for the GIL."""
    monkeypatch.setattr(module, "bottlenecks", lambda *_: list(GIL))
    monkeypatch.setattr(module, "signs", lambda *_: replace(signs(), pulse=CanaryTimes(0.95, 0.036, 200),
                                                            loop_share=0.1))  # fmt: skip
    told = {"sync": {64: Scripted(requests=2000)}, "async": {64: Scripted(requests=1000)}}
    _, (card,) = made(tmp_path, told)
    assert card_advice(card) == "def"
    (said,) = [note_text(note) for note in card.notes if isinstance(note, HoldsGil)]
    assert said.startswith("sync computes on threads, which hold the GIL in turn")
    assert "here 36.0 ms (p95): compute in a process" in said


MORE = Arm(name="sync-threads-100", app=SYNC.app, serving=Serving(threads=100))


def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make threads the limit of the sync arm, regardless of its signs."""
    monkeypatch.setattr(
        module, "bottlenecks", lambda _, known, *__: list(TOKENS) if known.threads == 40 else []
    )


def test_more_threads_are_advised_when_an_arm_showed_that_they_suffice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch)
    fast, slow = Scripted(requests=2000), Scripted(requests=1000)
    told = {"sync": {64: slow}, "sync-threads-100": {64: fast}, "async": {64: fast}}
    (tmp_path / "a").mkdir()
    _, found = made(tmp_path / "a", told, (SYNC, MORE, ASYNC))
    assert [card_advice(card) for card in found] == ["raise the thread limit", "raise the thread limit"]
    assert "of async's throughput" in note_text(found[1].notes[0])


def test_more_threads_that_fail_requests_are_not_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch)
    fast, slow = Scripted(requests=2000), Scripted(requests=1000)
    told = {"sync": {64: slow}, "sync-threads-100": {64: replace(fast, failures=50)}, "async": {64: fast}}
    _, found = made(tmp_path, told, (SYNC, MORE, ASYNC))
    card = next(card for card in found if card.arm == "async")
    assert card_advice(card) == "async def"
    assert note_text(card.notes[0]).startswith("with 100 threads sync fails requests or has no valid")


def test_more_threads_are_not_advised_from_an_arm_that_differs_in_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another interpreter, another directory or a commit does is not what threads do."""
    limited(monkeypatch)
    fast, slow = Scripted(requests=2000), Scripted(requests=1000)
    told = {"sync": {64: slow}, "sync-threads-100": {64: fast}, "async": {64: fast}}
    for number, other in enumerate(({"python": "/other"}, {"app_dir": "/other"}, {"revision": "0" * 40})):
        (tmp_path / str(number)).mkdir()
        _, found = made(tmp_path / str(number), told, (SYNC, MORE.model_copy(update=other), ASYNC))
        card = next(card for card in found if card.arm == "async")
        assert card_advice(card) == "async def"
        assert card.notes == (ThreadsUntried("sync", 40, by_app=False),)


@pytest.mark.parametrize(
    ("held", "served", "advice", "said"),
    [
        # As fast as an arm that is truly faster than it seems.
        ("async", 2000, "async def", "with more threads nothing was decided"),
        # Truly faster than it seems, and seems faster already.
        ("sync-threads-100", 2600, "raise the thread limit", "with 100 threads sync has ×1.30 (≥ 1.30) of"),
        ("sync-threads-100", 2000, "async def", "with more threads nothing was decided"),
    ],
)
def test_more_threads_are_advised_by_what_is_known_of_arms_that_the_generator_held_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str, served: int, advice: str, said: str
) -> None:
    limited(monkeypatch)
    told = {
        "sync": {64: Scripted(requests=1000)},
        "sync-threads-100": {64: Scripted(requests=served)},
        "async": {64: Scripted(requests=2000)},
    }
    run, _ = made(tmp_path, told, (SYNC, MORE, ASYNC))
    busy = (Fault(kind="generator-busy", value=0.95, limit=0.80),)
    lost = [
        trial.model_copy(update={"faults": busy})
        for trial in run.trials
        if (trial.arm, trial.round) == (held, 1)
    ]
    run = run.model_copy(update={"trials": (*lost, *run.trials)})
    found = conclude(run, Readings(RunDirectory(tmp_path / "scripted"))).cards
    card = next(card for card in found if card.arm == "async")
    assert card_advice(card) == advice
    assert note_text(card.notes[0]).startswith(said)


def test_more_threads_that_did_not_suffice_are_marked_as_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch)
    told = {
        "sync": {64: Scripted(requests=1000)},
        "sync-threads-100": {64: Scripted(requests=1300)},
        "async": {64: Scripted(requests=2600)},
    }
    _, found = made(tmp_path, told, (SYNC, MORE, ASYNC))
    card = next(card for card in found if card.arm == "async")
    assert card_advice(card) == "async def"
    assert note_text(card.notes[0]).startswith("with 100 threads sync has ×0.50")


def test_more_threads_that_were_not_measured_are_marked_as_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch)
    told = {"sync": {64: Scripted(requests=1000)}, "async": {64: Scripted(requests=2000)}}
    _, (card,) = made(tmp_path, told)
    assert card_advice(card) == "async def"
    assert card.notes == (ThreadsUntried("sync", 40, by_app=False),)
    assert card_reason(card).startswith("sync is limited by thread-tokens (all 40 threads were taken in 90%")


TWO = Arm(name="sync-workers-2", app=SYNC.app, serving=Serving(workers=2))


@pytest.mark.parametrize(
    ("served", "advised"), [(500, "not decided"), (1000, "not decided"), (2000, "sync-workers-2")]
)
def test_fewer_workers_are_not_advised_where_more_had_no_cpus_of_their_own(
    tmp_path: Path, served: int, advised: str
) -> None:
    """The server of scripted runs has one CPU."""
    told = {"sync": {64: Scripted(requests=1000)}, "sync-workers-2": {64: Scripted(requests=served)}}
    _, (card,) = made(tmp_path, told, (SYNC, TWO))
    assert card_advice(card) == advised
    assert CrowdedWorkers("sync-workers-2", 2, 1) in card.verdict.reservations
    assert "sync-workers-2 has 2 workers on 1 CPU" in doubts(card.verdict)


def test_two_workers_are_not_advised_over_four_where_both_share_a_cpu(tmp_path: Path) -> None:
    four = TWO.model_copy(update={"name": "sync-workers-4", "serving": Serving(workers=4)})
    told = {"sync-workers-2": {64: Scripted(requests=1000)}, "sync-workers-4": {64: Scripted(requests=500)}}
    _, (card,) = made(tmp_path, told, (TWO, four))
    assert card.verdict.verdict == "slower"
    assert card_advice(card) == "not decided"


def test_two_arms_of_one_style_are_called_by_their_names(tmp_path: Path) -> None:
    told = {"sync": {64: Scripted(requests=1000)}, "sync-threads-100": {64: Scripted(requests=2000)}}
    _, (card,) = made(tmp_path, told, (SYNC, MORE))
    assert card_advice(card) == "sync-threads-100"


def test_user_arms_are_called_by_their_names(tmp_path: Path) -> None:
    before, after = Arm(name="before", app="shop:before"), Arm(name="after", app="shop:after")
    told = {"before": {64: Scripted(requests=2000)}, "after": {64: Scripted(requests=1000)}}
    _, (card,) = made(tmp_path, told, (before, after))
    assert card_advice(card) == "before"


def test_hops_come_from_the_calibration(tmp_path: Path) -> None:
    told = {"sync": {64: Scripted(requests=1000)}, "async": {64: Scripted(requests=2000)}}
    run, _ = made(tmp_path, told)
    seen = Calibration(arm="sync", scenario="sleep", users=1, throughput=40.0, hops=1.98)
    run = run.model_copy(update={"calibrations": (seen,)})
    readings = Readings(RunDirectory(tmp_path / "scripted"))
    (card,) = conclude(run, readings).cards
    assert card.costs["sync"].hops == 1.98
    assert card.costs["async"].hops is None
