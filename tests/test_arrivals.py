"""The open model: the schedule, and what real servers look like under it."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.bench import expect, generator
from loadtests.processes import OUR_PACKAGES, Child
from loadtests.records import RunDirectory, Samples, read_samples
from loadtests.servers import BOOT_TIMEOUT, Server, Surroundings
from reports.estimates import read
from tests.conftest import APPS
from tests.serving import app
from tests.test_cli import duel, measured

SCHEDULES = (
    "import json\n"
    "from loadtests.arrivals import schedule\n"
    "made = {f'{kind} {seed}': schedule(kind, 200.0, 50.0, seed).tolist()\n"
    "        for kind in ('constant', 'poisson') for seed in (1, 2)}\n"
    "made['again'] = schedule('poisson', 200.0, 50.0, 1).tolist()\n"
    "print(json.dumps(made), flush=True)\n"
)


@pytest.fixture(scope="module")
def schedules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """From a process of its own, since gevent patches the one it is imported in."""
    with Child("schedules", ["-c", SCHEDULES], tmp_path_factory.mktemp("s") / "log", OUR_PACKAGES) as child:
        return {name: np.array(moments) for name, moments in child.receive(BOOT_TIMEOUT).items()}


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    with Surroundings(tmp_path_factory.mktemp("logs"), {}) as surroundings:
        yield surroundings


@pytest.fixture(scope="module")
def locust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with generator(tmp_path_factory.mktemp("logs"), {}) as child:
        child.receive(BOOT_TIMEOUT)
        yield child


def begin(child: Child, url: str, path: Path, **changes: Any) -> None:
    """Load a server with arrivals until the window opens."""
    order = {
        "host": url, "scenario": "ping", "users": 500, "rate": 200.0, "arrivals": "poisson",
        "warmup": 0.3, "window": 2.0, "drain": 5.0, "seed": 1, "samples": str(path),
    }  # fmt: skip
    child.send({**order, **changes})
    expect(child, "opened", 30)


def finish(child: Child, path: Path) -> tuple[dict[str, Any], Samples]:
    expect(child, "closed", 30)
    return expect(child, "done", 30), read_samples(path)


def test_even_gaps_are_even(schedules: dict[str, Any]) -> None:
    assert len(schedules["constant 1"]) == 10_000
    assert np.allclose(np.diff(schedules["constant 1"]), 0.005)


def test_independent_people_come_as_often_and_as_irregularly_as_poisson_says(
    schedules: dict[str, Any],
) -> None:
    """Ten thousand arrivals, give or take four standard deviations; gaps exponential, so sd = mean."""
    moments = schedules["poisson 1"]
    gaps = np.diff(moments)
    assert abs(len(moments) - 10_000) < 400
    assert (gaps >= 0).all()
    assert moments[-1] < 50.0
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.05)


def test_one_seed_gives_one_schedule_and_another_gives_another(schedules: dict[str, Any]) -> None:
    assert (schedules["poisson 1"] == schedules["again"]).all()
    assert not np.array_equal(schedules["poisson 1"][:100], schedules["poisson 2"][:100])


def test_every_arrival_is_made_and_two_arms_of_a_round_meet_the_same_ones(
    around: Surroundings, locust: Child, tmp_path: Path
) -> None:
    """Dues count from the window's start, which lies within a beat of the schedule's own."""
    dues = []
    for stream in ("1", "2"):
        with Server(app("counting"), around, stream) as server:
            begin(locust, server.url, tmp_path / "s.npz")
            facts, samples = finish(locust, tmp_path / "s.npz")
        inside = (samples.due >= 0) & (samples.due < facts["window"])
        assert facts["arrivals"] == int(inside.sum()) + facts["dropped"]
        assert facts["dropped"] == 0
        assert (samples.start >= samples.due).all()
        dues.append(np.sort(samples.due))
    shared = min(map(len, dues))
    gaps = [np.diff(due[:shared]) for due in dues]
    assert np.allclose(gaps[0], gaps[1], atol=1e-9)


def test_a_stall_is_seen_by_everybody_who_came_while_it_lasted(
    around: Surroundings, locust: Child, tmp_path: Path
) -> None:
    """A second of two: half the arrivals wait, and the median of those is half a second or so; a closed
    loop of one user has one slow request."""
    with Server(app("counting"), around, "3") as server:
        begin(locust, server.url, tmp_path / "s.npz", arrivals="constant")
        time.sleep(0.5)
        server.child._process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        server.child._process.send_signal(signal.SIGCONT)
        facts, samples = finish(locust, tmp_path / "s.npz")
        reading = read(samples, facts["window"], dropped=facts["dropped"])
        begin(locust, server.url, tmp_path / "c.npz", users=1, rate=None, arrivals=None)
        time.sleep(0.5)
        server.child._process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        server.child._process.send_signal(signal.SIGCONT)
        closed = read(finish(locust, tmp_path / "c.npz")[1], facts["window"])
    assert reading.p95 is not None
    assert closed.p95 is not None
    assert reading.p95 > 0.7
    assert closed.p95 < reading.p95 / 10


def test_arrivals_that_find_every_user_waiting_are_dropped_and_count_as_failed(
    around: Surroundings, locust: Child, tmp_path: Path
) -> None:
    """Four users against a server that stands still: what comes after the fourth is dropped."""
    with Server(app("counting"), around, "4") as server:
        begin(locust, server.url, tmp_path / "s.npz", users=4, drain=0.3)
        server.child._process.send_signal(signal.SIGSTOP)
        facts, samples = finish(locust, tmp_path / "s.npz")
        server.child._process.send_signal(signal.SIGCONT)
    reading = read(samples, facts["window"], dropped=facts["dropped"])
    assert facts["dropped"] > 0.5 * facts["arrivals"]
    assert reading.failures == facts["dropped"] + 4
    assert facts["errors"] == ["Unfinished: "]


def test_a_run_at_a_rate_decides_by_response_time_and_tells_it_in_words(tmp_path: Path) -> None:
    """Ten against twenty milliseconds: both keep up, one takes twice as long."""
    done = measured(
        "--app-dir", str(APPS), "-s", "ping", "--rate", "100", "-t", "1", "--warmup", "0.3", "--rounds", "4",
        "--arm", "fast=steady:fast", "--arm", "slow=steady:slow", cwd=tmp_path, COLUMNS="160",
    )  # fmt: skip
    (where,) = (tmp_path / "runs").iterdir()
    summary = json.loads((where / "report" / "summary.json").read_text())
    (primary,) = (verdict for verdict in summary["verdicts"] if verdict["primary"])
    assert (primary["metric"], primary["load"]) == ("p50", {"rate": 100.0, "arrivals": "poisson"})
    assert primary["verdict"] == "slower"
    assert primary["ratio"] == pytest.approx(2.0, abs=0.3)
    assert {v["metric"] for v in summary["verdicts"]} == {
        "throughput", "p50", "p95", "p99", "service_p50", "service_p99"
    }  # fmt: skip
    assert "ping at 100/s: slow takes" in done.stdout
    assert "times as long as fast (median response time)" in done.stdout
    assert "service p50 fast / slow" in done.stdout
    assert (where / "report" / "response-light.svg").is_file()
    assert "fast answers sooner ▸" in (where / "report" / "verdicts-light.svg").read_text()
    trial = RunDirectory(where).load().trials[0]
    assert trial.arrivals is not None
    assert trial.dropped == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("-u", "8", "--rate", "100"), "users and a rate exclude each other"),
        (("--arrivals", "constant"), "arrivals are spread in an open loop only"),
        (("--rate", "0"), "rate 0: rate:"),
        (("--rate", "fast"), "rate = 'fast'"),
        (("--rate", "100", "--arrivals", "sometimes"), "arrivals"),
    ],
)
def test_a_rate_that_makes_no_sense_is_one_clear_error(
    flags: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    done = duel("run", *flags, "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert said in done.stderr


def test_windows_are_stretched_to_hold_a_99th_percentile_where_that_is_reasonable(tmp_path: Path) -> None:
    for rate, window in (("500", "4"), ("100", "10"), ("5000", "2")):
        done = duel("run", "--rate", rate, "-s", "ping", "--dry-run", cwd=tmp_path)
        assert f"windows of {window} s" in done.stdout
        assert f"ping at {rate} arrivals a second" in done.stdout
