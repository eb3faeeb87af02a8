"""One arm served in the foreground, as `duel serve` does."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from loadtests.errors import PlanError
from loadtests.plan.arms import Arm
from loadtests.serving.command import serve_arguments, variables
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.services.redis_databases import RedisDatabases
from loadtests.serving.services.workers import QueueWorkers
from loadtests.system.processes import Child, end, started_by


def serve_alone(arm: Arm, host: str, port: int, database: str | None = None, redis: str | None = None) -> int:
    """Serve one arm in the foreground, with data and a slow service, until it ends; its exit code.
    Raises PlanError for a server that others started."""
    if arm.url is not None:
        raise PlanError(f"{arm.url} is an external server: there is nothing to serve")
    with ExitStack() as opening:
        logs = opening.enter_context(tempfile.TemporaryDirectory(prefix="duel-logs-"))
        environment = opening.enter_context(ServingEnvironment(Path(logs), {}, database, redis))
        kept, cached = environment.databases, environment.redis_databases
        number = cached.fresh() if cached else None
        env = environment.variables(
            environment.seeded,
            "alone",
            kept.url_of(kept.fresh()) if kept else None,
            cached.url_of(number) if cached and number is not None else None,
        )
        if cached and number is not None:
            opening.enter_context(working(arm, cached, number, Path(logs)))
        command = [
            arm.python or sys.executable,
            "-P",
            *serve_arguments(arm, port=port),
            "--host",
            host,
            "--alone",
        ]
        return awaited(command, {**os.environ, **env, **variables(arm, environment.scratch)}, arm.cwd)


@contextmanager
def working(arm: Arm, databases: RedisDatabases, number: int, logs: Path) -> Iterator[None]:
    """What does the jobs of an arm's queue, as long as the block lasts. Raises ChildFailed."""
    unfinished = partial(databases.unfinished_jobs, number)
    workers = QueueWorkers.started(arm, databases.url_of(number), unfinished, logs, ())
    try:
        with workers.working():
            yield
    finally:
        workers.stop()


def awaited(command: Sequence[str], env: Mapping[str, str], cwd: str | None) -> int:
    """The exit code of a process that is ended like a server of a run when this one is interrupted: 0."""
    # Ctrl-C reaches us alone: pools of the app would end before it.
    process = subprocess.Popen(command, env=env, cwd=cwd, start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        started = started_by(process)
        process.terminate()
        end(process, started, Child.grace)
