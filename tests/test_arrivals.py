"""The open-loop model: the schedule, and real servers under it."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.measure.generator import GeneratorOptions, expect, generator
from loadtests.records.directory import RunDirectory
from loadtests.records.samples import Samples
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, Child
from reports.analysis.readings import read
from tests.commands import brisk_here, duel_here
from tests.conftest import APPS
from tests.serving import UNFINISHED, app, read_samples, request

SCHEDULES = (
    "import json\n"
    "from loadtests.load.arrivals import schedule\n"
    "made = {f'{kind} {seed}': schedule(kind, 200.0, 50.0, seed).tolist()\n"
    "        for kind in ('constant', 'poisson') for seed in (1, 2)}\n"
    "made['again'] = schedule('poisson', 200.0, 50.0, 1).tolist()\n"
    "print(json.dumps(made), flush=True)\n"
)

LATE = (
    "import json, time\n"
    "import gevent, numpy as np\n"
    "from locust import User\n"
    "from locust.env import Environment\n"
    "from loadtests.load.arrivals import Arrivals\n"
    "sent = []\n"
    "class Asking(User):\n"
    "    tasks = [lambda user: sent.append(gevent.getcurrent().due)]\n"
    "moments = np.array([0.0, 0.02, 0.04, 0.06, 30.0])\n"
    "arrivals = Arrivals(Environment(user_classes=[Asking]), Asking, moments, [0] * 5, 3)\n"
    "began = time.perf_counter()\n"
    "arrivals.start(began)\n"
    "gevent.sleep(0)\n"
    "end = time.perf_counter() + 0.1\n"
    "while time.perf_counter() < end: pass  # a loop that something holds sends nothing\n"
    "arrivals.stop(began + 0.05, 5.0)\n"
    "print(json.dumps({'sent': len(sent), 'dropped': len(arrivals.dropped)}), flush=True)\n"
)


@pytest.fixture(scope="module")
def schedules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """From a child process, since gevent patches the process that imports it."""
    with Child("schedules", ["-c", SCHEDULES], tmp_path_factory.mktemp("s") / "log", OUR_PACKAGES) as child:
        return {name: np.array(moments) for name, moments in child.receive(OWN_BOOT).items()}


@pytest.fixture(scope="module")
def locust(locust: tuple[Child, dict[str, Any]]) -> Child:
    return locust[0]


def start_load(child: Child, url: str, path: Path, **changes: Any) -> None:
    """Load a server with arrivals until the window opens."""
    arrivals = {"users": 500, "rate": 200.0, "arrivals": "poisson", "window": 2.0, "drain": 5.0}
    child.send(asdict(request(url, path, **{**arrivals, **changes})))
    expect(child, "opened", 30)


def finish_load(child: Child, path: Path) -> tuple[dict[str, Any], Samples]:
    for event in ("closed", "drained"):
        expect(child, event, 30)
    return expect(child, "done", 30), read_samples(path)


def test_even_gaps_are_even(schedules: dict[str, Any]) -> None:
    assert len(schedules["constant 1"]) == 10_000
    assert np.allclose(np.diff(schedules["constant 1"]), 0.005)


def test_independent_arrivals_have_poisson_counts_and_exponential_gaps(
    schedules: dict[str, Any],
) -> None:
    """Ten thousand arrivals within four standard deviations; gaps are exponential, so sd = mean."""
    moments = schedules["poisson 1"]
    gaps = np.diff(moments)
    assert abs(len(moments) - 10_000) < 400
    assert (gaps >= 0).all()
    assert moments[-1] < 50.0
    assert gaps.std() / gaps.mean() == pytest.approx(1.0, abs=0.05)


def test_one_seed_gives_one_schedule_and_another_gives_another(schedules: dict[str, Any]) -> None:
    assert (schedules["poisson 1"] == schedules["again"]).all()
    assert not np.array_equal(schedules["poisson 1"][:100], schedules["poisson 2"][:100])


def test_what_was_due_when_the_window_closed_is_sent_or_counted_as_dropped(tmp_path: Path) -> None:
    """Four were due while the generator was held, one of them after the window; the fifth never comes."""
    with Child("late", ["-c", LATE], tmp_path / "log", OUR_PACKAGES) as child:
        outcome = child.receive(OWN_BOOT)
    assert 3 <= outcome["sent"] + outcome["dropped"] <= 4


def test_every_arrival_is_made_and_two_arms_of_a_round_get_the_same_ones(
    environment: ServingEnvironment, locust: Child, tmp_path: Path
) -> None:
    """Due times count from the window's start, which is within one heartbeat of the schedule's own."""
    dues = []
    for stream in ("1", "2"):
        with Server(app("counting"), environment, stream) as server:
            start_load(locust, server.url, tmp_path / "s.npz")
            facts, samples = finish_load(locust, tmp_path / "s.npz")
        inside = (samples.due >= 0) & (samples.due < facts["window"])
        assert facts["arrivals"] == int(inside.sum()) + facts["dropped"]
        assert facts["dropped"] == 0
        assert (samples.start >= samples.due).all()
        dues.append(np.sort(samples.due))
    shared = min(map(len, dues))
    gaps = [np.diff(due[:shared]) for due in dues]
    assert np.allclose(gaps[0], gaps[1], atol=1e-9)


def test_a_stall_delays_every_arrival_during_it(
    environment: ServingEnvironment, locust: Child, tmp_path: Path
) -> None:
    """One second of two: half the arrivals wait, about half a second in the median; a closed loop of one user
    would have one slow request."""
    with Server(app("counting"), environment, "3") as server:
        start_load(locust, server.url, tmp_path / "s.npz", arrivals="constant")
        time.sleep(0.5)
        server.child._process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        server.child._process.send_signal(signal.SIGCONT)
        facts, samples = finish_load(locust, tmp_path / "s.npz")
        reading = read(samples, facts["window"], dropped=facts["dropped"])
        start_load(locust, server.url, tmp_path / "c.npz", users=1, rate=None, arrivals=None)
        time.sleep(0.5)
        server.child._process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        server.child._process.send_signal(signal.SIGCONT)
        closed = read(finish_load(locust, tmp_path / "c.npz")[1], facts["window"])
    assert reading.p95 is not None
    assert closed.p95 is not None
    assert reading.p95 > 0.7
    assert closed.p95 < reading.p95 / 10


def test_arrivals_while_every_user_waits_are_dropped_and_count_as_failed(
    environment: ServingEnvironment, locust: Child, tmp_path: Path
) -> None:
    """Four users and a stalled server: arrivals after the fourth are dropped."""
    with Server(app("counting"), environment, "4") as server:
        start_load(locust, server.url, tmp_path / "s.npz", users=4, drain=0.3)
        server.child._process.send_signal(signal.SIGSTOP)
        facts, samples = finish_load(locust, tmp_path / "s.npz")
        server.child._process.send_signal(signal.SIGCONT)
    reading = read(samples, facts["window"], dropped=facts["dropped"])
    assert facts["dropped"] > 0.5 * facts["arrivals"]
    assert reading.failures == facts["dropped"] + 4
    assert facts["errors"] == [UNFINISHED]


def test_arrivals_that_locusts_own_clients_never_get_an_answer_for_are_failed_requests(
    environment: ServingEnvironment, tmp_path: Path
) -> None:
    """These clients report nothing of a request that is cut off: it was missing, and the generator blamed."""
    chosen = GeneratorOptions(locustfile=str(APPS / "own_load.py"), canary=None)
    with (
        Server(app("counting"), environment, "5") as server,
        generator(tmp_path, {}, chosen) as child,
    ):
        child.receive(OWN_BOOT)
        options = {"scenario": "Stock", "rate": 50.0, "window": 0.5, "drain": 0.3}
        start_load(child, server.url, tmp_path / "s.npz", **options)
        server.child._process.send_signal(signal.SIGSTOP)
        facts, samples = finish_load(child, tmp_path / "s.npz")
        server.child._process.send_signal(signal.SIGCONT)
    inside = (samples.due >= 0.0) & (samples.due < facts["window"])
    assert facts["arrivals"] == int(inside.sum()) + facts["dropped"]
    assert UNFINISHED in facts["errors"]
    assert (~samples.ok[inside]).sum() > 0.5 * facts["arrivals"]


def test_light_requests_that_are_never_answered_are_censored_and_not_left_out(
    environment: ServingEnvironment, locust: Child, tmp_path: Path
) -> None:
    """Where the wait of neighbours is longest, nothing was seen of it."""
    light = {"canary": str(tmp_path / "c.npz"), "pulse": str(tmp_path / "p.npz")}
    with Server(app("counting"), environment, "6") as server:
        start_load(locust, server.url, tmp_path / "s.npz", drain=0.4, pulse_path=server.pulse, **light)
        server.child._process.send_signal(signal.SIGSTOP)
        facts, _ = finish_load(locust, tmp_path / "s.npz")
        server.child._process.send_signal(signal.SIGCONT)
    for path in light.values():
        samples = read_samples(Path(path))
        inside = (samples.due >= 0.0) & (samples.due < facts["window"])
        assert inside.sum() == pytest.approx(50 * facts["window"], abs=1.5)
        assert (samples.status[inside] == 0).sum() > 0.8 * inside.sum()
        assert samples.response_time[inside].min() > 0.0
        assert samples.response_time[inside][samples.status[inside] == 0].min() > 0.3


def test_users_whom_a_dead_server_refuses_do_not_think(
    environment: ServingEnvironment, locust: Child, tmp_path: Path
) -> None:
    """Their pauses made the response time decide the cell, for healthy arms and earlier rounds as well."""
    with Server(app("counting"), environment, "7") as server:
        start_load(locust, server.url, tmp_path / "s.npz", users=8, rate=None, arrivals=None, drain=0.5)
        server.child._process.kill()
        facts, samples = finish_load(locust, tmp_path / "s.npz")
    assert (~samples.ok).sum() > 8
    assert facts["thinks"] is False


@pytest.mark.calm
def test_an_open_loop_run_is_judged_by_response_time_and_says_so(tmp_path: Path) -> None:
    """10 ms against 20 ms: both keep up, one takes twice as long."""
    done = brisk_here(
        "run", "--app-dir", str(APPS), "-s", "ping", "--rate", "100", "-t", "0.6", "--warmup", "0.2",
        "--rounds", "6",
        "--arm", "fast=steady:fast", "--arm", "slow=steady:slow", cwd=tmp_path, charts=True,
        COLUMNS="160",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
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
    assert "fast responds sooner ▸" in (where / "report" / "verdicts-light.svg").read_text()
    trial = RunDirectory(where).load().trials[0]
    assert trial.arrivals is not None
    assert trial.dropped == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("-u", "8", "--rate", "100"), "users and rates cannot be mixed in one plan"),
        (("--arrivals", "constant"), "--arrivals needs an open loop"),
        (("--rate", "0"), "--rate = '0': not between"),
        (("--rate", "fast"), "rate = 'fast'"),
        (("--rate", "100", "--arrivals", "sometimes"), "arrivals"),
    ],
)
def test_an_invalid_rate_is_one_clear_error(flags: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = duel_here("run", *flags, "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert said in done.stderr


def test_windows_are_extended_for_a_99th_percentile_where_that_is_reasonable(tmp_path: Path) -> None:
    for rate, window in (("500", "4"), ("100", "10"), ("5000", "1")):
        done = duel_here("run", "--rate", rate, "-s", "ping", "--dry-run", cwd=tmp_path)
        assert f"windows of {window} s" in done.stdout
        assert f"ping at {rate} arrivals per second" in done.stdout
