"""An arm's server process, and what stands around it: the seeded data and the slow service."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from subprocess import run as run_command
from types import TracebackType
from typing import Self
from urllib.request import urlopen

from loadtests.machine import Placement
from loadtests.plan import Arm
from loadtests.processes import ROOT, Child, ChildFailed

SERVE = Path(__file__).with_name("serve.py")
BOOT_TIMEOUT = 30.0
"""Seconds that a server may take until it answers."""
OUR_PACKAGES = {"PYTHONPATH": str(ROOT)}
"""Environment that lets a child find our packages from a checkout that is not installed."""


class Surroundings:
    """What all servers of a run share: the data they get copies of, and the slow service they call."""

    def __init__(self, logs: Path, placement: Placement) -> None:
        self.logs = logs
        self.placement = placement
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            # In memory where that is possible, so that a busy disk is not measured.
            shm = Path("/dev/shm")  # noqa: S108  # a private directory is made in it
            roomy = shm.is_dir() and os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 2**29
            temporary = tempfile.TemporaryDirectory(
                prefix="duel-", dir=shm if roomy else None, ignore_cleanup_errors=True
            )
            self.scratch = Path(opening.enter_context(temporary))
            self.seeded = self.scratch / "seeded"
            seed(self.seeded)
            slow = Arm(name="slow-service", app="loadtests.slow_service:create_app")
            arguments = serve_arguments(slow, self.placement.get("others", ()))
            log = self.logs / "slow-service.log"
            self.slow_child = opening.enter_context(Child("the slow service", arguments, log))
            self.slow_url = f"http://127.0.0.1:{self.slow_child.receive(BOOT_TIMEOUT)['ready']}"
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def delays_given(self, stream: str) -> list[float]:
        """What the slow service logged for `stream`, in seconds; forgets it there."""
        with urlopen(f"{self.slow_url}/{stream}/log", timeout=10) as answer:  # noqa: S310  # our own http:// address
            delays: list[float] = json.load(answer)
        return delays


class Server:
    """One arm, served by a process of its own on a copy of the data of its own."""

    def __init__(self, arm: Arm, around: Surroundings, stream: str) -> None:
        self.arm = arm
        self.data = Path(tempfile.mkdtemp(prefix="data-", dir=around.scratch))
        shutil.copytree(around.seeded, self.data, dirs_exist_ok=True)
        began = time.perf_counter()
        self.child = Child(
            f"arm {arm.name!r}",
            serve_arguments(arm, around.placement.get("server", ())),
            log=around.logs / f"{arm.name}.log",
            env={
                "DUEL_APP_DATA": str(self.data),
                "DUEL_APP_UPSTREAM": f"{around.slow_url}/{stream}/",
                # FastAPI traces by itself once a provider is configured; that would be measured too.
                "OTEL_SDK_DISABLED": "true",
                **arm.env,
            },
        )
        try:
            self.port = int(self.child.receive(BOOT_TIMEOUT)["ready"])
        except BaseException as failure:
            self.stop()
            if not isinstance(failure, ChildFailed):
                raise
            raise ChildFailed(
                f"arm {arm.name!r} ({arm.app}) did not start: {failure}",
                f"{failure.cause or 'it left no message'} (last lines of {self.child.log})",
                "run `duel check` to try the arms without load",
            ) from None
        self.boot = time.perf_counter() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.child.stop()
        shutil.rmtree(self.data, ignore_errors=True)


def serve_arguments(arm: Arm, cpus: tuple[int, ...] = (), port: int = 0) -> list[str]:
    """The command line of serve.py for an arm."""
    serving = arm.serving
    arguments = [str(SERVE), arm.app, "--app-dir", arm.app_dir or str(ROOT), "--port", str(port)]
    arguments += ["--threads", str(serving.threads), "--loop", serving.loop, "--http", serving.http]
    arguments += ["--gc", serving.gc]
    if cpus:
        arguments += ["--cpus", ",".join(map(str, cpus))]
    return arguments


def seed(directory: Path) -> None:
    """Build the deterministic data in `directory`."""
    command = [sys.executable, "-P", "-m", "shared_models.seed", str(directory)]
    done = run_command(
        command, env={**os.environ, **OUR_PACKAGES}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ChildFailed("the database could not be seeded", done.stderr.strip()[-400:])


def serve_alone(arm: Arm, host: str, port: int) -> int:
    """Serve one arm in the foreground, with data and a slow service, until it ends; its exit code."""
    with tempfile.TemporaryDirectory(prefix="duel-logs-") as logs, Surroundings(Path(logs), {}) as around:
        command = [sys.executable, "-P", *serve_arguments(arm, port=port), "--host", host, "--alone"]
        env = {"DUEL_APP_DATA": str(around.seeded), "DUEL_APP_UPSTREAM": f"{around.slow_url}/alone/"}
        try:
            return run_command(command, env={**os.environ, **env, **arm.env}, check=False).returncode
        except KeyboardInterrupt:
            return 0
