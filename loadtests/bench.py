"""What a run keeps open: the surroundings of its servers and the generator, and what is measured of them
before the rounds."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from loadtests import machine
from loadtests.circumstances import Circumstances
from loadtests.plan import Plan
from loadtests.processes import OUR_PACKAGES, Child, ChildFailed
from loadtests.records import Beats, Calibration, Samples, read_samples
from loadtests.servers import BOOT_TIMEOUT, Surroundings, Target

CEILING_USERS = 64
CEILING_WINDOW = 0.3
"""Seconds for which the generator shows its best rate, once for every scenario."""
CANARY = "canary"
CALIBRATION_USERS = (1, 40)
"""One shows what a request takes by itself; forty, as many as there are thread tokens, what it costs among
others."""
CALIBRATION_WARMUP = 0.15
CALIBRATION_WINDOW = 0.4
"""Seconds at least, and as long as every user needs for so many requests."""
CALIBRATION_TURNS = 4
ORDINARY = Circumstances()
SLACK = 90.0
"""Seconds beyond its planned time after which a silent generator is given up."""


class Bench:
    """What a run keeps open: the surroundings of its servers, and the generator."""

    def __init__(self, logs: Path, circumstances: Circumstances = ORDINARY, plan: Plan | None = None) -> None:
        """`plan`: what is going to be measured; None for a look at the machine alone."""
        self.making = Making.of(plan, circumstances.allow_remote) if plan else Making()
        self.connections = machine.allow_connections()
        placement = machine.place(machine.cpus(), self.making.generators)
        self.around = Surroundings(logs, placement, circumstances.database)
        self.around.allow_remote = circumstances.allow_remote
        self.around.hooks = circumstances.hooks
        if plan is not None:
            self.around.boot_timeout = plan.boot_timeout
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            # Begun first and heard last: it starts while the data are seeded.
            self.generator = opening.enter_context(
                generator(self.around.logs, self.around.placement, self.making)
            )
            opening.enter_context(self.around)
            self.scenarios: Mapping[str, Any] = self.generator.receive(BOOT_TIMEOUT)["scenarios"]
            self.clocks = machine.Clocks([self.generator.pid, *self.around.pids], self.around.all_known)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def ceilings(self, users: Mapping[str, int], seed: int = 0) -> dict[str, float]:
        """By scenario, the requests a second that the generator makes of a server that does nothing with
        so many users; without those that cannot do with an empty answer."""
        arguments = ["-m", "loadtests.null_server"]
        if self.around.placement:
            arguments.append(",".join(map(str, self.around.placement["server"])))
        log = self.around.logs / "null-server.log"
        found = {}
        with Child("the null server", arguments, log, env=OUR_PACKAGES) as child:
            host = f"http://127.0.0.1:{child.receive(BOOT_TIMEOUT)['ready']}"
            for scenario, most in users.items():
                try:
                    glance = self.glance(
                        host, scenario, most, warmup=0.2, window=CEILING_WINDOW, drain=1.0,
                        seed=seed, warmup_turns=0, window_turns=0,
                    )  # fmt: skip
                except ScenarioFailed:
                    # Somebody's own may read the answer, and this one says nothing.
                    continue
                found[scenario] = int(glance.ended.sum()) / glance.window
        return found

    def calibrations(self, server: Target, plan: Plan) -> list[Calibration]:
        """An arm under one user of every scenario, and under a few; and what the canary meets where there is
        no load."""
        canary = (CANARY,) if plan.canary is not None else ()
        scenarios = dict.fromkeys((*canary, *(cell.scenario for cell in plan.cells)))
        return [
            self.calibration(server, scenario, users, plan.seed % 2**31)
            for scenario in scenarios
            for users in CALIBRATION_USERS
        ]

    def calibration(self, server: Target, scenario: str, users: int, seed: int) -> Calibration:
        glance = self.glance(
            server.url, scenario, users, warmup=CALIBRATION_WARMUP, window=CALIBRATION_WINDOW, drain=5.0,
            seed=seed, warmup_turns=2, window_turns=CALIBRATION_TURNS,
        )  # fmt: skip
        told = server.heartbeats(glance.opened)
        beats = Beats.of(told, glance.opened)
        ok, requests = glance.samples.ok & glance.ended, int(glance.ended.sum())
        cpu, hops = beats.spent("cpu", glance.window), beats.spent("hops", glance.window)
        return Calibration(
            arm=server.arm.name,
            scenario=scenario,
            users=users,
            throughput=int(ok.sum()) / glance.window,
            service_time=float(glance.samples.service_time[ok].mean()) if ok.any() else None,
            cpu=cpu / requests if cpu is not None and requests else None,
            hops=hops / requests if hops is not None and requests else None,
            lag=float(np.quantile(beats.lag, 0.9)) if len(beats) else None,
        )

    def glance(self, host: str, scenario: str, users: int, **options: Any) -> Glance:
        """Load a server for a moment; nothing of it is kept."""
        path = self.around.scratch / "glance.npz"
        self.generator.send(
            {"host": host, "scenario": scenario, "users": users, "samples": str(path), **options}
        )
        opened = expect(self.generator, "opened", SLACK)["at"]
        expect(self.generator, "closed", SLACK)
        window = expect(self.generator, "done", SLACK)["window"]
        return Glance(opened, window, read_samples(path))


@dataclass(frozen=True)
class Glance:
    """A short load's samples, and when its window opened on perf_counter's clock."""

    opened: float
    window: float
    samples: Samples

    @property
    def ended(self) -> NDArray[np.bool_]:
        """The requests that ended in the window."""
        found: NDArray[np.bool_] = (self.samples.end >= 0.0) & (self.samples.end < self.window)
        return found


def most_users(plan: Plan) -> dict[str, int]:
    """The most users that each scenario is planned with."""
    users: dict[str, int] = {}
    for cell in plan.cells:
        users[cell.scenario] = max(users.get(cell.scenario, 0), cell.load.users or CEILING_USERS)
    return users


@dataclass(frozen=True)
class Making:
    """How load is made."""

    generators: int = 1
    """Processes that make it."""
    scenarios: str | None = None
    """Somebody's own file of Locust users; None: ours."""
    canary: str | None = "/ping"
    """The path that a canary can ask for; None: there is none."""
    allow_remote: bool = False
    """Whether it may leave this machine."""

    @classmethod
    def of(cls, plan: Plan, allow_remote: bool) -> Self:
        file = plan.scenarios.file if plan.scenarios else None
        return cls(plan.generators, file, plan.canary, allow_remote)

    def arguments(self) -> list[str]:
        """The command line of generator.py, or of fleet.py where several processes make the load."""
        alone = self.generators == 1
        words = ["-m", "loadtests.generator" if alone else "loadtests.fleet"]
        words += [] if alone else ["--size", str(self.generators)]
        words += ["--scenarios", self.scenarios] if self.scenarios else []
        words += ["--canary", self.canary] if self.canary else []
        return [*words, "--allow-remote"] if self.allow_remote else words


def generator(logs: Path, placement: machine.Placement, making: Making | None = None) -> Child:
    """The load generator's process, alone or with workers; its first message names its scenarios."""
    arguments = (making or Making()).arguments()
    if placement:
        arguments += ["--cpus", ",".join(map(str, placement["generator"]))]
    return Child("the load generator", arguments, logs / "generator.log", env=OUR_PACKAGES)


def known_scenarios(file: str | None = None) -> Mapping[str, Any]:
    """What the generator can run, by name: whether it writes, thinks and can arrive on a schedule, and its
    endpoints with their weights. `file`: somebody's own. Raises ChildFailed."""
    with (
        tempfile.TemporaryDirectory(prefix="duel-logs-") as logs,
        generator(Path(logs), {}, Making(scenarios=file)) as child,
    ):
        scenarios: Mapping[str, Any] = child.receive(BOOT_TIMEOUT)["scenarios"]
    return scenarios


class ScenarioFailed(ChildFailed):
    """A scenario's own code raised."""


def expect(child: Child, event: str, timeout: float) -> dict[str, Any]:
    """The child's next message, which must be `event`. Raises ChildFailed."""
    message = child.receive(timeout)
    if message.get("event") == "failed":
        raise ScenarioFailed(str(message["why"]), child.last_words())
    if message.get("event") != event:
        raise ChildFailed(
            f"{child.name} said {message.get('event')!r} instead of {event!r}", child.last_words()
        )
    return message
