"""What a locustfile brings, loaded in this process: users, options, and what is not supported."""

from __future__ import annotations

import os
import random
import sys
import sysconfig
from argparse import Namespace
from collections.abc import Collection, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import locust
import numpy as np
from locust import LoadTestShape, User
from locust.argument_parser import get_parser
from locust.env import Environment

from loadtests.load.scenarios import scenarios
from loadtests.load.user_files import Unusable, loaded
from loadtests.records import one_line
from loadtests.records.files import digest

Scenarios = dict[str, type[User]]
"""Scenarios by their names."""

DRAWING = ("locust.user.task", "locust.user.wait_time", "locust.user.markov_taskset")
"""Locust's modules that draw from `random`."""

LOADS = ("num_users", "spawn_rate", "run_time")
"""Locust's options for what a plan decides here."""


@dataclass(frozen=True)
class World:
    """What this process can run."""

    scenarios: Scenarios
    options: Namespace = field(default_factory=Namespace)
    """`environment.parsed_options` of the file's users: Locust's and the file's own, by their defaults, the
    environment, Locust's configuration files and `--locust-arg`."""
    ignored: Sequence[dict[str, str]] = ()
    """What the file asks for and does not get here: kind and name of each."""

    def environment(self, user: type[User], host: str, users: int, drain: float | None = None) -> Environment:
        """Locust's environment for one user class, with the file's listeners; `init` has not been fired."""
        options = Namespace(**{**vars(self.options), "host": host, "num_users": users})
        return Environment(
            user_classes=[user], host=host, stop_timeout=drain, catch_exceptions=False, events=locust.events,
            parsed_options=options,
        )  # fmt: skip


def builtin_world() -> World:
    """Our own scenarios."""
    return World(dict(scenarios()))


def world_of(file: str, arguments: Sequence[str]) -> World:
    """A user's own file, with the words of `--locust-arg`. Raises Unusable, and anything that the file raises
    while it is loaded."""
    users, shapes = loaded(file)
    options = parsed_options(arguments)
    return World(users, options, [*ignored_shapes(shapes), *ignored_counts(users), *ignored_options(options)])


def helpers(before: Collection[str], file: str) -> dict[str, str]:
    """By path, the digest of what a locustfile has imported: the files of all modules that are new since
    `before`, without its own, installed packages and the standard library."""
    outside = tuple(
        sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")
    )
    files = {getattr(sys.modules[name], "__file__", None) for name in sys.modules.keys() - set(before)}
    paths = {Path(file) for file in files if file and not file.startswith(outside)} - {Path(file).resolve()}
    return {str(path): found for path in sorted(paths) if (found := digest(path)) is not None}


def parsed_options(arguments: Sequence[str]) -> Namespace:
    """What Locust's own command would hand to the file. Raises Unusable."""
    parser: Any = get_parser()

    def refuse(message: str) -> None:
        raise Unusable(f"its options: {message}; pass them by --locust-arg")

    parser.error = refuse  # Locust's own ends the process
    try:
        with redirect_stdout(sys.stderr):  # help comes before the error, and the error last
            found: Namespace = parser.parse_args(list(arguments))
    except SystemExit:
        raise Unusable("--locust-arg takes the file's own options, no command") from None
    return found


def ignored_shapes(shapes: Sequence[LoadTestShape]) -> list[dict[str, str]]:
    return [{"kind": "shape", "name": one_line(type(shape).__name__)} for shape in shapes]


def ignored_counts(users: Scenarios) -> list[dict[str, str]]:
    """Weights, where there is more than one class to weigh, and fixed counts."""
    weighed = len({getattr(user, "weight", 1) for user in users.values()}) > 1
    found = [{"kind": "weight", "name": name} for name in users] if weighed else []
    counted = [name for name, user in users.items() if getattr(user, "fixed_count", 0)]
    return found + [{"kind": "fixed-count", "name": name} for name in counted]


def ignored_options(options: Namespace) -> list[dict[str, str]]:
    given = [name for name in LOADS if getattr(options, name, None) is not None]
    return [{"kind": "option", "name": f"--{name.removeprefix('num_').replace('_', '-')}"} for name in given]


def seed_draws(shared: str, own: str) -> None:
    """Seed what is drawn from here on: what Locust draws (the next task, the time to wait) is the same for
    all arms of a round, so that they get the same work; what the file itself draws differs from trial to
    trial, as it does under Locust, where nothing is seeded: names are often meant to be unique."""
    drawn = random.Random(shared)
    for module in DRAWING:
        vars(sys.modules[module])["random"] = drawn
    random.seed(own)
    np.random.seed(random.getrandbits(32))
