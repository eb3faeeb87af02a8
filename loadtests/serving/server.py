"""An arm's server process."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, Self

from loadtests.errors import ChildFailed
from loadtests.plan.arms import Arm
from loadtests.records.files import writing
from loadtests.records.trial import ServerEnd
from loadtests.serving.checkout import BaseCheckout
from loadtests.serving.command import serve_arguments, variables
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.external import DidNotStart, ExternalServer, NotServable
from loadtests.serving.hooks import run_after, starting
from loadtests.serving.services.workers import QueueWorkers
from loadtests.serving.versions import Modules, Version
from loadtests.system.placement import move
from loadtests.system.processes import ROOT, Child, NoResponse
from loadtests.system.tracebacks import why

LOGGED = 200
"""Characters of a line of a server's log that a record keeps."""

HEARTBEAT_TIMEOUT = 10.0
"""Seconds that a busy server may take to report its heartbeats."""


class Target(Protocol):
    """What is loaded: a server that we start, or an external one."""

    arm: Arm
    boot: float
    """Seconds until it answered."""
    pulse: str | None
    """A path that serve.py answers on the app's event loop; None for an external server."""
    workers: QueueWorkers
    """What does the jobs of its queue, once that was started; none for an external server."""

    @property
    def url(self) -> str: ...

    @property
    def pid(self) -> int | None:
        """Its process; None where that is not known."""

    def ended(self) -> ServerEnd | None:
        """How it ended by itself, if it did."""

    def heartbeats(self, since: float) -> list[list[list[float]]]: ...

    def held(self, since: float, until: float) -> list[dict[str, Any]]:
        """What held the event loop of each worker: see `LoopWatchdog.read`; none where that is not known."""

    def routes(self) -> list[str]:
        """The paths of its app's routes, as `/items/{item_id}`; none where they are not known."""

    def places(self) -> list[tuple[list[str], str, str, int]]:
        """Of these routes: methods (none: all), path, file and line of the function."""

    def served(self) -> list[dict[str, str]]:
        """What serves each worker's app, as `{"server": "granian 2.8.9"}`; none where it is not known."""

    def log_tail(self) -> str: ...

    def check_sources(self) -> None:
        """Raises ChildFailed where its code has changed since an earlier server imported it."""

    def start_workers(self) -> None:
        """Start what does the jobs of its queue, where it has one. Raises ChildFailed."""

    def ask_to_end(self) -> None: ...

    def stop(self) -> None: ...

    def __enter__(self) -> Target: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Seat(NamedTuple):
    """CPUs of one server; empty: any."""

    boots: tuple[int, ...]
    """Where it starts."""
    serves: tuple[int, ...]
    """Where it moves once it has started."""


def serve(arm: Arm, environment: ServingEnvironment, stream: str, seat: Seat | None = None) -> Target:
    """An arm's server, started. It is ready once it is entered, or has been awaited. `seat`: None for the
    server's place in its environment. Raises DidNotStart, or ChildFailed for what is not the server's
    doing."""
    if arm.url is not None:
        return ExternalServer(arm, environment)
    checkout = environment.checkout
    return Server(checkout.located(arm) if checkout else arm, environment, stream, seat)


class Server:
    """One arm, served by its own process on its own copy of the data."""

    def __init__(
        self, arm: Arm, environment: ServingEnvironment, stream: str, seat: Seat | None = None
    ) -> None:
        self.arm = arm
        own = environment.placement.get("server", ())
        self.seat = Seat(own, own) if seat is None else seat
        self.environment = environment
        self.hooks, self.logs = environment.hooks, environment.logs
        with writing(environment.scratch):
            self.data = Path(tempfile.mkdtemp(prefix="data-", dir=environment.scratch))
            shutil.copytree(environment.seeded, self.data, dirs_exist_ok=True)
        self.variables = variables(arm, self.data)
        # Its commands find the same copy as the server.
        self.prepared = arm.model_copy(update={"env": self.variables})
        self.databases, self.redis_databases = environment.databases, environment.redis_databases
        self.workers = QueueWorkers()
        self.stopped = False
        self.port: int | None = None
        """Where it accepts requests; None: not yet."""
        # No app has it, and it cannot be guessed.
        self.pulse: str | None = f"/{token_hex(16)}"
        with starting(self.hooks, self.prepared, self.logs):
            self.database = self.databases.fresh() if self.databases else None
            self.redis = self.redis_databases.fresh() if self.redis_databases else None
            self.began, self.boot = time.perf_counter(), 0.0
            self.child = self.launched(stream)

    def launched(self, stream: str) -> Child:
        """Its process. Raises ChildFailed."""
        arm, environment = self.arm, self.environment
        return Child(
            f"arm {arm.name!r}",
            [
                *serve_arguments(arm, self.seat.boots),
                *redirected(arm, environment.checkout),
                *("--pulse", str(self.pulse)),
                *environment.serve_flags,
            ],
            log=environment.logs / f"{arm.name}.log",
            env={
                **environment.variables(self.data, stream, self.database_url, self.redis_url),
                **self.variables,
            },
            cwd=arm.cwd,
            python=arm.python,
        )

    def become_ready(self) -> None:
        """Wait until it accepts requests. Stops it, and raises DidNotStart or ChildFailed, where it does not
        do so in time."""
        try:
            ready = self.ready(self.environment.boot_timeout)
            if self.seat.boots != self.seat.serves:
                move(self.pid, self.seat.serves)
            self.port = int(ready["ready"])
            self.boot = time.perf_counter() - self.began
            checked = self.environment.checkout is not None
            if checked and not self.check_version() and self.child.alive:
                raise ChildFailed("it did not report its modules")
        except BaseException as failure:
            self.stop()
            if not isinstance(failure, ChildFailed) or isinstance(failure, DidNotStart):
                raise
            raise ChildFailed(
                f"arm {self.arm.name!r} ({self.arm.app}) did not start: {failure}",
                cause=failure.cause,
                hint=failure.hint,
            ) from None

    def __enter__(self) -> Self:
        if self.port is None:
            self.become_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                # Again: the first requests may have imported more.
                self.check_sources()
        finally:
            self.stop()

    @property
    def pid(self) -> int:
        return self.child.pid

    def ready(self, timeout: float) -> dict[str, Any]:
        """The server's first message. Raises DidNotStart."""
        left = self.began + timeout - time.perf_counter()
        try:
            return self.child.receive(max(0.001, left))
        except ChildFailed as failure:
            slow = isinstance(failure, NoResponse)
            said = f"{self.child.name}: no response within {timeout:g} s" if slow else str(failure)
            cause, way = why(self.child.log_text(), self.arm.app_dir or str(ROOT))
            hint = failure.hint or way or hint_for(cause, self.arm, slow=slow)
            to_be_given = bool(way) or "UnusableApp: " in cause
            raise (NotServable if to_be_given else DidNotStart)(
                f"arm {self.arm.name!r} ({self.arm.app}) did not start: {said}",
                cause=(cause or "no message") + self.environment.place(self.child.log),
                hint=hint,
                end=self.end("start"),
            ) from None

    def ended(self) -> ServerEnd | None:
        return None if self.child.alive else self.end("load")

    def end(self, during: Literal["start", "load"]) -> ServerEnd:
        """How it ended, as it is recorded."""
        lines = tuple(line[:LOGGED] for line in self.child.last_lines())
        return ServerEnd(during=during, code=self.child.code, log=lines)

    def log_tail(self) -> str:
        return self.child.log_tail()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str | None:
        """The URL of this trial's own database; None on SQLite, whose file is in `data`."""
        return self.databases.url_of(self.database) if self.databases and self.database else None

    @property
    def redis_url(self) -> str | None:
        """The URL of this server's own Redis database; None without Redis."""
        if self.redis_databases is None or self.redis is None:
            return None
        return self.redis_databases.url_of(self.redis)

    def heartbeats(self, since: float) -> list[list[list[float]]]:
        """The heartbeats of every worker from `since` on, on perf_counter's clock; none from a server that
        has ended or does not respond: its failed requests show that."""
        return self.ask("heartbeats", since)

    def held(self, since: float, until: float) -> list[dict[str, Any]]:
        """What held the event loop of each worker between two moments, on perf_counter's clock."""
        return [found for found in self.ask("held", (since, until)) if found is not None]

    def routes(self) -> list[str]:
        """The paths of the app's routes, in the order in which it tries them."""
        return next(iter(self.ask("routes", True)), [])

    def places(self) -> list[tuple[list[str], str, str, int]]:
        """Where the functions of these routes are."""
        return [
            (methods, path, file, line)
            for methods, path, file, line in next(iter(self.ask("places", True)), [])
        ]

    def served(self) -> list[dict[str, str]]:
        """What serves each worker's app."""
        return [dict(found) for found in self.ask("served", True)]

    def ask(self, kind: str, question: float | bool | Sequence[float]) -> list[Any]:
        """What every worker answers; nothing from a server that has ended or does not respond."""
        deadline = time.monotonic() + HEARTBEAT_TIMEOUT
        try:
            self.child.send({kind: question})
            # An answer that came too late for an earlier question may precede it.
            while kind not in (message := self.child.receive(max(0.001, deadline - time.monotonic()))):
                pass
        except ChildFailed:
            return []
        workers: list[Any] = message[kind]
        return workers

    def check_version(self) -> list[Modules]:
        """The modules of every worker. Raises ChildFailed where one is not of the arm's own version."""
        checkout, found = self.environment.checkout, self.ask("modules", True)
        if checkout is not None and self.arm.revision is not None:
            for modules in found:
                Version.of(self.arm, checkout).check(self.arm, modules)
        return found

    def check_sources(self) -> None:
        """Raises ChildFailed where a module is not of the arm's own version, or has changed since an earlier
        server imported it."""
        try:
            found = self.check_version()
        except ChildFailed as failure:
            raise ChildFailed(
                f"arm {self.arm.name!r}: {failure}", cause=failure.cause, hint=failure.hint
            ) from None
        for modules in found:
            self.environment.sources.note_task_queues(self.arm, modules)
            self.environment.sources.note_origin(self.arm, modules)
        commands = bool(self.hooks.before_trial or self.hooks.after_trial)
        self.environment.files.check(self.environment.arms, commands=commands)
        checkout = self.environment.checkout
        # A base's files are those of a commit.
        if checkout is None or self.arm.name not in checkout.arms:
            for modules in found:
                self.environment.sources.note(self.arm, modules)

    def start_workers(self) -> None:
        """Start what does the jobs of its queue, where it has one. Raises ChildFailed."""
        databases, number = self.redis_databases, self.redis
        if databases is not None and number is not None and not self.workers.workers:
            self.workers = QueueWorkers.started(
                self.arm,
                databases.url_of(number),
                lambda: databases.unfinished_jobs(number),
                self.logs,
                self.environment.placement.get("others", ()),
            )

    def ask_to_end(self) -> None:
        """Have it begin to stop, without waiting."""
        self.child.ask_to_end()

    def stop(self) -> None:
        if self.stopped:
            return
        self.stopped = True
        self.workers.stop()
        self.child.stop()
        if self.databases and self.database:
            self.databases.drop(self.database)
        if self.redis_databases and self.redis is not None:
            self.redis_databases.drop(self.redis)
        try:
            run_after(self.hooks, self.prepared, self.logs)
        finally:
            shutil.rmtree(self.data, ignore_errors=True)


def redirected(arm: Arm, checkout: BaseCheckout | None) -> list[str]:
    """Flags of serve.py with which the base's modules are imported from its checkout."""
    if checkout is None or arm.name not in checkout.arms:
        return []
    return ["--instead", checkout.base.repository, str(checkout.path)]


def hint_for(cause: str, arm: Arm, slow: bool) -> str:
    """What to do about a server that did not start, by its log and whether it was only `slow`."""
    if arm.python is not None and "Unknown option: -P" in cause:
        return "the interpreter must be Python 3.11 or later"
    for package in ("granian", "hypercorn", "httpx2", "redis", "celery", "arq"):
        if f"No module named '{package}'" in cause:
            return f"install {package} where {arm.python or 'duel'} looks for packages"
    for package in ("uvicorn", "anyio", "uvloop", "httptools"):
        if f"No module named '{package}'" in cause:
            return (
                f"install {package} where {arm.python or 'duel'} looks for packages, or pass "
                f"loop=asyncio,http=h11 to do without uvloop and httptools"
            )
    longer = ", or pass a longer --boot-timeout" if slow else ""
    return f"run `duel check` to try the arms without load{longer}"
