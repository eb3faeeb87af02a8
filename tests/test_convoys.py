"""An arm that is behind while its CPU idles: bursts of users, and waits that are not observed.

An async Django app served ×0.86 of its sync twin at 28% CPU, and nothing or "limited by users" was said. Its
users asked all at once, then none for 53 ms: every thread hop puts a request behind the others of its burst,
so all are answered together, and ask together again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from html import unescape
from io import StringIO
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from loadtests.records.arrays import write_heartbeats, write_samples
from loadtests.records.run import Calibration
from loadtests.records.samples import Samples
from loadtests.serving.inside.heartbeat import TIMED
from loadtests.system.processes import OWN_BOOT, Child
from reports.analysis.bottlenecks import bottlenecks
from reports.analysis.bounds import Known
from reports.analysis.readings import Readings
from reports.analysis.rounds.bursts import Bursts, bursts
from reports.analysis.signs import SAMPLED, Signs, statement_time
from reports.analysis.waits import Ahead
from reports.conclusions import Conclusions, conclude
from reports.render.html import page
from reports.render.markdown import report
from reports.render.summary import summary
from reports.render.terminal import show
from reports.wording.bottlenecks import evidence_text
from tests import scripted
from tests.scripted import Scripted
from tests.serving import loaded, read_samples
from tests.shapes import beats

USERS, R = 32, 0.05
WINDOW = 1.0


def starts(
    group: int, random: np.random.Generator, within: float = 0.0, users: int = USERS
) -> NDArray[np.float64]:
    """When users start who ask every R, in groups that begin at random moments; those of a group start
    `within` a time in seconds, evenly."""
    begins = np.repeat(random.random(users // group) * R, group)
    apart = np.tile(np.arange(group) / group * within, users // group)
    turns = np.arange(-1, WINDOW / R + 1) * R
    found = (begins[:, None] + apart[:, None] + turns).ravel()
    return found[(found >= 0.0) & (found < WINDOW)]


def seen(*several: NDArray[np.float64]) -> Bursts:
    found = bursts([(one, WINDOW, R) for one in several])
    assert found is not None
    return found


@pytest.mark.parametrize("group", [1, 2, 8, 32])
def test_the_size_of_bursts_is_the_number_of_users_who_ask_together(group: int) -> None:
    """Its expectation is exact; here within four standard errors of 300 windows."""
    random = np.random.default_rng(1)
    sizes = [seen(starts(group, random)).size for _ in range(300)]
    # The last span of a window ends before it: the ends weigh a little less.
    error = 4.0 * float(np.std(sizes)) / np.sqrt(300) + 0.03 * group
    assert float(np.mean(sizes)) == pytest.approx(group, abs=error)


def test_users_at_even_intervals_show_no_burst_and_faster_windows_are_none() -> None:
    even = np.arange(0.0, WINDOW, R / USERS)
    assert seen(even).size < 0.1
    assert seen(even, even[::2]).size < 0.1


def test_a_burst_that_is_drawn_out_counts_for_less_and_the_gap_after_it_is_seen() -> None:
    """32 users who start within 10 of 50 ms; then none for 40 ms. In spans of 12.5 ms, all are counted for
    2.5 ms, and for 10 ms on either side a number that grows linearly."""
    found = seen(starts(USERS, np.random.default_rng(2), within=0.01))
    variance = USERS**2 * (2.5 + 2 * 10 / 3) / 50 - (USERS / 4) ** 2
    assert found.size == pytest.approx(variance / (USERS / 4) / 0.75, rel=0.03)
    assert found.quiet == pytest.approx(0.040, abs=0.001)


@pytest.mark.parametrize(
    "windows",
    [[], [(np.zeros(0), 1.0, 0.0)], [(np.array([0.5]), 1.0, 0.1)], [(np.linspace(0, 1, 50), 1.0, 0.3)]],
)
def test_windows_with_hardly_a_request_or_a_turn_tell_nothing_about_bursts(
    windows: list[tuple[NDArray[np.float64], float, float]],
) -> None:
    assert bursts(windows) is None


ONE = Calibration(arm="a", scenario="x", users=1, throughput=24.0, service_time=0.0415, cpu=0.0006)
KNOWN = Known(
    users=USERS, one=ONE, few=None, idle=None, workers=1, threads=40, cpus=1, ceiling=70_000.0
)  # fmt: skip
BEHIND = Signs(
    trials=4, throughput=590.0, latency=0.0542, cores=0.28, cpu=0.00047, rss=1e8, threads=45, delay=None,
    canary=None, bursts=Bursts(size=27.0, quiet=0.047), lag=0.002, late=0.001, loop_share=0.5, tokens=40.0,
    tokens_full=0.0, queued=0.0,
)  # fmt: skip
"""Like the async Django app."""
AHEAD = Ahead("sync", replace(BEHIND, throughput=690.0, latency=0.0464, bursts=Bursts(6.0, 0.01)), KNOWN)


def limits(signs: Signs, known: Known = KNOWN, ahead: Ahead | None = AHEAD) -> list[str]:
    return [limit.name for limit in bottlenecks(signs, known, [], ahead)]


def text(signs: Signs, known: Known = KNOWN, ahead: Ahead | None = AHEAD) -> str:
    return evidence_text(bottlenecks(signs, known, [], ahead)[0].evidence)


def test_an_arm_whose_users_ask_in_bursts_is_limited_by_convoys_with_all_figures() -> None:
    assert limits(BEHIND) == limits(BEHIND, ahead=None) == ["convoys"]
    assert text(BEHIND) == (
        "requests arrive in bursts: about 27 of 32 users at once, then none for 47.0 ms; a request takes "
        "54.2 ms, 12.7 ms longer than with one user, since those of a burst take turns (27 × 470 µs of CPU "
        "time) on a CPU that is idle 72% of the time"
    )


@pytest.mark.parametrize(
    "signs",
    [
        # Few ask together; the bursts do not cost that much; a request takes no longer than alone.
        replace(BEHIND, bursts=Bursts(6.0, 0.01)),
        replace(BEHIND, cpu=0.0002),
        replace(BEHIND, latency=0.0410, throughput=780.0),
        replace(BEHIND, bursts=None),
        # No time is left.
        replace(BEHIND, cores=0.85),
    ],
)
def test_no_convoy_is_named_where_one_of_its_signs_is_missing(signs: Signs) -> None:
    assert "convoys" not in limits(signs)
    assert "convoys" not in limits(signs, ahead=None)


def test_users_who_think_and_open_loops_form_no_convoys() -> None:
    assert limits(BEHIND, replace(KNOWN, thinks=True)) == []
    assert limits(BEHIND, replace(KNOWN, users=None)) == []


def test_the_turns_of_a_burst_are_divided_among_the_workers() -> None:
    two = replace(KNOWN, workers=2, cpus=2)
    assert limits(replace(BEHIND, bursts=Bursts(30.0, 0.047)), two, None) == ["convoys"]
    assert limits(BEHIND, two, None) == []


def test_an_arm_behind_is_never_limited_by_the_users_that_give_the_other_one_more() -> None:
    """Within 10% of what its users can ask for."""
    near = replace(BEHIND, throughput=705.0, latency=0.0454, bursts=Bursts(2.0, 0.01))
    faster = replace(AHEAD, signs=replace(AHEAD.signs, throughput=765.0, latency=0.0418))
    assert limits(near, ahead=None) == ["users"]
    assert limits(near, ahead=faster) == ["waiting"]
    bursting = replace(near, bursts=Bursts(27.0, 0.04))
    assert limits(bursting, ahead=None) == ["users"]
    assert limits(bursting, ahead=faster) == ["convoys"]


def test_what_is_not_observed_is_said_with_what_was_ruled_out() -> None:
    """A lock of the app's own: 12.7 ms, of which the loop explains 1 ms."""
    calm = replace(BEHIND, bursts=Bursts(1.0, 0.002), pool_wait=0.0002)
    assert limits(calm, ahead=None) == []
    assert limits(calm) == ["waiting"]
    assert text(calm) == (
        "a request takes 54.2 ms, 12.7 ms longer than with one user, while the CPU is idle 72% of the time; "
        "it waits 11.5 ms for something that is not observed: not for a thread, a database connection, its "
        "turn on the event loop or its turn on the CPU"
    )
    # Its database may be what is slow.
    database = replace(calm, statements=0.009)
    assert "it waits 11.5 ms: not for a thread, " in text(database)
    assert text(database).endswith("; its database statements take 9.00 ms")
    # Released in batches: the bursts cost little CPU time, and explain 0.8 ms.
    batches = replace(BEHIND, cpu=0.00003)
    assert "it waits 10.9 ms for something that is not observed" in text(batches)
    assert text(batches).endswith("; about 27 users ask at once")


def test_a_wait_that_is_known_is_said_in_place_of_one_that_is_not() -> None:
    """Six tasks wait for a thread at 590/s: 10.2 ms each."""
    queue = replace(BEHIND, bursts=Bursts(1.0, 0.002), queued=6.0)
    assert text(queue).endswith("; it waits for a thread (10.2 ms)")
    pool = replace(queue, queued=0.0, jobs=7.0)
    assert text(pool).endswith("; it waits for a thread of its own pools (11.9 ms)")
    blind = replace(queue, late=None)
    assert text(blind).endswith("; what it waits for was not observed")


def test_an_arm_that_is_slower_alone_is_limited_by_its_service_time() -> None:
    slow = replace(KNOWN, one=ONE.model_copy(update={"service_time": 0.0500}))
    calm = replace(BEHIND, latency=0.0520, throughput=615.0, bursts=Bursts(1.0, 0.002))
    assert limits(calm, slow, None) == ["users"]
    assert limits(calm, slow) == ["service-time"]
    assert text(calm, slow) == (
        "a request takes 50.0 ms even with one user, under sync 41.5 ms; its CPU is idle 72% of the time"
    )


def test_without_a_calibration_the_wait_is_that_beyond_the_other_arm() -> None:
    assert "7.80 ms longer than under sync" in text(BEHIND, replace(KNOWN, one=None))
    # Alone it seemed to take longer than among many.
    odd = replace(KNOWN, one=ONE.model_copy(update={"service_time": 0.060}))
    assert "7.80 ms longer than under sync" in text(BEHIND, odd, replace(AHEAD, known=odd))


def test_a_limit_that_is_confirmed_leads_and_no_wait_is_added() -> None:
    lock = replace(BEHIND, lock_wait=0.030, pool_wait=0.0)
    assert limits(lock) == ["db-lock"]
    assert limits(replace(BEHIND, cores=0.98)) == ["cpu"]


def planted(starts: Callable[[np.random.Generator], NDArray[np.float64]], took: float, seed: int) -> Samples:
    """Requests that start then and take so long, from before the window until after it."""
    start = np.sort(starts(np.random.default_rng(seed)))
    n = len(start)
    return Samples(
        endpoint=np.zeros(n, dtype=np.uint16), due=start, start=start, end=start + took,
        status=np.full(n, 200, dtype=np.uint16), size=np.full(n, 17, dtype=np.uint32),
        error=np.zeros(n, dtype=np.uint16),
    )  # fmt: skip


def concluded(parent: Path, burst: int) -> Conclusions:
    """async: 32 users every 50 ms in groups of `burst`, at 0.3 CPUs; sync: every 41.7 ms, independently."""
    plan = scripted.plan(cells=(("ping", USERS),))
    made = {"sync": (R / 1.2, 1, 0.2), "async": (R, burst, 0.3)}
    run, directory = scripted.run(
        parent, plan, lambda arm, *_: Scripted(requests=600, latency=0.04, server_cpu=made[arm][2])
    )
    files = {}
    for trial in run.trials:
        took, group, _ = made[trial.arm]

        def turns(random: np.random.Generator, took: float = took, group: int = group) -> NDArray[np.float64]:
            # As many in every window: groups begin at random moments, within the same turn.
            begins = np.repeat(random.random(USERS // group) * took, group)
            return (begins[:, None] + np.arange(-1, 25) * took).ravel()

        files[trial.number] = {
            "samples": write_samples(directory.path / trial.files.samples, planted(turns, took, trial.round)),
            "heartbeats": write_heartbeats(directory.path / trial.files.heartbeats, beats()),
        }
    known = tuple(
        Calibration(arm=arm, scenario="ping", users=1, throughput=24.0, service_time=0.0405, cpu=0.0006)
        for arm in ("sync", "async")
    )
    run = scripted.with_files(run.model_copy(update={"calibrations": known}), directory, files)
    return conclude(run, Readings(directory))


def printed(told: Conclusions) -> str:
    console = Console(file=StringIO(), width=120)
    show(console, told)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_limit_stands_in_every_report_in_the_same_words(tmp_path: Path) -> None:
    """Planted in the samples: 32 users at once, every 50 ms, of whom each costs 0.47 ms of CPU time."""
    told = concluded(tmp_path, burst=USERS)
    (verdict,) = told.primaries
    assert verdict.verdict == "slower"
    words = "async is limited by convoys (requests arrive in bursts: about 32 of 32 users at once, then none"
    found = json.loads(json.dumps(summary(told)))
    for shown in (printed(told), report(told), page(told, [], found)):
        assert words in " ".join(unescape(shown).split())
    (limit,) = next(one for one in found["verdicts"] if one["primary"])["bottlenecks"]["async"]
    assert limit["name"] == "convoys"
    assert words in found["cards"][0]["reason"]


def test_the_same_users_who_ask_independently_wait_for_something_that_is_not_observed(tmp_path: Path) -> None:
    told = concluded(tmp_path, burst=1)
    (verdict,) = told.primaries
    assert verdict.verdict == "slower"
    (limit,) = told.explanations.of(verdict.cell, "async")[1]
    assert limit.name == "waiting"
    assert "9.50 ms longer than with one user" in evidence_text(limit.evidence)


@contextmanager
def answering(together: bool) -> Iterator[str]:
    """A server on a thread of this process that answers each request after 50 ms, or all that wait every
    50 ms; its address."""
    ready: Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Queue()

    async def serve() -> None:
        over, held = asyncio.Event(), asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with closing(writer), suppress(ConnectionError):
                while (await reader.readline()).strip():
                    while (await reader.readline()).strip():
                        pass
                    await (held.wait() if together else asyncio.sleep(R))
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.put((url, asyncio.get_running_loop(), over))
        while not over.is_set():
            await asyncio.sleep(R)
            held.set()
            held.clear()
        server.close()

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    url, loop, over = ready.get(timeout=OWN_BOOT)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


@pytest.mark.alone
def test_users_of_a_real_generator_ask_in_bursts_where_a_server_answers_in_batches_and_else_do_not(
    locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """32 users, each answered after 50 ms, or within 50 ms all at once."""
    sizes, path = [], tmp_path / "s.npz"
    for together in (False, True):
        with answering(together) as url:
            facts = loaded(locust[0], url, path, users=USERS, turn=R, warmup=0.1, window=0.5)
        samples, window = read_samples(path), facts["window"]
        inside = (samples.start >= 0.0) & (samples.start < window)
        took = float(samples.service_time[inside].mean())
        found = bursts([(samples.start[inside], window, took)])
        assert found is not None
        sizes.append(found.size)
    # What a busy host holds up for a moment comes together, too.
    assert sizes[0] < USERS / 2 < 0.75 * USERS < sizes[1], sizes


def test_the_time_in_statements_counts_those_that_a_heartbeat_does_not_time() -> None:
    assert SAMPLED == TIMED
    totals = {"statement_time": 0.5, "lock_time": 1.0}
    assert statement_time(totals.get) == 8 * 0.5 + 1.0
    assert statement_time({"lock_time": 1.0}.get) is None
