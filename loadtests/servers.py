"""An arm's server process, and what stands around it: the seeded data and the slow service."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import run as run_command
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil

from loadtests.addresses import is_loopback
from loadtests.hooks import Hooks
from loadtests.machine import Placement
from loadtests.plan import Arm
from loadtests.postgresql import OWN, Databases, own_server
from loadtests.processes import OUR_PACKAGES, ROOT, UNSEEN, Child, ChildFailed

SERVE = Path(__file__).with_name("serve.py")
BOOT_TIMEOUT = 30.0
"""Seconds that a server may take until it answers."""
SAME_BIRTH = 2.0
"""Seconds that two readings of a birth may differ by: nobody gets a number again so soon."""
OWNER = "owner"
"""The file of a scratch directory that says whose it is."""
HEARTBEAT_TIMEOUT = 10.0
"""Seconds that a server may take to tell its heartbeats, busy as it is."""


class Surroundings:
    """What all servers of a run share: the data they get copies of, and the slow service they call.

    `database` is what `--database` says: None for SQLite, `postgresql` for a server of our own, or the
    URL of one.
    """

    def __init__(self, logs: Path, placement: Placement, database: str | None = None) -> None:
        self.logs = logs
        self.hooks = Hooks()
        self.allow_remote = False
        """Whether an arm may be a server on another machine."""
        self.boot_timeout = BOOT_TIMEOUT
        """Seconds that a server may take until it answers."""
        self.placement = placement
        self.database = database
        self.databases: Databases | None = None
        self.pids: list[int] = []
        """Processes of the surroundings, whose CPU time is ours; see `all_known`."""
        self.all_known = True
        """False where the database works in processes that cannot be told from foreign ones."""
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
            remove_left_behind(self.scratch.parent)
            (self.scratch / OWNER).write_text(owner(os.getpid()))
            self.seeded = self.scratch / "seeded"
            if self.database is not None:
                self.open_databases(self.database, opening)
            seed(self.seeded, self.databases)
            slow = Arm(name="slow-service", app="loadtests.slow_service:create_app")
            arguments = serve_arguments(slow, self.placement.get("others", ()))
            log = self.logs / "slow-service.log"
            self.slow_child = opening.enter_context(Child("the slow service", arguments, log))
            self.slow_url = f"http://127.0.0.1:{self.slow_child.receive(BOOT_TIMEOUT)['ready']}"
            self.pids.append(self.slow_child.pid)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def open_databases(self, database: str, opening: ExitStack) -> None:
        """The databases of the run, on a server that was given or on one of our own."""
        if database == OWN:
            cpus = self.placement.get("others", ())
            url, keeper = opening.enter_context(own_server(self.logs, cpus))
            self.databases = opening.enter_context(Databases(url))
            self.pids.append(keeper.pid)
            return
        self.databases = opening.enter_context(Databases(database))
        server = self.databases.server_pid()
        self.all_known = server is not None
        self.pids += [server] if server is not None else []

    @property
    def database_version(self) -> str:
        """`SQLite 3.46.1` or `PostgreSQL 15.9`."""
        return self.databases.version if self.databases else f"SQLite {sqlite3.sqlite_version}"

    def delays_given(self, stream: str) -> list[float]:
        """What the slow service logged for `stream`, in seconds; forgets it there. Raises ChildFailed."""
        try:
            with urlopen(f"{self.slow_url}/{stream}/log", timeout=10) as answer:  # noqa: S310  # our own http:// address
                delays: list[float] = json.load(answer)
        except (OSError, ValueError) as error:
            raise ChildFailed(
                "the slow service is gone", self.slow_child.last_words() or str(error)
            ) from None
        return delays


def owner(pid: int) -> str:
    """A process by its number and its birth, so that a later one of the same number is not taken for it; by
    its number alone where no births are shown."""
    with suppress(*UNSEEN):
        # From the machine's own start: a clock that is set, or only corrected, moves every other birthday.
        return f"{pid} {psutil.Process(pid).create_time() - psutil.boot_time():.2f}"
    return str(pid)


def lives(told: str) -> bool:
    """Whether an `owner` is still there; one whose birth cannot be compared is, while its number is taken.
    Raises ValueError for what is no owner."""
    pid, _, birth = told.partition(" ")
    now = owner(int(pid))
    if birth and " " in now:
        return abs(float(birth) - float(now.partition(" ")[2])) < SAME_BIRTH
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def remove_left_behind(parent: Path) -> None:
    """Remove the scratch directories of runs that were killed."""
    for path in parent.glob("duel-*/" + OWNER):
        # Somebody else's cannot be removed, nor need it be.
        with suppress(OSError, ValueError, OverflowError):
            if not lives(path.read_text()):
                shutil.rmtree(path.parent)


class Target(Protocol):
    """What is loaded: a server of ours, or one that somebody else runs."""

    arm: Arm
    boot: float
    """Seconds until it answered."""

    @property
    def url(self) -> str: ...

    @property
    def pid(self) -> int | None:
        """Its process; None where that is not known."""

    @property
    def identity(self) -> object:
        """What another server in its place would not share; None where that cannot be told."""

    def heartbeats(self, since: float) -> list[list[list[float]]]: ...

    def last_words(self) -> str: ...

    def __enter__(self) -> Target: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def serve(arm: Arm, around: Surroundings, stream: str) -> Target:
    """An arm to be loaded, ready. Raises ChildFailed."""
    return Running(arm, around) if arm.url is not None else Server(arm, around, stream)


class Running:
    """A server that somebody else runs: it is asked, and neither started nor stopped."""

    def __init__(self, arm: Arm, around: Surroundings) -> None:
        if arm.url is None:
            raise ValueError(f"arm {arm.name!r} has no address")
        self.arm = arm
        self.hooks, self.logs = around.hooks, around.logs
        self.hooks.before(arm, self.logs)
        began = time.perf_counter()
        parts = urlsplit(arm.url)
        try:
            address = (parts.hostname or "", parts.port or 80)
            with socket.create_connection(address, timeout=BOOT_TIMEOUT) as connection:
                self.address = connection.getpeername()[:2]
        except OSError as error:
            raise ChildFailed(
                f"arm {arm.name!r} does not answer on {arm.url}",
                str(error.strerror or error),
                "start the server first, or name an app to have it served: NAME=module:attribute",
            ) from None
        self.boot = time.perf_counter() - began
        self.pid = listener(*self.address)
        host, port = self.address
        if not is_loopback(host) and not around.allow_remote:
            raise ChildFailed(f"arm {arm.name!r} leads to {host}, and load goes to this machine only")
        # By its address where it is on this machine: names are looked up anew for every connection.
        near = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.url = parts._replace(netloc=near).geturl() if is_loopback(host) else arm.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hooks.after(self.arm, self.logs)

    @property
    def identity(self) -> psutil.Process | None:
        pid = listener(*self.address)
        with suppress(*UNSEEN):
            return None if pid is None else psutil.Process(pid)
        return None

    def heartbeats(self, since: float) -> list[list[list[float]]]:
        """None: nothing of ours is inside that server."""
        return []

    def last_words(self) -> str:
        return ""


def listener(host: str, port: int) -> int | None:
    """The eldest process that listens on an address of this machine; None where that is not to be seen, or
    stands for a server elsewhere."""
    if not is_loopback(host):
        return None
    try:
        pids = {
            found.pid
            for found in psutil.net_connections("tcp")
            if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port and found.pid
        }
        eldest = min((psutil.Process(pid) for pid in pids), key=psutil.Process.create_time, default=None)
        # Docker's listens in place of a server in another network, whose work it does not do.
        return eldest.pid if eldest is not None and eldest.name() != "docker-proxy" else None
    except UNSEEN:
        return None


class Server:
    """One arm, served by a process of its own on a copy of the data of its own."""

    def __init__(self, arm: Arm, around: Surroundings, stream: str) -> None:
        self.arm = arm
        self.hooks, self.logs = around.hooks, around.logs
        self.hooks.before(arm, self.logs)
        self.data = Path(tempfile.mkdtemp(prefix="data-", dir=around.scratch))
        shutil.copytree(around.seeded, self.data, dirs_exist_ok=True)
        self.databases = around.databases
        self.database = around.databases.fresh() if around.databases else None
        began = time.perf_counter()
        self.child = Child(
            f"arm {arm.name!r}",
            serve_arguments(arm, around.placement.get("server", ())),
            log=around.logs / f"{arm.name}.log",
            env={
                "DUEL_APP_DATA": str(self.data),
                "DUEL_APP_UPSTREAM": f"{around.slow_url}/{stream}/",
                "DUEL_APP_DATABASE": self.database_url or "",
                # FastAPI traces by itself once a provider is configured; that would be measured too.
                "OTEL_SDK_DISABLED": "true",
                **arm.env,
            },
            cwd=arm.cwd,
            python=arm.python,
        )
        try:
            ready = self.child.receive(around.boot_timeout)
            self.port = int(ready["ready"])
            check_origin(arm, ready.get("origin"))
        except BaseException as failure:
            self.stop()
            if not isinstance(failure, ChildFailed):
                raise
            raise ChildFailed(
                f"arm {arm.name!r} ({arm.app}) did not start: {failure}",
                f"{failure.cause or 'it left no message'} (last lines of {self.child.log})",
                failure.hint or hint_for(failure.cause, arm, slow="said nothing" in str(failure)),
            ) from None
        self.boot = time.perf_counter() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def identity(self) -> None:
        """Not needed: nobody starts our servers again."""

    def last_words(self) -> str:
        return self.child.last_words()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str | None:
        """The URL of this trial's own database; None on SQLite, whose file lies in `data`."""
        return self.databases.url_of(self.database) if self.databases and self.database else None

    def heartbeats(self, since: float) -> list[list[list[float]]]:
        """The heartbeats of every worker from `since` on, on perf_counter's clock; none from a server
        that is gone or does not answer, whose failed requests tell enough."""
        try:
            self.child.send({"vitals": since})
            told: list[list[list[float]]] = self.child.receive(HEARTBEAT_TIMEOUT)["vitals"]
        except ChildFailed:
            return []
        return told

    def stop(self) -> None:
        self.child.stop()
        shutil.rmtree(self.data, ignore_errors=True)
        if self.databases and self.database:
            self.databases.drop(self.database)
        self.hooks.after(self.arm, self.logs)


def check_origin(arm: Arm, origin: str | None) -> None:
    """Raises ChildFailed where an arm of a commit was imported from elsewhere: two arms would be the same."""
    if arm.revision is None or origin is None or arm.app_dir is None:
        return
    if not Path(origin).resolve().is_relative_to(Path(arm.app_dir).resolve()):
        raise ChildFailed(
            "it is another version", f"imported from {origin}, and not from {arm.app_dir}",
            "say where the app's package lies in the repository, such as --app-dir src",
        )  # fmt: skip


def hint_for(cause: str, arm: Arm, slow: bool) -> str:
    """What to do about a server that did not start, by its last words, and whether it still tried."""
    if arm.python is not None and "Unknown option: -P" in cause:
        return "the interpreter must be Python 3.11 or later"
    for package in ("uvicorn", "anyio", "uvloop", "httptools"):
        if f"No module named '{package}'" in cause:
            return (
                f"install {package} where {arm.python or 'duel'} looks for packages, or pass "
                f"loop=asyncio,http=h11 for what you do not want"
            )
    longer = ", or pass a longer --boot-timeout" if slow else ""
    return f"run `duel check` to try the arms without load{longer}"


def serve_arguments(arm: Arm, cpus: tuple[int, ...] = (), port: int = 0) -> list[str]:
    """The command line of serve.py for an arm."""
    arguments = [str(SERVE), arm.app, "--app-dir", arm.app_dir or str(ROOT), "--port", str(port)]
    arguments += arm.serving.arguments()
    if cpus:
        arguments += ["--cpus", ",".join(map(str, cpus))]
    return arguments


def seed(directory: Path, databases: Databases | None = None) -> None:
    """Build the deterministic data in `directory`, and in the databases' template where there is one."""
    command = [sys.executable, "-P", "-m", "shared_models.seed", str(directory)]
    env = {**os.environ, **OUR_PACKAGES}
    env.pop("DUEL_APP_DATABASE", None)
    if databases:
        env["DUEL_APP_DATABASE"] = databases.url_of(databases.template)
    done = run_command(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildFailed("the database could not be seeded", done.stderr.strip()[-400:])


def serve_alone(arm: Arm, host: str, port: int, database: str | None = None) -> int:
    """Serve one arm in the foreground, with data and a slow service, until it ends; its exit code."""
    with ExitStack() as opening:
        logs = opening.enter_context(tempfile.TemporaryDirectory(prefix="duel-logs-"))
        around = opening.enter_context(Surroundings(Path(logs), {}, database))
        command = [sys.executable, "-P", *serve_arguments(arm, port=port), "--host", host, "--alone"]
        env = {"DUEL_APP_DATA": str(around.seeded), "DUEL_APP_UPSTREAM": f"{around.slow_url}/alone/"}
        if around.databases:
            env["DUEL_APP_DATABASE"] = around.databases.url_of(around.databases.fresh())
        try:
            return run_command(command, env={**os.environ, **env, **arm.env}, check=False).returncode
        except KeyboardInterrupt:
            return 0
