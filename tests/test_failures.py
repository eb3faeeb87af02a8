"""Failures are part of every figure: of percentiles, of canaries, of the verdict and of the advice."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from loadtests.records import Cell, Load
from loadtests.records.samples import Samples
from reports.advice.cards import NOT_DECIDED
from reports.analysis.distributions import tail
from reports.analysis.readings import Reading, Readings, canary_seen, read
from reports.analysis.reservations import (
    CanaryFailed,
    DropsConnections,
    FailsMore,
    MayFailMore,
    PercentileFailed,
)
from reports.analysis.signs import signs
from reports.analysis.statistics import FIRST_LOOK, LAST_LOOK, difference_of_shares
from reports.conclusions import Conclusions, conclude, decided
from reports.export import formats
from reports.render import markdown
from reports.render.html import page
from reports.render.summary import summary
from reports.wording.reservations import reservation_text
from reports.wording.sentences import sentences
from tests import scripted
from tests.scripted import Scripted


def arrivals(shed: int, n: int = 2_000, slow: int = 30) -> Samples:
    """In a second, `n` requests of 10 ms, except for `slow` ones of 680 ms, of which `shed` get a 503 at
    once."""
    due = np.linspace(0.0, 0.999, n)
    took = 0.01 * np.random.default_rng(1).uniform(0.9, 1.1, n)
    chosen = np.arange(slow) * (n // slow)
    took[chosen] = 0.68
    took[chosen[:shed]] = 0.001
    error = np.zeros(n, dtype=np.uint16)
    error[chosen[:shed]] = 1
    return Samples(
        due=due, start=due, end=due + took, size=np.zeros(n, dtype=np.uint32), error=error,
        endpoint=np.zeros(n, dtype=np.uint16), status=np.where(error == 0, 200, 503).astype(np.uint16),
    )  # fmt: skip


def test_shedding_the_slowest_requests_does_not_make_the_others_look_fast() -> None:
    """1.5% of the requests take 680 ms; an arm that answers 0.9% with 503 instead showed a p99 60 times
    better."""
    whole, shed = read(arrivals(0), 1.0), read(arrivals(18), 1.0)
    assert whole.p99 == pytest.approx(0.68)
    assert shed.p99 == pytest.approx(0.68)
    assert shed.service_p99 == pytest.approx(0.68)
    assert shed.p95 == pytest.approx(whole.p95)
    assert shed.failures == shed.failed == 18


def test_a_percentile_beyond_which_only_failures_are_has_no_value() -> None:
    """Of 2,000 requests 21 fail: the 1,980th fastest of all never completes."""
    assert read(arrivals(20), 1.0).p99 is not None
    failing = read(arrivals(21, slow=21), 1.0)
    assert (failing.p99, failing.service_p99) == (None, None)
    assert failing.p95 is not None


def test_arrivals_that_were_never_sent_are_infinitely_slow_as_well() -> None:
    assert read(arrivals(0), 1.0, dropped=15).p99 == pytest.approx(0.68)
    assert read(arrivals(0), 1.0, dropped=21).p99 is None


def script(failures: int, factor: float = 1.0, n: int = 1000, **more: int | float) -> scripted.Script:
    """async fails a number of its requests in every round, and serves `factor` times as much."""

    def trial(arm: str, cell: Cell, round: int) -> Scripted:
        wobble = Random(f"{arm}{round}").randint(0, n // 100)
        if arm == "sync":
            return Scripted(requests=n + wobble, latency=0.001)
        return Scripted(
            requests=round_to((n + wobble) * factor), failures=failures and failures + round % 2,
            latency=0.001, **more,  # type: ignore[arg-type]  # one of Scripted's own fields
        )  # fmt: skip

    return trial


def round_to(number: float) -> int:
    return int(number + 0.5)


def concluded(tmp_path: Path, script: scripted.Script, rounds: int = 6) -> Conclusions:
    run, directory = scripted.run(tmp_path, scripted.plan(rounds=rounds), script)
    return conclude(run, Readings(directory))


def test_an_arm_that_sheds_more_is_not_advised_for_its_speed(tmp_path: Path) -> None:
    """The first release advised it, and said `no failures` by saying nothing."""
    found = concluded(tmp_path, script(9, factor=1.5))
    (verdict,) = found.primaries
    assert (verdict.verdict, verdict.blemished) == ("faster", ("async",))
    assert isinstance(verdict.reservations[0], FailsMore)
    assert found.cards[0].advice.kind == "not-decided"


def test_of_two_equal_arms_the_one_that_sheds_less_is_advised(tmp_path: Path) -> None:
    found = concluded(tmp_path, script(9, factor=1.01))
    assert found.primaries[0].verdict == "equivalent"
    assert found.cards[0].advice.name == "def"


def test_no_failures_and_equal_failures_leave_the_advice_alone(tmp_path: Path) -> None:
    for failures in (0, 9):

        def alike(arm: str, cell: Cell, round: int, failures: int = failures) -> Scripted:
            n = 1500 if arm == "async" else 1000
            # As many per 1,000 requests, give or take one.
            return Scripted(requests=n + round, latency=0.001, failures=round_to(failures * n / 1000))

        (tmp_path / str(failures)).mkdir()
        found = concluded(tmp_path / str(failures), alike)
        assert found.primaries[0].blemished == ()
        assert found.cards[0].advice.kind != "not-decided"


def test_a_cell_is_measured_on_until_the_difference_in_failures_is_settled(tmp_path: Path) -> None:
    """Faster after four rounds, but it failed 4 of 1,000 requests in one of them and none in the others."""

    def once(arm: str, cell: Cell, round: int) -> Scripted:
        n = 1500 if arm == "async" else 1000
        return Scripted(requests=n + round, latency=0.001, failures=9 * (arm == "async" and round == 1))

    run, directory = scripted.run(tmp_path, scripted.plan(), once)
    (verdict,) = conclude(run, Readings(directory)).primaries
    assert verdict.verdict == "faster"
    assert any(isinstance(one, MayFailMore) for one in verdict.reservations)
    assert decided(run, Readings(directory)) == set()


def test_failure_rates_of_both_arms_are_with_the_verdict_in_every_format(tmp_path: Path) -> None:
    found = concluded(tmp_path, script(9, factor=1.5))
    (line,) = sentences(found)
    assert "failed requests: sync 0%, async 0.63%" in line
    told = markdown.report(found)
    assert "failed requests: sync 0%, async 0.63%" in told
    assert "| 0% / 0.63% |" in told
    data = json.loads(json.dumps(summary(found), allow_nan=False))
    (row,) = (row for row in data["verdicts"] if row["primary"])
    assert row["failed"] == {"sync": 0.0, "async": pytest.approx(0.0063, abs=0.0001)}
    html = page(found, [], data)
    assert "failed requests: sync 0%, async 0.63%" in html
    assert '<td class="number">0% / 0.63%</td>' in html
    exported = formats.Exported(found, None, 0.10)
    said = {name: write(exported) for name, write in formats.FORMATS.items() if name != "baseline"}
    assert 'duel_failed_ratio{scenario="ping",load="64 users",arm="async"} 0.006' in said["openmetrics"]
    assert "async 0.63%" in said["junit"]
    assert "failed: 0.63%" in said["benchmark-bigger"]
    assert json.loads(said["bencher"])["ping at 64 users, async"]["failed-requests"]["value"] > 0.006
    assert "async 0.63%" in said["github-summary"]
    assert "async 0.63%" in said["comment"]


def test_a_percentile_lost_to_failures_says_so(tmp_path: Path) -> None:
    """In one round of four 1.5% of the requests fail: too few for `failing`, too many for a p99."""

    def once(arm: str, cell: Cell, round: int) -> Scripted:
        failures = 30 if arm == "async" and round == 1 else 0
        return Scripted(requests=2000 + round, latency=0.001, failures=failures)

    run, directory = scripted.run(tmp_path, scripted.plan(), once)
    found = conclude(run, Readings(directory)).verdicts
    (p99,) = (one for one in found if one.metric == "p99")
    assert p99.verdict == "inconclusive"
    assert p99.reservations[0] == PercentileFailed("p99")


def test_a_tail_is_that_of_all_requests_and_ends_where_failures_begin(tmp_path: Path) -> None:
    def shedding(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(requests=1000, latency=0.001, failures=100 if arm == "async" else 0)

    run, directory = scripted.run(tmp_path, scripted.plan(), shedding)
    readings = Readings(directory)
    whole, shed = (tail(run, readings, run.plan.cells[0], arm) for arm in ("sync", "async"))
    assert whole is not None
    assert shed is not None
    assert whole.n == shed.n == 4000
    assert whole.parts[-1] == pytest.approx(1 - 10 / 4000)
    assert shed.parts[-1] == pytest.approx(0.9)


def test_failure_rates_are_judged_with_the_round_as_the_unit() -> None:
    """Simulated: equal rates, whether requests fail one by one or in bursts, are called different in 5% of
    the cells at most, over all looks; and 0.9% against none is found."""
    random = np.random.default_rng(1)

    def shares(share: float, bursts: float | None) -> list[tuple[int, int]]:
        """Twenty rounds of 5,000 requests."""
        each = share if bursts is None else random.beta(share * bursts, (1 - share) * bursts, LAST_LOOK)
        return [(int(count), 5_000) for count in random.binomial(5_000, each, LAST_LOOK)]

    def found(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> bool:
        looks = range(FIRST_LOOK, LAST_LOOK + 1, 2)
        judged = [difference_of_shares(one[:n], other[:n], 0.05) for n in looks]
        return any(it is not None and not it.low <= 0.0 <= it.high for it in judged)

    for share, bursts in ((0.0005, None), (0.009, None), (0.009, 500.0)):
        alarms = sum(found(shares(share, bursts), shares(share, bursts)) for _ in range(200))
        assert alarms <= 15, (share, bursts)
        if share > 0.001:
            none = [(0, 5_000)] * LAST_LOOK
            assert sum(found(none, shares(share, bursts)) for _ in range(50)) >= 49, bursts


def test_few_failures_at_even_gaps_are_not_certain() -> None:
    """One of 1,000 in each of four rounds has no variance, and could be chance."""
    few = difference_of_shares([(0, 1000)] * 4, [(1, 1000)] * 4, 0.05)
    assert few is not None
    assert few.low < 0.0 < few.high
    many = difference_of_shares([(0, 1000)] * 4, [(9, 1000)] * 4, 0.05)
    assert many is not None
    assert many.low > 0.0
    assert difference_of_shares([(0, 1000)] * 3, [(9, 1000)] * 3, 0.05) is None
    assert difference_of_shares([(0, 0), *[(0, 1000)] * 3], [(9, 1000)] * 4, 0.05) is None


def test_one_refused_canary_in_ten_does_not_discard_the_canary(tmp_path: Path) -> None:
    """It counts as infinitely slow: the p90 has no value, and 69.5 ms did not become `–`."""

    def refused(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(canary=0.0695, canary_failures=5 if arm == "async" else 0)

    run, directory = scripted.run(tmp_path, scripted.plan(), refused)
    readings = Readings(directory)
    cell = run.plan.cells[0]
    whole, some = (signs(run, readings, cell, arm) for arm in ("sync", "async"))
    assert whole is not None
    assert some is not None
    assert whole.canary is not None
    assert some.canary is not None
    assert (whole.canary.part, whole.canary.failed) == (0.95, 0)
    # Twenty of 200 fail: the 180th fastest is the slowest that was answered.
    assert (some.canary.part, some.canary.n, some.canary.failed) == (0.90, 200, 20)
    assert some.canary.at(0.5).response_time == pytest.approx(0.0695, rel=0.05)
    (verdict,) = conclude(run, readings).primaries
    assert CanaryFailed("async", 20, 200) in verdict.reservations
    assert "20 of 200" in reservation_text(CanaryFailed("async", 20, 200))


@pytest.mark.parametrize(
    ("whole", "stuck"), [(("a", "b"), ("a",)), (("/items",), ("shop",))], ids=["a mix", "one endpoint"]
)
def test_an_arm_that_reaches_other_endpoints_is_judged_on_all_of_its_requests(
    tmp_path: Path, whole: tuple[str, ...], stuck: tuple[str, ...]
) -> None:
    """Users who are never answered request the first endpoint only, or none that is known by its name. The
    arm was `inconclusive`, without a failed request."""

    def hangs(arm: str, *_: object) -> Scripted:
        if arm == "sync":
            return Scripted(endpoints=whole)
        return Scripted(requests=64, failures=64, endpoints=stuck)

    (verdict,) = concluded(tmp_path, hangs).primaries
    assert (verdict.verdict, verdict.endpoint) == ("failing", "all")
    assert verdict.failed == {"sync": 0.0, "async": 1.0}


def test_a_round_that_misses_a_rare_endpoint_counts(tmp_path: Path) -> None:
    def rare(_: str, __: Cell, round: int) -> Scripted:
        return Scripted(endpoints=("a",) if round == 2 else ("a", "b"))

    (verdict,) = concluded(tmp_path, rare).primaries
    assert (verdict.verdict, verdict.n) == ("equivalent", 6)


def test_a_canary_without_any_answer_is_none_and_its_median_may_be_infinite() -> None:
    trial = scripted.trial(Scripted(), 1, 0, 0, scripted.plan().cells[0], "sync")
    assert canary_seen(scripted.light(0.01, 50), trial) is None
    half = canary_seen(scripted.light(0.01, 26), trial)
    assert half is not None
    assert (half.percentile(0.5), half.failed) == (None, 26)
    most = canary_seen(scripted.light(0.01, 20), trial)
    assert most is not None
    assert most.percentile(0.5) is not None


def test_an_arm_that_drops_every_second_request_on_a_used_connection_is_named(tmp_path: Path) -> None:
    """Each was sent again, so that the first release said `equivalent` and no failures."""
    found = concluded(tmp_path, script(0, factor=1.0, resent=500))
    (verdict,) = found.primaries
    assert verdict.verdict == "equivalent"
    (drops,) = verdict.reservations
    assert isinstance(drops, DropsConnections)
    assert drops.part == pytest.approx(0.5, rel=0.02)
    assert "sent again: sync –, async 50%" in sentences(found)[0]
    assert found.cards[0].advice.name == "def"


def test_an_arm_that_drops_connections_is_not_advised_because_the_other_one_fails(tmp_path: Path) -> None:
    def both(arm: str, *_: object) -> Scripted:
        return Scripted(failures=20) if arm == "sync" else Scripted(resent=200)

    found = concluded(tmp_path, both)
    assert found.primaries[0].failing == ("sync",)
    assert found.cards[0].advice == NOT_DECIDED


def test_a_few_requests_sent_again_are_shown_and_no_more(tmp_path: Path) -> None:
    found = concluded(tmp_path, script(0, factor=1.0, resent=5))
    assert found.primaries[0].blemished == ()
    assert "sent again: sync –, async 0.5%" in sentences(found)[0]


def test_records_of_the_first_release_have_no_counts_of_requests_sent_again() -> None:
    trial = scripted.trial(Scripted(), 1, 0, 0, Cell(scenario="ping", load=Load(users=1)), "sync")
    assert (trial.resent, trial.ended) == (None, None)
    assert Reading(1, 0, 1.0, None, None, None).counts == (0, 1)
