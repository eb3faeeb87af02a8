"""Requests per second that several generators make, and what their samples cost after a window.

`make bench-scale` prints the table of docs/scale.md. The server does nothing, on the first CPU; with two CPUs
the second generator shares it, so the last columns say how far more cores would go: requests per CPU second
of a generator, and how long the samples take from the end of the window to their file.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from loadtests.measure.generator import GeneratorOptions, expect, generator, samples_written
from loadtests.plan.request import LONGEST, WARMUP_TURNS, WINDOW_TURNS, TrialRequest
from loadtests.plan.workers.access import VARIABLE, MasterAddress
from loadtests.system.placement import cpus
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, Child

USERS = 64
WARMUP, WINDOW, DRAIN = 0.5, 5.0, 5.0
TRIALS = 3


@dataclass(frozen=True)
class Reached:
    """What one trial reached."""

    rate: float
    """Requests per second in the window."""
    per_core: float
    """Requests per CPU second of a generator, of the busiest where there are several."""
    rows: int
    after: float
    """Seconds from the end of the window to the samples' file."""


def reached(child: Child, host: str, directory: Path, generators: int) -> Reached:
    """One trial."""
    path = directory / "samples.npz"
    request = TrialRequest(
        host=host, scenario="ping", users=USERS, turn=0.0, rate=None, arrivals=None, warmup=WARMUP,
        warmup_turns=WARMUP_TURNS, window=WINDOW, window_turns=WINDOW_TURNS, longest=LONGEST, drain=DRAIN,
        seed=1, samples=str(path), canary=None, names="", pauses=True, pulse=None, pulse_path=None,
    )  # fmt: skip
    child.send(asdict(request))
    for event in ("opened", "closed"):
        expect(child, event, OWN_BOOT)
    closed = perf_counter()
    expect(child, "drained", OWN_BOOT)
    facts = expect(child, "done", OWN_BOOT)
    after = perf_counter() - closed
    found = samples_written(path, facts)
    ended = int(((found.end >= 0.0) & (found.end < facts["window"])).sum())
    return Reached(ended / facts["window"], ended / generators / facts["generator_cpu"], len(found), after)


@contextmanager
def workers(number: int, address: MasterAddress, directory: Path) -> Iterator[None]:
    """As `duel worker` starts them."""
    with ExitStack() as started:
        for one in range(number):
            words = ["-m", "loadtests.load.fleet.join", str(address)]
            started.enter_context(Child("a worker", words, directory / f"worker-{one}.log", OUR_PACKAGES))
        yield


def trials(generators: int, joined: bool) -> Sequence[Reached]:
    """Of local generators, or of workers that have joined over loopback."""
    first, *rest = cpus()
    with ExitStack() as opened:
        directory = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        words = ["-m", "loadtests.serving.null_server", "--cpus", str(first)]
        server = opened.enter_context(Child("the null server", words, directory / "null.log", OUR_PACKAGES))
        host = f"http://127.0.0.1:{server.receive(OWN_BOOT)['ready']}"
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = MasterAddress("127.0.0.1", free.getsockname()[1])
        options = GeneratorOptions(generators=generators, listen=address if joined else None)
        places = (*rest, first)[:generators]
        child = opened.enter_context(generator(directory, {"generator": places}, options))
        expect(child, "ready", OWN_BOOT)
        if joined:
            opened.enter_context(workers(generators, address, directory))
            for event in ("listening", *["joined"] * generators):
                expect(child, event, OWN_BOOT)
        return [reached(child, host, directory, generators) for _ in range(TRIALS)]


def main() -> None:
    if len(cpus()) < 2:
        sys.exit("error: two CPUs are needed")
    os.environ[VARIABLE] = secrets.token_hex(16)
    print("| generators | requests/s | per CPU second | rows | from the window's end to the file |")
    print("|---|---:|---:|---:|---:|")
    for name, generators, joined in (("1 local", 1, False), ("2 local", 2, False), ("2 joined", 2, True)):
        found = trials(generators, joined)
        rate, core = median(one.rate for one in found), median(one.per_core for one in found)
        rows, after = median(one.rows for one in found), median(one.after for one in found)
        print(f"| {name} | {rate:,.0f} | {core:,.0f} | {rows:,.0f} | {after:.2f} s |", flush=True)


if __name__ == "__main__":
    main()
