"""What all servers of a run share: the seeded data, the databases, the slow service."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from subprocess import run as run_command
from types import TracebackType
from typing import Any, Self
from urllib.request import urlopen

from loadtests.errors import ChildFailed, PlanError
from loadtests.plan.arms import Arm
from loadtests.plan.database_url import OWN
from loadtests.plan.options import NO_HOOKS, Hooks
from loadtests.plan.profiles import BOOT_TIMEOUT
from loadtests.records.run import Run
from loadtests.serving.checkout import BaseCheckout
from loadtests.serving.command import serve_arguments
from loadtests.serving.postgresql import Databases, own_server
from loadtests.serving.used.files import UsedFiles
from loadtests.serving.used.packages import Versions, differing, installed_packages
from loadtests.serving.versions import Sources
from loadtests.system.placement import Placement
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, Child
from loadtests.system.scratch import OWNER, owner, remove_left_behind

MOST_NAMED = 5
"""Packages that a message names."""


class ServingEnvironment:
    """What all servers of a run share: the seeded data, of which each gets a copy, and the slow service.

    `database` as `--database` has it: None for SQLite, `postgresql` for a server that is started for the
    run, or the URL of one.
    """

    def __init__(
        self,
        logs: Path,
        placement: Placement,
        database: str | None = None,
        *,
        hooks: Hooks = NO_HOOKS,
        allow_remote: bool = False,
        boot_timeout: float = BOOT_TIMEOUT,
    ) -> None:
        self.logs = logs
        self.hooks = hooks
        self.allow_remote = allow_remote
        """Whether an arm may be a server on another machine."""
        self.boot_timeout = boot_timeout
        """Seconds that a server may take until it accepts requests."""
        self.checkout: BaseCheckout | None = None
        """Where the arms of a base are served from; None where the plan has no base."""
        self.sources = Sources()
        self.files = UsedFiles()
        self.packages: dict[str, Versions] | None = None
        """By arm; None where the run did not record them from its start."""
        self.arms: Sequence[Arm] = ()
        """Those whose files can change: without a base's, which are a commit's."""
        self.placement = placement
        self.database = database
        self.databases: Databases | None = None
        self.pids: list[int] = []
        """Other processes than the servers whose CPU time is ours; see `all_known`."""
        self.all_known = True
        """False where the database's processes cannot be distinguished from foreign ones."""
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

    def begin(self, run: Run, directory: Path) -> None:
        """Take stock of what the arms are made of, or compare it with what the run's records in `directory`
        hold. Raises PlanError."""
        checkout = self.checkout
        self.arms = [arm for arm in run.plan.arms if checkout is None or arm.name not in checkout.arms]
        salt = run.sealed.salt if run.sealed is not None else ""
        if run.trials:
            self.sources.digests.update(run.sources or {})
            self.sources.task_queues.update(run.task_queues)
            self.files.recall(run.files, salt)
        else:
            self.files.survey(self.arms, salt, directory)
        if not run.trials or run.packages is not None:
            located = [checkout.located(arm) if checkout else arm for arm in run.plan.arms]
            self.packages = installed_packages(located)
            check_packages(run, self.packages)

    def facts(self) -> dict[str, Any]:
        """What is known of that by now, as a run records it; nothing where an earlier version began it."""
        if self.packages is None:
            return {}
        return {
            "sources": dict(self.sources.digests),
            "files": self.files.record,
            "packages": self.packages,
            "task_queues": dict(self.sources.task_queues),
        }

    @property
    def database_version(self) -> str:
        """`SQLite 3.46.1` or `PostgreSQL 15.9`."""
        return self.databases.version if self.databases else f"SQLite {sqlite3.sqlite_version}"

    def delays_given(self, stream: str) -> list[float]:
        """The delays that the slow service logged for `stream`, in seconds; removes them there. Raises
        ChildFailed."""
        try:
            with urlopen(f"{self.slow_url}/{stream}/log", timeout=10) as answer:  # noqa: S310  # our own http:// address
                delays: list[float] = json.load(answer)
        except (OSError, ValueError) as error:
            raise ChildFailed(
                "lost the slow service", cause=self.slow_child.log_tail() or str(error)
            ) from None
        return delays


def check_packages(run: Run, found: Mapping[str, Versions]) -> None:
    """Raises PlanError where an arm has other packages than the run's records hold."""
    for arm, then in (run.packages or {}).items():
        other = differing(then, found[arm]) if arm in found else []
        if other:
            more = f", and {len(other) - MOST_NAMED} more" if len(other) > MOST_NAMED else ""
            raise PlanError(
                f"cannot resume run {run.id}: arm {arm!r} has other packages: "
                f"{'; '.join(other[:MOST_NAMED])}{more}",
                hint="install the recorded versions again, or start a new run",
            )


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
