"""What all servers of a run share: the seeded data, the databases, the slow service."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from subprocess import run as run_command
from types import TracebackType
from typing import Any, Self
from urllib.request import ProxyHandler, build_opener

from loadtests.errors import ChildFailed
from loadtests.plan.arms import Arm
from loadtests.plan.database_url import OWN_REDIS, SERVERS, server_backend
from loadtests.plan.options import NO_HOOKS, Hooks
from loadtests.plan.profiles import BOOT_TIMEOUT
from loadtests.records.run import Run
from loadtests.serving.checkout import BaseCheckout
from loadtests.serving.command import serve_arguments
from loadtests.serving.databases.run_databases import Databases
from loadtests.serving.databases.servers import databases, own_server
from loadtests.serving.services.redis_databases import RedisDatabases, own_redis
from loadtests.serving.used.files import UsedFiles
from loadtests.serving.versions import Sources
from loadtests.system.placement import Placement
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, Child
from loadtests.system.scratch import scratch_directory

DIRECT = build_opener(ProxyHandler({}))
"""Opens addresses of our own, also where the environment names a proxy."""


class ServingEnvironment:
    """What all servers of a run share: the seeded data, of which each gets a copy, and the slow service.

    `database` as `--database` has it: None for SQLite, `postgresql` or `mysql` for a server that is started
    for the run, or the URL of one. `redis`: None, OWN_REDIS for a server that is started for the run, or
    the URL of one.
    """

    def __init__(
        self,
        logs: Path,
        placement: Placement,
        database: str | None = None,
        redis: str | None = None,
        *,
        hooks: Hooks = NO_HOOKS,
        allow_remote: bool = False,
        boot_timeout: float = BOOT_TIMEOUT,
        serve_flags: Sequence[str] = (),
    ) -> None:
        self.logs = logs
        self.hooks = hooks
        self.allow_remote = allow_remote
        """Whether an arm may be a server on another machine."""
        self.boot_timeout = boot_timeout
        """Seconds that a server may take until it accepts requests."""
        self.serve_flags = serve_flags
        """Of serve.py, beside those of an arm."""
        self.checkout: BaseCheckout | None = None
        """Where the arms of a base are served from; None where the plan has no base."""
        self.sources = Sources()
        self.files = UsedFiles()
        self.keeps = False
        """Whether the run records its modules and files."""
        self.begun = False
        """Whether there is a run, whose directory keeps the logs."""
        self.arms: Sequence[Arm] = ()
        """Those whose files can change: without a base's, which are a commit's."""
        self.placement = placement
        self.database = database
        self.databases: Databases | None = None
        self.redis = redis
        self.redis_databases: RedisDatabases | None = None
        self.pids: list[int] = []
        """Other processes than the servers whose CPU time is ours; see `all_known`."""
        self.all_known = True
        """False where those of a database or of Redis cannot be distinguished from foreign ones."""
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            # In memory where that is possible, so that a busy disk is not measured.
            shm = Path("/dev/shm")  # noqa: S108  # a private directory is made in it
            roomy = shm.is_dir() and os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 2**29
            self.scratch = opening.enter_context(scratch_directory(parent=shm if roomy else None))
            self.seeded = self.scratch / "seeded"
            if self.database is not None:
                self.open_databases(self.database, opening)
            if self.redis is not None:
                self.open_redis(self.redis, opening)
            seed(self.seeded, self.databases)
            slow = Arm(name="slow-service", app="loadtests.serving.slow_service:create_app")
            arguments = serve_arguments(slow, self.placement.get("others", ()))
            log = self.logs / "slow-service.log"
            self.slow_child = opening.enter_context(Child("the slow service", arguments, log))
            self.slow_url = f"http://127.0.0.1:{self.slow_child.receive(OWN_BOOT)['ready']}"
            self.pids.append(self.slow_child.pid)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def open_databases(self, database: str, opening: ExitStack) -> None:
        """The databases of the run, on the server that was given or on one started for it."""
        if database in SERVERS:
            cpus = self.placement.get("others", ())
            url, keeper = opening.enter_context(own_server(server_backend(database), self.logs, cpus))
            self.databases = opening.enter_context(databases(url))
            self.pids.append(keeper.pid)
            return
        self.databases = opening.enter_context(databases(database))
        server = self.databases.server_pid()
        self.all_known = server is not None
        self.pids += [server] if server is not None else []

    def open_redis(self, redis: str, opening: ExitStack) -> None:
        """The Redis databases of the run, on the server that was given or on one started for it."""
        if redis == OWN_REDIS:
            cpus = self.placement.get("others", ())
            url, keeper = opening.enter_context(own_redis(self.logs, cpus))
            self.redis_databases = opening.enter_context(RedisDatabases(url))
            self.pids.append(keeper.pid)
            return
        self.redis_databases = opening.enter_context(RedisDatabases(redis))
        server = self.redis_databases.server_pid()
        self.all_known = self.all_known and server is not None
        self.pids += [server] if server is not None else []

    def begin(self, run: Run, directory: Path) -> None:
        """Digest the files beside the arms' code, or continue from what the run's records in `directory`
        hold."""
        checkout, self.begun = self.checkout, True
        self.arms = [arm for arm in run.plan.arms if checkout is None or arm.name not in checkout.arms]
        salt = run.sealed.salt if run.sealed is not None else ""
        self.keeps = not run.trials or run.files is not None
        if run.trials:
            self.sources.digests.update(run.sources or {})
            self.files.recall(run.files, salt)
        else:
            self.files.survey(self.arms, salt, directory)

    def facts(self) -> dict[str, Any]:
        """What is known by now of the arms' modules and files: apps import more while they serve. Nothing
        where an earlier version began the run."""
        return {"sources": {**self.sources.digests}, "files": self.files.record} if self.keeps else {}

    def place(self, log: Path) -> str:
        """Where a log can be read, as the end of a sentence; "" for one that is removed in the end."""
        return f" (from {log})" if self.begun else ""

    @property
    def database_version(self) -> str:
        """`SQLite 3.46.1`, `PostgreSQL 15.9` or `MariaDB 10.11.6`; with `, Redis 7.0.15` if there is one."""
        found = self.databases.version if self.databases else f"SQLite {sqlite3.sqlite_version}"
        return f"{found}, {self.redis_databases.version}" if self.redis_databases else found

    def variables(self, data: Path, stream: str, database: str | None, redis: str | None) -> dict[str, str]:
        """What a server finds in its environment, beside its arm's own variables: `data` with the files,
        `stream` of the slow service, and the URLs of a database and of Redis where it has them."""
        return {
            "DUEL_APP_DATA": str(data),
            "DUEL_APP_UPSTREAM": f"{self.slow_url}/{stream}/",
            # Empty rather than absent: this process's own environment may have them.
            "DUEL_APP_DATABASE": database or "",
            "DUEL_APP_REDIS": redis or "",
            # FastAPI traces once a provider is configured, which would be measured too.
            "OTEL_SDK_DISABLED": "true",
        }

    def delays_given(self, stream: str) -> list[float]:
        """The delays that the slow service logged for `stream`, in seconds; removes them there. Raises
        ChildFailed."""
        try:
            with DIRECT.open(f"{self.slow_url}/{stream}/log", timeout=10) as answer:
                delays: list[float] = json.load(answer)
        except (OSError, ValueError) as error:
            raise ChildFailed(
                "lost the slow service", cause=self.slow_child.log_tail() or str(error)
            ) from None
        return delays


def seed(directory: Path, databases: Databases | None = None) -> None:
    """Build the deterministic data in `directory`, and in the databases' template where there is one."""
    command = [sys.executable, "-P", "-m", "shared_models.seed", str(directory)]
    env = {**os.environ, **OUR_PACKAGES}
    env.pop("DUEL_APP_DATABASE", None)
    if databases:
        env["DUEL_APP_DATABASE"] = databases.url_of(databases.template)
    done = run_command(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildFailed("the database could not be seeded", cause=done.stderr.strip()[-400:])
