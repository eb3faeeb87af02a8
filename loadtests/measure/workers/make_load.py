"""A load generator for a run on another machine: the parent's side."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure.generator import GeneratorOptions
from loadtests.plan.workers.access import MasterAddress, shared_secret
from loadtests.system.placement import allow_connections
from loadtests.system.processes import Child

LONGEST = 86_400.0
"""Seconds of a trial, and of what a run does between two: longer than any."""


def make_load(
    address: MasterAddress, options: GeneratorOptions, told: Callable[[str], None] = lambda _: None
) -> None:
    """Make load for the run that listens at an address, until it is over. `told` is called with `joined` and
    `silent`, the latter where the run is looked for again. Raises PlanError, and ChildFailed where there is
    no such run within five minutes, or it refuses this worker."""
    address.check("--master", options.allow_remote)
    shared_secret(options.secret_file, os.environ)
    allow_connections()
    with tempfile.TemporaryDirectory(prefix="duel-logs-") as logs:
        arguments = ["-m", "loadtests.load.fleet.join", str(address), *options.flags()]
        log = Path(logs) / "worker.log"
        with Child("the load generator", arguments, log, env=options.variables()) as child:
            last = ""
            while (message := child.receive(LONGEST))["event"] != "over":
                event = message["event"]
                if event in ("refused", "absent"):
                    raise refusal(address, message)
                if event != "dismissed":
                    # It joins again for each trial.
                    told(event) if event != last else None
                    last = event


def refusal(address: MasterAddress, message: dict[str, Any]) -> ChildFailed | PlanError:
    """Why there is nothing to do here."""
    if message["event"] == "absent":
        return ChildFailed(
            f"no run listens at {address}",
            hint="start `duel run --listen` there first, and let this machine connect to that port",
        )
    if message["what"] == "secret":
        return PlanError(
            f"the run at {address} has another secret, or is none of duel",
            hint="use the same --secret-file on all machines",
        )
    ours, theirs = message.get("worker"), message.get("master")
    name = {"duel": "fastapi-duel", "locust": "Locust"}.get(message["what"], f"--{message['what']}")
    if ours is None and theirs is None:
        return PlanError(f"the run at {address} has other words of {name}", hint="pass the same ones here")
    shown = f"{theirs or 'none'} there, {ours or 'none'} here"
    return PlanError(
        f"the run at {address} has another {name}: {shown}",
        hint="the same code must make the load on all machines: install or copy it",
    )
