"""An external server: put under load, but neither started nor stopped here."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

import psutil

from loadtests.errors import ChildFailed, Exit
from loadtests.plan.addresses import is_loopback
from loadtests.plan.arms import Arm
from loadtests.records.trial import ServerEnd
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.hooks import run_after, starting
from loadtests.serving.services.workers import QueueWorkers
from loadtests.system.processes import UNSEEN, at_work

RETRY = 0.05
"""Seconds between two attempts to connect."""


class DidNotStart(ChildFailed):
    """An arm's server ended before it was ready, was not ready in time, or accepts no connections."""

    def __init__(self, message: str, *, cause: str, hint: str, end: ServerEnd) -> None:
        super().__init__(message, cause=cause, hint=hint)
        self.end = end


class NotServable(DidNotStart):
    """What an arm names is no app, cannot be served as one, or lacks a package or a variable: no fault of a
    measurement."""

    exit_code = Exit.USAGE


class ExternalServer:
    """A running server, reached by its address."""

    def __init__(self, arm: Arm, environment: ServingEnvironment) -> None:
        if arm.url is None:
            raise ValueError(f"arm {arm.name!r} has no address")
        self.arm = arm
        self.hooks, self.logs = environment.hooks, environment.logs
        parts = urlsplit(arm.url)
        with starting(self.hooks, arm, self.logs):
            began = time.perf_counter()
            # What the command before it has started may refuse connections at first.
            patience = environment.boot_timeout if self.hooks.before_trial else 0.0
            self.address = reached(arm, parts, environment.boot_timeout, patience)
            self.boot = time.perf_counter() - began
            host, port = self.address
            if not is_loopback(host) and not environment.allow_remote:
                raise ChildFailed(f"arm {arm.name!r} resolves to {host}, and load goes to this machine only")
        self.pulse: str | None = None
        """None: none of our code runs inside that server."""
        self.workers = QueueWorkers()
        self.pid = listener(*self.address)
        self.process: psutil.Process | None = None
        """The one that listened at first; None where that is not known."""
        with suppress(*UNSEEN):
            self.process = None if self.pid is None else psutil.Process(self.pid)
        # By its address where it is on this machine: names are looked up again for every connection.
        near = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.url = parts._replace(netloc=near).geturl() if is_loopback(host) else arm.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check_sources(self) -> None:
        """Nothing is known of its code."""

    def start_workers(self) -> None:
        """Its queue, if it has one, is not ours."""

    def ask_to_end(self) -> None:
        """It is not ours to end."""

    def stop(self) -> None:
        """End its part in a trial: the server keeps running."""
        run_after(self.hooks, self.arm, self.logs)

    def ended(self) -> ServerEnd | None:
        """Whether its process is gone; another one may listen in its place, whose owner restarts servers that
        end."""
        lives = self.process is None or at_work(self.process)
        return None if lives else ServerEnd(during="load")

    def heartbeats(self, since: float) -> list[list[list[float]]]:
        """None: none of our code runs inside that server."""
        return []

    def held(self, since: float, until: float) -> list[dict[str, Any]]:
        """None, for the same reason."""
        return []

    def routes(self) -> list[str]:
        """None, for the same reason."""
        return []

    def places(self) -> list[tuple[list[str], str, str, int]]:
        """None, for the same reason."""
        return []

    def served(self) -> list[dict[str, str]]:
        """None, for the same reason."""
        return []

    def log_tail(self) -> str:
        return ""


def reached(arm: Arm, url: SplitResult, timeout: float, patience: float) -> tuple[str, int]:
    """The address of a server, once it has accepted a connection. `timeout`: seconds until it does;
    `patience`: seconds for which it may refuse them. Raises DidNotStart."""
    began = time.monotonic()
    while True:
        try:
            with socket.create_connection((url.hostname or "", url.port or 80), timeout) as connection:
                address: tuple[str, int] = connection.getpeername()[:2]
                return address
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
            if not refused or time.monotonic() - began >= patience:
                raise DidNotStart(
                    f"arm {arm.name!r} does not accept connections on {arm.url}",
                    cause=str(error.strerror or error),
                    hint="start the server first, or name an app to have it served: NAME=module:attribute",
                    end=ServerEnd(during="start"),
                ) from None
            time.sleep(RETRY)


def listener(host: str, port: int) -> int | None:
    """The pid of the oldest process that listens on an address of this machine; None where the platform does
    not show it, or where that process is a proxy of a server elsewhere."""
    if not is_loopback(host):
        return None
    try:
        pids = {
            found.pid
            for found in psutil.net_connections("tcp")
            if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port and found.pid
        }
        oldest = min((psutil.Process(pid) for pid in pids), key=psutil.Process.create_time, default=None)
        # Docker's proxy listens for a server in another network, which does the work.
        return oldest.pid if oldest is not None and oldest.name() != "docker-proxy" else None
    except UNSEEN:
        return None
