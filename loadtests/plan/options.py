"""Options of a run that its records must not hold: secrets, and what the user must allow each time.

The records hold digests of them, so that a run which is resumed gets the same values again.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from loadtests.plan.arms import HIDDEN, PER_SERVER
from loadtests.plan.fields import Frozen, Line
from loadtests.plan.plan import Plan
from loadtests.plan.workers.access import MasterAddress

OURS = "DUEL_APP_DIR"
"""Our own setting app-dir, although it is named like those of the twins."""

INHERITED = (
    "PYTHONPATH", "PYTHONHOME", "PYTHONOPTIMIZE", "PYTHONDEVMODE", "PYTHONASYNCIODEBUG", "PYTHONMALLOC",
    "LD_PRELOAD",
)  # fmt: skip
"""Variables of our own environment that change what every server is, beside those of the twin apps."""

LIBPQ = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER")
"""Variables that complete a database's URL."""

LOCUST_ARG = "DUEL_LOCUST_ARG"
"""Variable of a load generator with the words of the locustfile's own options, as the setting has it: every
user of a machine can read a command line."""

DIGITS = 6
"""Hexadecimal digits of a digest that are kept, see `Sealed`: another value has the same ones with a
probability of 1 in 17 million."""

WORK = 2**15
"""Cost of a digest: what a guess at a secret takes."""


@dataclass(frozen=True)
class Hooks:
    """The words of the user's commands before every start of a server and after its end, as to reset a
    database; empty where there is none."""

    before_trial: Sequence[str] = ()
    after_trial: Sequence[str] = ()


NO_HOOKS = Hooks()


@dataclass(frozen=True)
class RunOptions:
    """Of one command; a run that is resumed gets its own again."""

    database: str | None = None
    """Where the twins' data goes, as ServingEnvironment takes it; its URL may hold a password."""
    hooks: Hooks = NO_HOOKS
    """The user's commands, whose words may hold one."""
    allow_remote: bool = False
    """Whether load may leave this machine."""
    wait: bool = False
    """Whether to wait for the end of another measurement."""
    locust_args: Sequence[str] = ()
    """The words of the locustfile's own options, which may hold a password."""
    redis: str | None = None
    """A Redis server for the twins, as ServingEnvironment takes it; its URL may hold a password."""
    listen: MasterAddress | None = None
    """Where the load generators join, from other machines; None: they are processes of this one."""
    secret_file: str | None = None
    """Holds what these share with the run; None: a variable does."""

    @property
    def in_turn(self) -> Self:
        """The same, for a measurement that follows another one, and waits until others have had their
        turn."""
        return replace(self, wait=True)


class Sealed(Frozen):
    """Digests of the values that a run's records must not hold, by what they are.

    A digest is the start of scrypt (RFC 7914; N = 2^15, r = 8, p = 1: 32 MiB, about 0.1 s per guess) with a
    salt of the run's own. It is cut to so few digits that a long list of passwords holds several that match:
    it shows whether a value has changed, and not which value it is.
    """

    salt: Line
    digests: Mapping[Line, Line]

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Self:
        salt = secrets.token_hex(16)
        return cls(salt=salt, digests={what: digest(salt, what, value) for what, value in values.items()})

    def changed(self, values: Mapping[str, str]) -> tuple[list[str], list[str], list[str]]:
        """What `values` lack, have besides, and have another value of."""
        missing = [what for what in self.digests if what not in values]
        more = [what for what in values if what not in self.digests]
        both = [what for what in self.digests if what in values]
        return missing, more, [w for w in both if digest(self.salt, w, values[w]) != self.digests[w]]


class TrackedFiles(Frozen):
    """The tracked files of a repository, as far as apps of a run may read them."""

    root: Line
    commit: Line
    directories: tuple[Line, ...]
    """Those that count, relative to the root."""
    modified: Mapping[Line, Line] = {}
    """By path, the digest of a file that is not as in the commit; "" of one that is gone."""


class Inputs(Frozen):
    """What a run reads besides what its plan and its records name: a resumed run must find the same."""

    directory: Line
    """The current directory of the run, in which apps are served that name no other."""
    trees: tuple[TrackedFiles, ...] = ()
    packages: Mapping[Line, Mapping[Line, Line]] = {}
    """By interpreter, the version of every package that it has installed."""


def digest(salt: str, what: str, value: str) -> str:
    # `what`, too: equal values of two settings do not show.
    hashed = hashlib.scrypt(
        value.encode("utf-8", "surrogateescape"), salt=f"{salt}/{what}".encode(), n=WORK, r=8, p=1,
        maxmem=2**26, dklen=DIGITS // 2,
    )  # fmt: skip
    return hashed.hex()


def unrecorded(
    plan: Plan, options: RunOptions, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The values that decide what is measured and are not in the plan's record, by what they are, as messages
    name them."""
    values = {
        "--database": options.database or "",
        "--redis-url": options.redis or "",
        "--before-trial": "\0".join(options.hooks.before_trial),
        "--after-trial": "\0".join(options.hooks.after_trial),
        "--locust-arg": "\0".join(options.locust_args),
    }
    for arm in plan.arms:
        recorded = arm.keep_secrets(arm.env)
        values |= {secret(arm.name, key): value for key, value in arm.env.items() if recorded[key] == HIDDEN}
    inherited = (*INHERITED, *(LIBPQ if options.database is not None else ()))
    for key in environment:
        if key in inherited or (key.startswith("DUEL_APP_") and key not in (*PER_SERVER, OURS)):
            values[key] = environment[key]
    # An empty hook is none; an empty variable of an arm is a value.
    return {what: value for what, value in values.items() if value or what.startswith("env.")}


def secret(arm: str, key: str) -> str:
    """What a variable of an arm's environment is called in messages."""
    return f"env.{key} of arm {arm!r}"
