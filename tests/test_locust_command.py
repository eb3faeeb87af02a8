"""Locust's own command with our users: headless, in several processes, with its web UI."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

from loadtests.plan import Arm
from loadtests.servers import Server, Surroundings

LOCUSTFILE = str(Path(__file__).parent.parent / "loadtests" / "locustfile.py")


def test_locusts_own_command_runs_the_locustfile(around: Surroundings, tmp_path: Path) -> None:
    """Headless, with Locust's statistics and CSV files, as its users expect."""
    with Server(Arm(name="sync", app="sync_app.main:create_app"), around, "l.1") as server:
        done = locust(
            tmp_path, "-f", LOCUSTFILE, "Mixed", "--headless", "-u", "4",
            "-r", "4", "-t", "2s", "--host", server.url, "--csv", "out",
        )  # fmt: skip
    assert "posts.read" in requests_of(done)
    assert "Aggregated" in (tmp_path / "out_stats.csv").read_text()
    assert not [line for line in done.stderr.splitlines() if "Error" in line or "Traceback" in line]


def test_locusts_own_processes_share_the_users(around: Surroundings, tmp_path: Path) -> None:
    port = str(free_port())
    with Server(Arm(name="sync", app="sync_app.main:create_app"), around, "l.2") as server:
        done = locust(
            tmp_path, "-f", LOCUSTFILE, "Mixed", "--headless", "-u", "4", "-r", "4", "-t", "3s", "--host",
            server.url, "--processes", "2", "--master-bind-host", "127.0.0.1",
            "--master-bind-port", port, "--master-port", port,
        )  # fmt: skip
    assert requests_of(done)


def test_locusts_own_master_and_worker_run_these_users(around: Surroundings, tmp_path: Path) -> None:
    port = str(free_port())
    worker = subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", LOCUSTFILE, "--worker", "--master-host", "127.0.0.1",
         "--master-port", port],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with Server(Arm(name="async", app="async_app.main:create_app"), around, "l.3") as server:
            done = locust(
                tmp_path, "-f", LOCUSTFILE, "Mixed", "--headless", "-u", "4", "-r", "4", "-t", "3s",
                "--host", server.url, "--master", "--expect-workers", "1",
                "--master-bind-host", "127.0.0.1", "--master-bind-port", port,
            )  # fmt: skip
    finally:
        worker.terminate()
        worker.wait(30)
    assert requests_of(done)


def test_settings_of_locust_in_pyproject_are_honoured(around: Surroundings, tmp_path: Path) -> None:
    with Server(Arm(name="async", app="async_app.main:create_app"), around, "l.4") as server:
        (tmp_path / "pyproject.toml").write_text(
            f"[tool.locust]\nlocustfile = {json.dumps(LOCUSTFILE)}\nheadless = true\nusers = 3\n"
            f'spawn-rate = 3\nrun-time = "2s"\nhost = "{server.url}"\n'
        )
        done = locust(tmp_path, "Mixed")
    assert requests_of(done)


def requests_of(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """How many requests of each name Locust counted when it ended, of which none failed: from its last table.

    Not from its CSV files: those are written once a second and not at the end, so what a slow host did after
    the last writing is not in them.
    """
    assert done.returncode == 0, done.stderr
    # Later tables replace earlier ones; percentiles come after, in rows without failures.
    rows = re.findall(r"^(?:[A-Z]+ +)?(\S+) +(\d+) +(\d+)\(", done.stderr, flags=re.MULTILINE)
    assert rows, done.stderr
    assert not [name for name, _, failed in rows if failed != "0"], done.stderr
    return {name: int(number) for name, number, _ in rows if number != "0"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def test_locusts_web_ui_starts_and_lists_the_scenarios(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable, "-m", "locust", "-f", LOCUSTFILE, "--web-host",
            "127.0.0.1", "--web-port", str(port), "--class-picker", "--host", "http://127.0.0.1:9",
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        page = fetched(lambda: socket.create_connection(("127.0.0.1", port), timeout=1), port)
    finally:
        process.terminate()
        process.wait(20)
    for name in ("IoBound", "CpuBound", "Mixed"):
        assert name in page


def fetched(connect: Callable[[], socket.socket], port: int) -> str:
    """The UI's front page, once it answers."""
    deadline = time.monotonic() + 30
    while True:
        try:
            connect().close()
            with urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:  # our own address
                page: bytes = answer.read()
            return page.decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def locust(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "locust", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
