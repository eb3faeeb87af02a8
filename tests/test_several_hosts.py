"""A run across several hosts: one leads, one serves, others make the load.

The hosts are network namespaces. The kernel's netem is missing on many machines, so what is to be slow goes
through a forwarder that waits.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadtests.measure.generator import GeneratorOptions, expect
from loadtests.plan.workers.access import MasterAddress
from loadtests.records.directory import RunDirectory
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, Child
from tests.commands import PLAIN, carried_out
from tests.conftest import APPS
from tests.serving import read_samples, request

LEAD, APP, WORKER, OTHER = "10.77.0.1", "10.77.0.2", "10.77.0.3", "10.77.0.4"
HOSTS = (LEAD, APP, WORKER, OTHER)
AHEAD = 86_400.0
"""Seconds that the clock of the worker's host is ahead."""


def permitted() -> bool:
    """Whether this process may make hosts. In CI, root has the programs."""
    if os.geteuid() or (shutil.which("ip") is None and "CI" not in os.environ):
        return False
    tried = subprocess.run(["unshare", "--net", "--time", "true"], capture_output=True, check=False)
    return tried.returncode == 0


pytestmark = pytest.mark.skipif(not permitted(), reason="network and time namespaces need root, and iproute2")


class Hosts:
    """Network namespaces with an address each, joined by a bridge in another one."""

    def __init__(self) -> None:
        self.prefix = f"duel-{os.getpid()}"
        self.hub = f"{self.prefix}-hub"

    def __enter__(self) -> Hosts:
        ip("netns", "add", self.hub)
        ip("-n", self.hub, "link", "add", "bridge", "type", "bridge")
        ip("-n", self.hub, "link", "set", "bridge", "up")
        for address in HOSTS:
            name, port = self.name(address), f"to-{address[-1]}"
            ip("netns", "add", name)
            ip("-n", self.hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("-n", self.hub, "link", "set", port, "master", "bridge", "up")
            ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                ip("-n", name, "link", "set", device, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self.hub, *map(self.name, HOSTS)):
            with suppress(subprocess.CalledProcessError):
                ip("netns", "delete", name)

    def name(self, address: str) -> str:
        return f"{self.prefix}-{address[-1]}"

    def connect(self, address: str, state: str) -> None:
        """Plug a host's cable in, or out: `up` or `down`."""
        ip("-n", self.hub, "link", "set", f"to-{address[-1]}", state)

    def on(self, address: str) -> list[str]:
        """The words before a command that is to run on a host."""
        clock = ["unshare", "--time", "--monotonic", f"{AHEAD:.0f}", "--fork", "--kill-child=TERM"]
        return ["ip", "netns", "exec", self.name(address), *(clock if address == WORKER else [])]

    def python(self, address: str, directory: Path) -> str:
        """An interpreter that runs on a host."""
        script = directory / f"python-{address}"
        script.write_text(f'#!/bin/sh\nexec {" ".join(self.on(address))} {sys.executable} "$@"\n')
        script.chmod(0o755)
        return str(script)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with Hosts() as made:
        yield made


@contextmanager
def running(words: Sequence[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A command, until the end of the block."""
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}
    )
    try:
        yield process
    finally:
        for one in children(process.pid):
            with suppress(psutil.Error):
                one.terminate()
        process.terminate()
        process.communicate()


def kill(pid: int) -> None:
    """Kill a worker's processes, and not what it was started with."""
    for one in children(pid):
        one.kill()


def children(pid: int) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


@contextmanager
def serving(hosts: Hosts, app: str, port: int, *more: str) -> Iterator[str]:
    """The address of an app on its host."""
    words = ["-m", "uvicorn", app, "--app-dir", str(APPS), "--host", APP, "--port", str(port), *more]
    with running([*hosts.on(APP), sys.executable, "-P", *words, "--no-access-log"]) as process:
        line = next(line for line in process.stdout or () if "running on" in line)
        yield line.split("running on ")[1].split()[0]


@pytest.fixture
def secret(tmp_path: Path) -> str:
    (tmp_path / "secret").write_text(secrets.token_hex(16))
    return str(tmp_path / "secret")


def test_a_run_across_three_hosts_finds_the_faster_app(hosts: Hosts, tmp_path: Path, secret: str) -> None:
    """The worker's clock is a day ahead of the run's."""
    worker = [
        *hosts.on(WORKER),
        sys.executable,
        "-P",
        "-m",
        "cli",
        "worker",
        "--master",
        LEAD,
        "--allow-remote",
    ]
    run = [
        *hosts.on(LEAD), sys.executable, "-P", str(Path(__file__).with_name("brisk.py")), "run",
        "-s", "ping", "-u", "8", "-t", "0.4", "--warmup", "0.1", "--rounds", "1", "--listen", LEAD,
        "--allow-remote", "--secret-file", secret, "--config", "/dev/null", "--out", str(tmp_path),
    ]  # fmt: skip
    with ExitStack() as started:
        for name, port in (("slow", 8001), ("fast", 8002)):
            run += [
                "--arm",
                f"{name}={started.enter_context(serving(hosts, f'limiter:{name}', port, '--factory'))}",
            ]
        made = started.enter_context(
            running([*worker, "--secret-file", secret, "--config", "/dev/null"], **PLAIN)
        )
        done = subprocess.run(
            run, capture_output=True, text=True, timeout=120, env={**os.environ, **PLAIN}, check=False
        )
        carried_out(done.returncode, done.stderr)
        said, _ = made.communicate(timeout=30)
    assert "is over" in said
    assert "1 load generator joined" in done.stderr
    (where,) = (path.parent for path in tmp_path.glob("*/run.json"))
    found = RunDirectory(where).load()
    assert found.workers[0].offset == pytest.approx(AHEAD, abs=found.workers[0].error)
    rates = {
        arm.name: [t.arrays.samples.rows / t.seconds for t in found.trials if t.arm == arm.name]
        for arm in found.plan.arms
    }
    assert min(rates["fast"]) > 1.5 * max(rates["slow"])


@contextmanager
def leading(hosts: Hosts, directory: Path, secret: str, size: int) -> Iterator[Child]:
    """The generator of a run that listens on its host."""
    address = MasterAddress(LEAD, 5557)
    options = GeneratorOptions(generators=size, listen=address, secret_file=secret, allow_remote=True)
    python = hosts.python(LEAD, directory)
    with Child("lead", options.arguments(), directory / "lead.log", OUR_PACKAGES, python=python) as child:
        expect(child, "ready", OWN_BOOT)
        expect(child, "listening", OWN_BOOT)
        yield child


@contextmanager
def joining(
    hosts: Hosts, host: str, directory: Path, secret: str, master: str = f"{LEAD}:5557"
) -> Iterator[Child]:
    """A worker on a host."""
    words = ["-m", "loadtests.load.fleet.join", master, "--secret-file", secret, "--allow-remote"]
    python = hosts.python(host, directory)
    with Child(f"worker-{host}", words, directory / f"{host}.log", OUR_PACKAGES, python=python) as child:
        yield child


def tried(lead: Child, url: str, directory: Path, during: Any = None, **changes: Any) -> dict[str, Any]:
    """A trial; `during` is called in its window."""
    lead.send(asdict(request(url, directory / "s.npz", users=4, drain=1.0, **changes)))
    for event in ("opened", "closed", "drained"):
        expect(lead, event, 60)
        if event == "opened" and during is not None:
            during()
    return expect(lead, "done", 60)


@pytest.mark.long
def test_a_killed_worker_and_a_cut_network_spoil_their_trial_and_no_other(
    hosts: Hosts, tmp_path: Path, secret: str
) -> None:
    """Another one takes the place of the first. The one that was cut off ends its load, and comes back."""
    with ExitStack() as opened:
        url = opened.enter_context(serving(hosts, "odd:counting", 8003))
        lead = opened.enter_context(leading(hosts, tmp_path, secret, 1))
        first = opened.enter_context(joining(hosts, OTHER, tmp_path, secret))
        assert expect(lead, "joined", OWN_BOOT)["offset"] == 0.0

        facts = tried(lead, url, tmp_path, lambda: kill(first.pid), window=0.5)
        assert facts["lost"] == 1

        spare = opened.enter_context(joining(hosts, WORKER, tmp_path, secret))
        assert tried(lead, url, tmp_path, window=0.3)["lost"] == 0
        assert len(read_samples(tmp_path / "s.npz"))

        facts = tried(lead, url, tmp_path, lambda: hosts.connect(WORKER, "down"), window=0.5)
        assert facts["lost"] == 1
        while spare.receive(60)["event"] != "silent":
            pass
        hosts.connect(WORKER, "up")
        assert tried(lead, url, tmp_path, window=0.3)["lost"] == 0
        assert len(read_samples(tmp_path / "s.npz"))


FORWARDER = """
import asyncio, sys
host, port, delay = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])

async def copy(reader, writer):
    loop = asyncio.get_running_loop()
    while data := await reader.read(65536):
        loop.call_later(delay, writer.write, data)
    loop.call_later(delay, writer.close)

async def forward(reader, writer):
    there, back = await asyncio.open_connection(host, port)
    await asyncio.gather(copy(reader, back), copy(there, writer))

async def main():
    server = await asyncio.start_server(forward, sys.argv[4], 6000)
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@pytest.mark.long
def test_a_slow_network_between_worker_and_run_does_not_change_what_is_measured(
    hosts: Hosts, tmp_path: Path, secret: str
) -> None:
    """Each message takes 50 ms on its way to the run or back; requests to the app do not."""
    words = [sys.executable, "-P", "-c", FORWARDER, LEAD, "5557", "0.05", OTHER]
    with ExitStack() as opened:
        url = opened.enter_context(serving(hosts, "odd:counting", 8004))
        slow = opened.enter_context(running([*hosts.on(OTHER), *words]))
        assert next(iter(slow.stdout or ())) == "ready\n"
        lead = opened.enter_context(leading(hosts, tmp_path, secret, 1))
        opened.enter_context(joining(hosts, WORKER, tmp_path, secret, f"{OTHER}:6000"))
        joined = expect(lead, "joined", OWN_BOOT)
        assert joined["error"] > 0.05
        assert joined["offset"] == pytest.approx(AHEAD, abs=joined["error"])
        facts = tried(lead, url, tmp_path, window=0.5, rate=100.0, arrivals="constant")
    samples = read_samples(tmp_path / "s.npz")
    inside = (samples.due >= 0.0) & (samples.due < facts["window"])
    assert facts["arrivals"] == int(inside.sum()) + facts["dropped"]
    assert float(samples.service_time[inside].min()) < 0.05


def test_a_worker_that_never_comes_ends_the_run_with_a_clear_fault(
    hosts: Hosts, tmp_path: Path, secret: str
) -> None:
    options = GeneratorOptions(listen=MasterAddress(LEAD, 5557), secret_file=secret, allow_remote=True)
    words = [*options.arguments(), "--patience", "0.5"]
    began = time.monotonic()
    with Child(
        "lead", words, tmp_path / "lead.log", OUR_PACKAGES, python=hosts.python(LEAD, tmp_path)
    ) as child:
        expect(child, "ready", OWN_BOOT)
        expect(child, "listening", OWN_BOOT)
        with pytest.raises(Exception, match="ended with exit code 1"):
            child.receive(OWN_BOOT)
        assert "0 of 1 load generators joined within 0.5 s" in child.log_tail()
    assert time.monotonic() - began < OWN_BOOT
