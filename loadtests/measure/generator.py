"""The parent's side of the load generator: how it is started, and its messages."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from loadtests.cpus import cpus_flag
from loadtests.errors import ChildFailed
from loadtests.plan.options import LOCUST_ARG, RunOptions
from loadtests.plan.plan import Plan
from loadtests.plan.workers.access import MasterAddress, users_digest
from loadtests.records.arrays import read_samples
from loadtests.records.samples import Samples
from loadtests.records.trial import ArrayFile
from loadtests.system import placement
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, Child
from loadtests.system.tracebacks import why

SLACK = 90.0
"""Seconds beyond its planned time after which a generator without a response is given up."""


@dataclass(frozen=True)
class GeneratorOptions:
    """How load is made."""

    generators: int = 1
    """Processes that make it."""
    locustfile: str | None = None
    """The user's own file of Locust users; None: the built-in ones."""
    canary: str | None = "/ping"
    """The path that a canary can request; None: no canary."""
    allow_remote: bool = False
    """Whether load may leave this machine."""
    locust_args: Sequence[str] = ()
    """Words of the file's own options."""
    listen: MasterAddress | None = None
    """Where the processes join, from other machines; None: they are started here."""
    secret_file: str | None = None
    users: str | None = None
    """The digest of the file and of what it imports, which theirs must have."""

    @classmethod
    def of(cls, plan: Plan, options: RunOptions) -> Self:
        own = plan.locustfile
        return cls(
            plan.generators, own.file if own else None, plan.canary, options.allow_remote,
            options.locust_args, options.listen, options.secret_file,
            users_digest(own.digest, own.helpers.values()) if own else None,
        )  # fmt: skip

    @property
    def local(self) -> int:
        """How many processes of this machine make load; with others, one leads them."""
        return self.generators if self.listen is None else 1

    def arguments(self) -> list[str]:
        """The command line of generator.py, or of the fleet where several processes make the load."""
        alone = self.generators == 1 and self.listen is None
        words = ["-m", "loadtests.load.generator" if alone else "loadtests.load.fleet", *self.flags()]
        words += [] if alone else ["--size", str(self.generators)]
        words += ["--canary", self.canary] if self.canary else []
        words += ["--listen", str(self.listen)] if self.listen else []
        return [*words, "--users-digest", self.users] if self.listen and self.users else words

    def flags(self) -> list[str]:
        """Those that a worker has as well."""
        words = ["--locustfile", self.locustfile] if self.locustfile else []
        words += ["--secret-file", self.secret_file] if self.secret_file else []
        return [*words, "--allow-remote"] if self.allow_remote else words

    def variables(self) -> dict[str, str]:
        """What a generator and a worker find in their environment: our packages first, then what the user's
        locustfile finds under Locust as well; the words of its options."""
        return {**import_path(os.environ), LOCUST_ARG: shlex.join(self.locust_args)}


def generator(logs: Path, placement: placement.Placement, options: GeneratorOptions | None = None) -> Child:
    """The load generator's process, alone or with workers; its first message names its scenarios."""
    chosen = options or GeneratorOptions()
    arguments = [*chosen.arguments(), *cpus_flag(placement.get("generator", ()))]
    return Child("the load generator", arguments, logs / "generator.log", env=chosen.variables())


def import_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Our packages first, then what the user's locustfile finds under Locust as well."""
    ours, theirs = OUR_PACKAGES["PYTHONPATH"], environment.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([ours, theirs] if theirs else [ours])}


def known_scenarios(file: str | None = None, locust_args: Sequence[str] = ()) -> Mapping[str, Any]:
    """What the generator can run: `scenarios` by name, each with whether it writes, thinks and can arrive on
    a schedule, and its endpoints with their weights; `ignored`: what the file asks for besides and does not
    get. `file`: a user's own, with the words of its options. Raises ChildFailed."""
    with (
        tempfile.TemporaryDirectory(prefix="duel-logs-") as logs,
        generator(Path(logs), {}, GeneratorOptions(locustfile=file, locust_args=locust_args)) as child,
    ):
        return child.receive(OWN_BOOT)


def samples_written(path: str | Path, facts: Mapping[str, Any]) -> Samples:
    """The samples that the generator has written to `path`, as its `done` message says. Raises one of
    `files.DAMAGE`."""
    return read_samples(Path(path), ArrayFile.model_validate(facts["arrays"]["samples"]))


class ScenarioFailed(ChildFailed):
    """A scenario's own code raised."""


def expect(child: Child, event: str, timeout: float) -> dict[str, Any]:
    """The child's next message, which must be `event`. Raises ChildFailed."""
    message = child.receive(timeout)
    if message.get("event") == "failed":
        raise ScenarioFailed(str(message["why"]), cause=why(child.log_text(), str(Path.cwd())).cause)
    if message.get("event") != event:
        raise ChildFailed(
            f"{child.name} sent {message.get('event')!r} instead of {event!r}", cause=child.log_tail()
        )
    return message
