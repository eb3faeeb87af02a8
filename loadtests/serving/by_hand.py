"""One arm served in the foreground, as `duel serve` does."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from subprocess import run as run_command

from loadtests.errors import PlanError
from loadtests.plan.arms import Arm
from loadtests.serving.command import serve_arguments, variables
from loadtests.serving.environment import ServingEnvironment


def serve_alone(arm: Arm, host: str, port: int, database: str | None = None, redis: str | None = None) -> int:
    """Serve one arm in the foreground, with data and a slow service, until it ends; its exit code.
    Raises PlanError for a server that others started."""
    if arm.url is not None:
        raise PlanError(f"{arm.url} is an external server: there is nothing to serve")
    with ExitStack() as opening:
        logs = opening.enter_context(tempfile.TemporaryDirectory(prefix="duel-logs-"))
        environment = opening.enter_context(ServingEnvironment(Path(logs), {}, database, redis))
        command = [
            arm.python or sys.executable,
            "-P",
            *serve_arguments(arm, port=port),
            "--host",
            host,
            "--alone",
        ]
        env = {
            "DUEL_APP_DATA": str(environment.seeded),
            "DUEL_APP_UPSTREAM": f"{environment.slow_url}/alone/",
        }
        if environment.databases:
            env["DUEL_APP_DATABASE"] = environment.databases.url_of(environment.databases.fresh())
        if environment.redis_databases:
            env["DUEL_APP_REDIS"] = environment.redis_databases.url_of(environment.redis_databases.fresh())
        try:
            env = {**os.environ, **env, **variables(arm, environment.scratch)}
            return run_command(command, env=env, cwd=arm.cwd, check=False).returncode
        except KeyboardInterrupt:
            return 0
