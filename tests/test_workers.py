"""Load generators that join a run from elsewhere: who is let in, and what they make."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure.generator import GeneratorOptions, expect, generator
from loadtests.measure.workers.make_load import refusal
from loadtests.plan.building import build_plan
from loadtests.plan.settings import RunSettings
from loadtests.plan.workers.access import MasterAddress, shared_secret
from loadtests.records import WorkerHost
from loadtests.records.directory import RunDirectory
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, Child
from reports.advice.caveats import LoadFromElsewhere
from reports.wording.advice.caveats import caveat_text
from reports.wording.plans import gathering_text
from tests.commands import brisk_here, carried_out, duel_here
from tests.conftest import APPS

SHORT = ("-s", "ping", "-u", "8", "-t", "0.3", "--warmup", "0.1", "--rounds", "1")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(secrets.token_hex(16) + "\n")
    return file


@pytest.fixture
def address() -> MasterAddress:
    """A port of this machine that nothing uses."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return MasterAddress("127.0.0.1", free.getsockname()[1])


@contextmanager
def workers(number: int, address: MasterAddress, secret: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """`duel worker` for a run that listens at an address."""
    words = [sys.executable, "-P", "-m", "cli", "worker", "--master", str(address)]
    words += ["--secret-file", str(secret), "--config", "/dev/null"]
    started = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(number)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.terminate()
            process.communicate()


@pytest.mark.long
def test_workers_that_join_make_the_load_of_a_run_and_end_with_it(
    tmp_path: Path, unseeded: None, secret: Path, address: MasterAddress
) -> None:
    with workers(2, address, secret) as started:
        done = brisk_here(
            "run", "--app-dir", str(APPS), *SHORT, "--generators", "2", "--listen", str(address),
            "--secret-file", str(secret), "--arm", "fast=limiter:fast", "--arm", "slow=limiter:slow",
            cwd=tmp_path,
        )  # fmt: skip
        carried_out(done.returncode, done.stderr)
        said = [process.communicate(timeout=30)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert all("is over" in one for one in said)
    assert "2 load generators joined" in done.stderr
    (where,) = (tmp_path / "runs").iterdir()
    run = RunDirectory(where).load()
    assert [worker.offset for worker in run.workers] == [0.0, 0.0]
    assert "the load came from" in done.stdout
    assert secret.read_text().strip() not in (where / "run.json").read_text()
    assert all(trial.arrays.samples.rows > 20 and trial.lost == 0 for trial in run.trials)


JOIN = "from loadtests.load.fleet import join\njoin.main()\n"
OTHER_VERSION = (
    "from loadtests.load.fleet import joining\n"
    "joining.version = lambda _: '0.0.1'\n"
)  # fmt: skip


def joining(tmp_path: Path, address: MasterAddress, secret: str, before: str = "", *more: str) -> Child:
    """The process that `duel worker` starts."""
    words = ["-c", before + JOIN, str(address), *more]
    environment = OUR_PACKAGES | {"DUEL_WORKER_SECRET": secret}
    return Child("worker", words, tmp_path / "worker.log", environment)


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Child, MasterAddress, str]]:
    """A run's generator that waits for a worker, its address and its secret."""
    directory = tmp_path_factory.mktemp("listening")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = MasterAddress("127.0.0.1", free.getsockname()[1])
    (directory / "secret").write_text(secrets.token_hex(16))
    options = GeneratorOptions(listen=address, secret_file=str(directory / "secret"))
    with generator(directory, {}, options) as child:
        expect(child, "ready", OWN_BOOT)
        expect(child, "listening", OWN_BOOT)
        yield child, address, (directory / "secret").read_text()


def test_a_worker_with_another_secret_is_refused(
    listening: tuple[Child, MasterAddress, str], tmp_path: Path
) -> None:
    _, address, _ = listening
    with joining(tmp_path, address, "another secret of the same length") as child:
        assert child.receive(OWN_BOOT) == {"event": "refused", "what": "secret"}


def test_a_worker_of_another_version_is_refused_with_both_versions(
    listening: tuple[Child, MasterAddress, str], tmp_path: Path
) -> None:
    _, address, secret = listening
    with joining(tmp_path, address, secret, OTHER_VERSION) as child:
        assert child.receive(OWN_BOOT)["event"] == "joined"
        told = child.receive(OWN_BOOT)
    assert (told["event"], told["what"], told["worker"]) == ("refused", "duel", "0.0.1")
    assert "there, 0.0.1 here" in str(refusal(address, told))
    assert told["master"] in str(refusal(address, told))


def test_a_worker_with_another_locustfile_is_refused(
    listening: tuple[Child, MasterAddress, str], tmp_path: Path
) -> None:
    """This run has the built-in scenarios."""
    _, address, secret = listening
    file = tmp_path / "own.py"
    file.write_text(
        "from locust import HttpUser, task\nclass Own(HttpUser):\n    @task\n    def own(self): ...\n"
    )
    with joining(tmp_path, address, secret, "", "--locustfile", str(file)) as child:
        assert child.receive(OWN_BOOT)["event"] == "joined"
        told = child.receive(OWN_BOOT)
    assert (told["event"], told["what"], told["master"]) == ("refused", "locustfile", None)


def command_lines(pid: int) -> Iterator[str]:
    """Of a process and its descendants, as far as they have not ended meanwhile."""
    process = psutil.Process(pid)
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):
            yield " ".join(one.cmdline())


def test_the_secret_is_in_no_command_line(
    listening: tuple[Child, MasterAddress, str], tmp_path: Path
) -> None:
    child, address, secret = listening
    with joining(tmp_path, address, secret) as worker:
        assert worker.receive(OWN_BOOT)["event"] == "joined"
        assert expect(child, "joined", OWN_BOOT)["offset"] == 0.0
        lines = [line for root in (child, worker) for line in command_lines(root.pid)]
    assert len(lines) > 1
    assert not [line for line in lines if secret in line]


def test_a_worker_that_finds_no_run_gives_up(tmp_path: Path, address: MasterAddress) -> None:
    with joining(tmp_path, address, secrets.token_hex(16), "", "--patience", "0.2") as child:
        told = child.receive(OWN_BOOT)
    assert told["event"] == "absent"
    assert isinstance(refusal(address, told), ChildFailed)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--listen", "10.0.0.1"), "--listen 10.0.0.1:5557 is not a loopback address"),
        (("--listen", "127.0.0.1:0"), "is not HOST[:PORT]"),
        (("--listen", "http://127.0.0.1"), "is not HOST[:PORT]"),
        (("--listen", "127.0.0.1"), "there is no secret"),
        (("--listen", "127.0.0.1", "--secret-file", "missing"), "cannot read the secret file"),
    ],
)
def test_a_run_that_cannot_listen_is_one_clear_error(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = brisk_here("run", *SHORT, "--dry-run", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_run_with_workers_ends_without_a_proof() -> None:
    """They leave when its rounds are over."""
    assert build_plan(RunSettings()).proof_time is not None
    assert build_plan(RunSettings(listen="127.0.0.1")).proof_time is None


def test_arms_that_workers_elsewhere_cannot_reach_are_refused(tmp_path: Path, secret: Path) -> None:
    """A worker would load its own loopback addresses."""
    done = brisk_here(
        "run", *SHORT, "--listen", "10.0.0.1", "--allow-remote", "--secret-file", str(secret), cwd=tmp_path
    )
    assert done.returncode == 2
    assert "workers on other machines cannot reach arm 'sync'" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--master", "10.0.0.1"), "--master 10.0.0.1:5557 is not a loopback address"),
        (("--master", "127.0.0.1:x"), "is not HOST[:PORT]"),
        (("--master", "127.0.0.1"), "there is no secret"),
    ],
)
def test_a_worker_that_cannot_join_is_one_clear_error(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = duel_here("worker", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(PlanError, match="fewer than 16 characters"):
        shared_secret(None, {"DUEL_WORKER_SECRET": "guess"})


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("10.0.0.5", "10.0.0.5", 5557), ("bench:6000", "bench", 6000), ("[::1]:70", "[::1]", 70)],
)
def test_an_address_has_locusts_port_unless_another_is_given(text: str, host: str, port: int) -> None:
    assert MasterAddress.parse(text, "--master") == MasterAddress(host, port)


def test_the_report_says_what_load_from_elsewhere_means() -> None:
    text = caveat_text(LoadFromElsewhere((("a", 2), ("b", 1))))
    assert text.startswith("the load came from a (×2), b: response times include the network")


def test_the_clock_of_each_worker_is_told() -> None:
    far = WorkerHost(host="b", cpus=8, offset=-12.3041, error=0.00012)
    assert gathering_text("10.0.0.5:5557", (far,), 2) == (
        "waiting for load generators: 1 of 2 joined (`duel worker --master 10.0.0.5:5557` on each machine); "
        "b, 8 CPUs, its clock 12.304 s behind (± 0.12 ms)"
    )
    near = WorkerHost(host="b", cpus=1, offset=0.0, error=0.00012)
    assert gathering_text("10.0.0.5:5557", (near,), 1) == (
        "1 load generator joined; b, 1 CPU, on the same clock"
    )
