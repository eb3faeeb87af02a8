"""Users who wait equally long: they must not load a server in waves, nor be counted by whole waves.

64 users against a pure wait of 0.338 s and of 0.395 s were "equivalent ×0.99", and 0.332 s against 0.338 s
were "slower ×0.83": a window of two seconds holds five or six waves of users who begin together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import numpy as np
import pytest

from loadtests.measure.validity import closed_faults
from loadtests.records.samples import SAMPLE_ROW, Samples
from loadtests.system.processes import OWN_BOOT, Child
from reports.analysis.readings import Reading, read
from tests.serving import loaded, read_samples

WINDOW = 2.0


def loop(
    wait: float, *, users: int = 64, variation: float = 0.0, spread: bool = True, seed: int = 1
) -> Samples:
    """A closed loop on a virtual clock: from the warm-up until the requests in flight at the window's end are
    answered. `variation`: standard deviation of the waits as a fraction; `spread`: whether users start at
    random moments of the first wait instead of together."""
    random = np.random.default_rng(seed)
    turns = int((1.5 + WINDOW) / wait * 1.3) + 4
    took = wait * np.maximum(0.1, random.normal(1.0, variation, (users, turns)))
    first = (np.arange(users) + random.random(users)) / users * wait if spread else np.zeros(users)
    ends = first[:, None] + np.cumsum(took, axis=1) - (1.0 + random.random() * wait)
    starts = ends - took
    made = starts < WINDOW + wait
    start, end = starts[made], ends[made]
    order = np.argsort(end)
    n = len(start)
    return Samples(
        endpoint=np.zeros(n, dtype=np.uint16), due=start[order], start=start[order], end=end[order],
        status=np.full(n, 200, dtype=np.uint16), size=np.zeros(n, dtype=np.uint32),
        error=np.zeros(n, dtype=np.uint16),
    )  # fmt: skip


def counted(samples: Samples) -> Reading:
    return read(samples, WINDOW, counted=Samples.share_in)


@pytest.mark.parametrize(("ours", "theirs"), [(0.338, 0.395), (0.332, 0.338), (0.1, 0.117)])
def test_a_ratio_of_pure_waits_is_exact_even_for_users_who_begin_together(ours: float, theirs: float) -> None:
    for seed in range(4):
        pair = [counted(loop(wait, spread=False, seed=seed)).throughput for wait in (ours, theirs)]
        assert pair[1] / pair[0] == pytest.approx(ours / theirs, rel=1e-9)


@pytest.mark.parametrize("variation", [0.0, 0.02, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("wait", [0.02, 0.338, 0.395])
def test_throughput_has_no_bias_whatever_the_variation_of_the_waits(wait: float, variation: float) -> None:
    """Within four standard errors of 40 windows, and 0.3% for the waits that are cut at a tenth."""
    for spread in (True, False):
        found = [
            counted(loop(wait, variation=variation, spread=spread, seed=seed)).throughput * wait / 64
            for seed in range(40)
        ]
        error = 4.0 * float(np.std(found)) / np.sqrt(40) + 0.003
        assert float(np.mean(found)) == pytest.approx(1.0, abs=error)


@pytest.mark.parametrize("spread", [True, False])
def test_waves_fulfil_n_equals_x_r_and_lost_records_do_not(spread: bool) -> None:
    """The validity rule of closed loops, whatever the window cuts."""
    samples = loop(0.395, spread=spread)
    assert closed_faults(samples, WINDOW, 64) == []
    kept = np.arange(len(samples)) % 8 > 0
    lost = Samples(**{name: getattr(samples, name)[kept] for name in SAMPLE_ROW.names or ()})
    (fault,) = closed_faults(lost, WINDOW, 64)
    assert fault.kind == "users-idle"
    (fault,) = closed_faults(samples, WINDOW, 62)
    assert fault.kind == "excess-in-flight"


@contextmanager
def waiting(seconds: float) -> Iterator[str]:
    """A server on a thread of this process that answers every request after `seconds`; its address."""
    ready: Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while (await reader.readline()).strip():
                while (await reader.readline()).strip():
                    pass
                await asyncio.sleep(seconds)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async def serve() -> None:
        over = asyncio.Event()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.put((url, asyncio.get_running_loop(), over))
        await over.wait()
        server.close()

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    url, loop, over = ready.get(timeout=OWN_BOOT)
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


def test_users_of_a_real_generator_start_spread_and_their_throughput_is_that_of_the_wait(
    locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """A wait that is 17% longer; in no sixth of it do half of the users start, of whom a stalled host may
    hold up some. The load continues until the requests in flight at the window's end are answered."""
    found, path = [], tmp_path / "s.npz"
    for seconds in (0.1, 0.117):
        with waiting(seconds) as url:
            facts = loaded(locust[0], url, path, users=48, turn=seconds, warmup=0.1, window=0.5)
        samples, window = read_samples(path), facts["window"]
        found.append(read(samples, window, counted=Samples.share_in).throughput)
        firsts = np.sort(samples.start)[:48]
        sixths, _ = np.histogram(firsts - firsts[0], bins=6, range=(0.0, seconds))
        assert sixths.max() < 24, sixths
        at_the_end = (samples.start < window) & (samples.end >= window)
        assert at_the_end.sum() == 48
        assert samples.end[at_the_end].max() <= window + facts["tail"] + seconds
    with waiting(0.0) as url:
        facts = loaded(locust[0], url, path, users=48, turn=0.02, warmup=0.1, window=0.3)
    samples, window = read_samples(path), facts["window"]
    # Counting requests that ended says 0.99.
    assert found[1] / found[0] == pytest.approx(0.1 / 0.117, rel=0.1)
    # A fast endpoint: what ended in the window is what its shares add up to, except at the edges.
    counted_in = read(samples, window).ended
    assert read(samples, window, counted=Samples.share_in).ended == pytest.approx(counted_in, abs=48)
