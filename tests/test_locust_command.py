"""Locust's own command with our users: headless, in several processes, with its web UI."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from loadtests.plan.arms import Arm
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server

LOADTESTS = Path(__file__).parent.parent / "loadtests"
LOCUSTFILE, SCENARIOS = str(LOADTESTS / "locustfile.py"), str(LOADTESTS / "load" / "scenarios.py")


@pytest.fixture(scope="module")
def server(environment: ServingEnvironment) -> Iterator[Server]:
    with Server(Arm(name="sync", app="sync_app.main:create_app"), environment, "l.1") as server:
        yield server


HEADLESS = ("--headless", "-u", "2", "-r", "2", "-t", "1s")


def test_locusts_own_command_runs_the_locustfile(server: Server, tmp_path: Path) -> None:
    """Headless, with Locust's usual statistics and CSV files, which it writes once per second."""
    words = (*HEADLESS, "-t", "2s", "--host", server.url, "--csv", "out")
    done = locust(tmp_path, "-f", LOCUSTFILE, "Mixed", *words)
    assert "posts.read" in requests_of(done)
    assert "Aggregated" in (tmp_path / "out_stats.csv").read_text()
    assert not [line for line in done.stderr.splitlines() if "Error" in line or "Traceback" in line]


def test_the_scenarios_are_a_locustfile_too(tmp_path: Path) -> None:
    done = locust(tmp_path, "-f", SCENARIOS, "--list")
    assert done.returncode == 0, done.stderr
    assert "PostsRead" in done.stdout
    assert "Visitor" not in done.stdout


def test_a_run_time_counts_from_the_start_and_not_from_before_the_imports(
    server: Server, tmp_path: Path
) -> None:
    """Locust's timers count from a time that the loop keeps, and during an import the loop does not run."""
    slow = tmp_path / "slow.py"
    slow.write_text(
        "from gevent.monkey import get_original\n"
        "get_original('time', 'sleep')(1.5)\n"
        f"import sys; sys.path.append({str(LOADTESTS.parent)!r})\n"
        "from loadtests.load.scenarios import Sleep\n"
    )
    assert requests_of(locust(tmp_path, "-f", str(slow), "Sleep", *HEADLESS, "--host", server.url))


def test_locusts_own_processes_share_the_users(server: Server, tmp_path: Path) -> None:
    port = str(free_port())
    done = locust(
        tmp_path, "-f", SCENARIOS, "Sleep", *HEADLESS, "--host", server.url, "--processes", "2",
        "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port,
    )  # fmt: skip
    assert requests_of(done)


def test_locusts_own_master_and_worker_run_these_users(server: Server, tmp_path: Path) -> None:
    port = str(free_port())
    worker = subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", SCENARIOS, "--worker",
         "--master-host", "127.0.0.1", "--master-port", port],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        done = locust(
            tmp_path, "-f", SCENARIOS, "Sleep", *HEADLESS, "--host", server.url,
            "--master", "--expect-workers", "1", "--master-bind-host", "127.0.0.1",
            "--master-bind-port", port,
        )  # fmt: skip
    finally:
        worker.terminate()
        worker.wait(30)
    assert requests_of(done)


def test_settings_of_locust_in_pyproject_are_honoured(server: Server, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        f"[tool.locust]\nlocustfile = {json.dumps(LOCUSTFILE)}\nheadless = true\nusers = 2\n"
        f'spawn-rate = 2\nrun-time = "1s"\nhost = "{server.url}"\n'
    )
    done = locust(tmp_path, "Mixed")
    assert requests_of(done)


def requests_of(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Locust's final number of requests by name, from its last table, with no failures. Its CSV files are
    written once per second and not at the end, so they lack what a slow host did after the last write.
    """
    assert done.returncode == 0, done.stderr
    # Later tables replace earlier ones; percentiles follow, in rows without failures.
    rows = re.findall(r"^(?:[A-Z]+ +)?(\S+) +(\d+) +(\d+)\(", done.stderr, flags=re.MULTILINE)
    assert rows, done.stderr
    assert not [name for name, _, failed in rows if failed != "0"], done.stderr
    return {name: int(number) for name, number, _ in rows if number != "0"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def test_locusts_web_ui_starts_and_lists_the_scenarios(tmp_path: Path) -> None:
    page = None
    # Another process may take the port before Locust does, which then ends.
    for port in (free_port() for _ in range(3)):
        with subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", LOCUSTFILE, "--web-host", "127.0.0.1",
             "--web-port", str(port), "--class-picker", "--host", "http://127.0.0.1:9"],
            cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            page = front_page(process, port)
            process.terminate()
        if page is not None:
            break
    assert page is not None
    for name in ("IoBound", "CpuBound", "Mixed"):
        assert name in page


def front_page(process: subprocess.Popen[bytes], port: int) -> str | None:
    """The UI's front page, once it responds; None if the process ends before."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return None
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:  # our own address
            page: bytes = answer.read()
            return page.decode()
        time.sleep(0.2)
    return None


def locust(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "locust", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
