"""The load generator: Locust as a library, in a process of its own.

Reads one JSON line per trial or inquiry from stdin, and has each done by a fresh process of its own: loads or
asks the server it names, writes the samples or answers to the file it names and responds with what happened.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import gevent

import loadtests.load.patched  # noqa: F401  (before any other import of Locust)
from loadtests.cpus import bind
from loadtests.load.canary import Beside
from loadtests.load.guard import guard
from loadtests.load.inquiry import inquire
from loadtests.load.pacing.sleepers import watch_sleep
from loadtests.load.pacing.waits import paced, pause, thinks
from loadtests.load.trial_load import ScenarioRaised, TrialLoad, arrays
from loadtests.load.user_files import Unusable, is_plain, light_user
from loadtests.load.world.fresh import FreshProcess, Job, end_alike
from loadtests.load.world.locustfile import Scenarios, World, builtin_world, helpers, world_of
from loadtests.load.world.messages import MESSAGES, tell
from loadtests.plan.cells import CANARY
from loadtests.plan.options import LOCUST_ARG
from loadtests.plan.request import Inquiry, TrialRequest
from loadtests.records.arrays import write_samples


def load(request: TrialRequest, world: World) -> dict[str, Any]:
    """Run one trial alone: warm-up, window, drain. Returns the facts that are not in the samples. Raises
    ScenarioRaised."""
    trial_load = TrialLoad(request, world)
    beside = Beside(request, world.scenarios.get(CANARY))
    beside.start()
    rate = trial_load.warm()
    opened = trial_load.open()
    tell("opened", at=opened)
    gevent.sleep(trial_load.model.window(rate))
    closed = trial_load.close()
    tell("closed", at=closed)
    try:
        trial_load.end()
    finally:
        drained = perf_counter()
        light = beside.end(opened, closed)
    tell("drained")
    samples = write_samples(Path(request.samples), trial_load.samples(opened))
    return {
        "arrays": arrays(samples, light),
        "warmup": opened - trial_load.began,
        "window": closed - opened,
        "drain": drained - closed,
        **trial_load.facts(opened, closed),
    }


def described(scenarios_by_name: Scenarios) -> dict[str, Any]:
    """What the parent needs to know of the scenarios: whether they write, think (for how many seconds on
    average, where that is known, and whether a task's time is part of it), and can arrive on a schedule, and
    their mix."""
    names = {user.tasks[0]: name for name, user in scenarios_by_name.items() if len(set(user.tasks)) == 1}
    return {
        name: {
            "writes": bool(getattr(user, "writes", False)),
            "thinks": thinks(user),
            "pause": pause(user),
            "paced": paced(user),
            "plain": is_plain(user),
            "about": (user.__doc__ or "").strip() if "__doc__" in vars(user) else "",
            "endpoints": {
                names.get(task) or str(getattr(task, "__name__", task)): count
                for task, count in Counter(user.tasks).items()
            },
        }
        for name, user in scenarios_by_name.items()
        if name != CANARY
    }


def options() -> argparse.ArgumentParser:
    """The flags of a generator, which a fleet passes on to its workers. The words of the file's own options
    are in the environment."""
    parser = argparse.ArgumentParser(description="Make load: one trial request or inquiry per line on stdin.")
    parser.add_argument("--cpus", help="comma-separated CPUs to run on")
    parser.add_argument("--locustfile", help="a file of Locust users, instead of the built-in ones")
    parser.set_defaults(locust_arg=shlex.split(os.environ.get(LOCUST_ARG, "")))
    parser.add_argument("--canary", help="the path that a canary requests")
    parser.add_argument("--secret-file", help="a file with what workers on other machines share with a run")
    parser.add_argument("--allow-remote", action="store_true", help="may connect to other machines")
    return parser


def prepare(chosen: argparse.Namespace) -> None:
    """Set this process up by its flags."""
    MESSAGES.keep_apart()
    bind(chosen.cpus)
    if not chosen.allow_remote:
        guard()
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("locust").setLevel(logging.ERROR)
    gc.set_threshold(50_000, 20, 100)
    watch_sleep()
    # What has been imported is shared with every process that is forked from this one.
    gc.collect()
    gc.freeze()


def world(chosen: argparse.Namespace) -> World:
    """What this process can run: the file's state is loaded again by each process. Ends it where the file
    cannot be used."""
    try:
        found = world_of(chosen.locustfile, chosen.locust_arg) if chosen.locustfile else builtin_world()
    except Unusable as unusable:
        sys.exit(str(unusable))
    if chosen.canary:
        found.scenarios[CANARY] = light_user(chosen.canary, "canary")
    return found


def alone(chosen: argparse.Namespace) -> Job:
    """Get ready to make a whole load in this process."""
    found = world(chosen)
    return lambda line: respond(line, lambda: found, partial(load, world=found))


def introduce(chosen: argparse.Namespace) -> Job:
    """Get ready to tell what there is to run."""
    before = frozenset(sys.modules)
    found = world(chosen)
    beside = helpers(before, chosen.locustfile) if chosen.locustfile else {}
    told = {"ignored": list(found.ignored), "helpers": beside}
    return lambda _: tell("ready", scenarios=described(found.scenarios), **told)


def serve(chosen: argparse.Namespace, ready: Callable[[], Job], *before: Callable[[], Job]) -> None:
    """Do what the lines on stdin ask, each in a process that got `ready` while the one before ended; first
    what is to be done `before`. Ends as one of them does that fails."""
    code = FreshProcess(partial(introduce, chosen)).give("introduce")
    for first in before:
        code = code or FreshProcess(first).give("first")
    # Nothing else runs here between trials: a blocking read does no harm.
    while not code:
        process = FreshProcess(ready)
        line = sys.stdin.readline()
        code = process.give(line)
        if not line:
            return
    end_alike(code)


def main() -> None:
    """`python -m loadtests.load.generator`, with the flags of `options`."""
    chosen = options().parse_args()
    prepare(chosen)
    serve(chosen, partial(alone, chosen))


def respond(line: str, found: Callable[[], World], make: Callable[[TrialRequest], dict[str, Any]]) -> None:
    """Do what the parent asks in a line, and tell it what happened. `found`: what there is to ask; `make`
    runs a trial."""
    inquiry = Inquiry.read(line)
    try:
        facts = make(TrialRequest.read(line)) if inquiry is None else {"whole": inquire(inquiry, found())}
    except ScenarioRaised as failure:
        tell("failed", why=str(failure))
    except OSError as failure:
        tell("failed", why=f"cannot write what was seen: {failure.strerror or failure}")
    else:
        tell("done", **facts)


if __name__ == "__main__":
    main()
