"""What a run keeps open: the environment of its servers and the load generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import psutil
from numpy.typing import NDArray

from loadtests.cpus import cpus_flag
from loadtests.measure.calibration import CALIBRATION_WARMUP_TURNS, calibrated, calibration_users, crowd
from loadtests.measure.generator import (
    SLACK,
    GeneratorOptions,
    ScenarioFailed,
    expect,
    generator,
    samples_written,
)
from loadtests.measure.names import Names
from loadtests.measure.prospects.time_limit import TimeLimit
from loadtests.measure.validity import calibration_faults, ceiling_faults, until_undisturbed
from loadtests.measure.watcher import Watcher
from loadtests.plan.options import RunOptions
from loadtests.plan.plan import CalibrationTimes, Plan
from loadtests.plan.profiles import BOOT_TIMEOUT
from loadtests.plan.request import LONGEST, TrialRequest
from loadtests.records.heartbeats import Heartbeats
from loadtests.records.run import Calibration, Ceiling, WorkerHost
from loadtests.records.samples import Samples
from loadtests.records.trial import Apart, Resources, Settling, Trial
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Target
from loadtests.system import accounting
from loadtests.system.placement import allow_connections, cpus, limited, place, shared
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, UNSEEN, Child
from loadtests.system.settling import ENOUGH, clock_of, footprint, settle

DEFAULT_OPTIONS = RunOptions()

MOST_MEMORY = 0.5
"""Fraction of the memory available that the idle servers of all arms may take together."""

ALL_WORK = 3.0
"""CPU seconds of work after a calibration with one user for which its server is observed: as many as two CPUs
can do in that time."""


JOIN = 300.0
"""Seconds that generators on other machines may take to join."""

TICK = 0.01
"""CPU seconds to which the clocks of other processes are precise."""


class Bench:
    """What a run keeps open: the environment of its servers, and the generator."""

    def __init__(self, logs: Path, options: RunOptions = DEFAULT_OPTIONS, plan: Plan | None = None) -> None:
        """`plan`: what will be measured; None for checks that need none."""
        self.generator_options = GeneratorOptions.of(plan, options) if plan else GeneratorOptions()
        self.times = plan.calibration if plan else CalibrationTimes()
        self.limit = TimeLimit(plan)
        self.pauses = plan is None or not plan.no_think
        """Whether users wait between two tasks, as their `wait_time` says."""
        self.probes = count()
        """Numbers the loads before and between the trials."""
        self.connections = allow_connections()
        self.names = Names()
        self.hooks = bool(options.hooks.before_trial or options.hooks.after_trial)
        self.memory: dict[str, int] = {}
        """Bytes that each arm's server needed when it was calibrated."""
        self.crowded = False
        """Whether an earlier part of the run has found that they do not fit the memory together."""
        self.placement = place(cpus(), self.generator_options.local)
        self.every = self.placement if limited() else shared(self.placement)
        """Where the servers of light cells get every CPU."""
        self.environment = ServingEnvironment(
            logs,
            self.placement,
            options.database,
            options.redis,
            hooks=options.hooks,
            allow_remote=options.allow_remote,
            boot_timeout=plan.boot_timeout if plan else BOOT_TIMEOUT,
        )
        self.scenarios: Mapping[str, Any] = {}
        """What the generator can run, once it is ready."""
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            # Started first and awaited last: it boots while the data are seeded.
            self.generator = opening.enter_context(
                generator(self.environment.logs, self.placement, self.generator_options)
            )
            opening.enter_context(self.environment)
            self.scenarios = self.generator.receive(OWN_BOOT)["scenarios"]
            ours = [self.generator.pid, *self.environment.pids]
            self.clocks = accounting.Clocks(ours, self.environment.all_known)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def gather(self, watcher: Watcher) -> tuple[WorkerHost, ...]:
        """The load generators on other machines, once all have joined; none where they are local. Raises
        ChildFailed."""
        if self.generator_options.listen is None:
            return ()
        found: tuple[WorkerHost, ...] = ()
        first = expect(self.generator, "listening", OWN_BOOT)
        watcher.gathers(first["address"], found, first["size"])
        while len(found) < first["size"]:
            told = expect(self.generator, "joined", JOIN + SLACK)
            del told["event"]
            found = (*found, WorkerHost.model_validate(told))
            watcher.gathers(first["address"], found, first["size"])
        return found

    def ceilings(self, users: Mapping[str, int], seed: int = 0) -> list[Ceiling]:
        """What the generator makes with these users of each scenario, without their think time, against a
        server that does nothing: every attempt, see `until_undisturbed`; without scenarios that fail on an
        empty answer, or whose users sleep in their tasks. None for generators on other machines: a network
        lies between them and such a server of ours. Raises ChildFailed."""
        if self.generator_options.listen is not None:
            return []
        log = self.environment.logs / "null-server.log"
        bound = cpus_flag(self.placement.get("server", ()))
        arguments = ["-m", "loadtests.serving.null_server", *bound]
        found: list[Ceiling] = []
        with Child("the null server", arguments, log, env=OUR_PACKAGES) as child:
            host = f"http://127.0.0.1:{child.receive(OWN_BOOT)['ready']}"
            for scenario, most in users.items():
                request = self.request(
                    host, "/", scenario, most, seed, warmup=0.1, warmup_turns=0, window=self.times.ceiling,
                    window_turns=0, longest=0.0, drain=1.0,
                )  # fmt: skip
                # A user's own scenario may read the answer, which is empty here; and one that sleeps in its
                # tasks shows its own pace, not what the generator can make.
                with suppress(ScenarioFailed, UsersSetTheRate):
                    found += until_undisturbed(
                        partial(self.ceiling, request, child.pid), self.limit.repeatable
                    )
        return found

    def ceiling(self, request: TrialRequest, null_server: int) -> Ceiling:
        """One measurement of what the generator can make. Raises ChildFailed, ScenarioFailed, and
        UsersSetTheRate where users pause although their `wait_time` is left out."""
        probe = self.probe(request, null_server)
        if probe.thinks:
            raise UsersSetTheRate
        return Ceiling(
            scenario=request.scenario,
            users=request.users,
            rate=int(probe.ended.sum()) / probe.window,
            faults=ceiling_faults(probe, probe.samples, request.users),
        )

    def calibrations(self, server: Target, plan: Plan) -> list[Calibration]:
        """An arm under one user of every scenario, and under a few where that is needed, without their think
        time; and the canary's response times without load: every attempt, see `until_undisturbed`. Raises
        ChildFailed."""
        scenarios = calibrated(plan)
        if any(map(plan.hands_over, scenarios)):
            server.start_workers()
        self.names.add_routes(server.routes())
        last = settle(clock_of(server.pid))
        longest = self.limit.stretch(len(scenarios) * len(calibration_users(plan)))

        def once(scenario: str, users: int) -> Calibration:
            nonlocal last
            measured = self.calibration(server, scenario, users, plan.seed % 2**31, last, longest)
            last = measured.after
            return measured

        def attempts(scenario: str, users: int) -> list[Calibration]:
            return until_undisturbed(partial(once, scenario, users), self.limit.repeatable)

        # One user first: what more of them may leave undone must not count as the work of a request alone.
        alone = {scenario: attempts(scenario, 1) for scenario in scenarios}
        few = [
            attempts(scenario, users)
            for scenario, found in alone.items()
            for users in crowd(plan, scenario, found[-1], self.thinks(scenario))
        ]
        return [attempt for found in (*alone.values(), *few) for attempt in found]

    def note_memory(self, server: Target) -> None:
        """Remember what an arm's server needs."""
        found = footprint(server.pid)
        self.memory.update({server.arm.name: found.rss} if found else {})

    def recall(self, trials: Sequence[Trial]) -> None:
        """What the trials of an earlier part of the run have shown."""
        self.names.recall(trials)
        self.crowded = any(trial.apart == "memory" for trial in trials)

    @property
    def apart(self) -> Apart | None:
        """Why the arms of every cell are measured one after another; None where they need not be."""
        if self.hooks:
            # A command may reset what the arms share: the one that is loaded then must not lose it.
            return "hooks"
        if self.crowded:
            return "memory"
        needed, available = sum(self.memory.values()), None
        with suppress(*UNSEEN):
            available = psutil.virtual_memory().available
        return "memory" if available is not None and needed > MOST_MEMORY * available else None

    def thinks(self, scenario: str) -> bool:
        """Whether a scenario's users wait between two tasks."""
        return bool(self.scenarios.get(scenario, {}).get("thinks")) and self.pauses

    def pause(self, scenario: str, served: float) -> float | None:
        """The mean seconds for which they do so after a task of `served` seconds; None where that is not
        known."""
        told = self.scenarios.get(scenario, {}) if self.pauses else {}
        found: float | None = told.get("pause", 0.0)
        return max(0.0, found - served) if found is not None and told.get("paced") else found

    def calibration(
        self,
        server: Target,
        scenario: str,
        users: int,
        seed: int,
        before: Settling | None,
        longest: float = LONGEST,
    ) -> Calibration:
        """An arm under `users` users of one scenario; `before`: what its server did without load; `longest`:
        seconds to which warm-up, window and end may be stretched. Raises ChildFailed."""
        times = self.times
        request = self.request(
            server.url, server.pulse, scenario, users, seed, warmup=times.warmup,
            warmup_turns=CALIBRATION_WARMUP_TURNS,
            window=times.window, window_turns=times.turns, longest=longest,
            drain=min(5.0, max(1.0, longest)),
        )  # fmt: skip
        # A request's cost alone includes the work that it leaves for later: wait until all is done, unless
        # the server is never at rest.
        thorough = users == 1 and before is not None and before.rested
        with server.workers.working():
            beside = server.workers.pids
            probe = self.probe(request, server.pid, ALL_WORK if thorough else ENOUGH, beside)
        beats = Heartbeats.of(server.heartbeats(probe.opened), probe.opened)
        ok = probe.samples.ok & probe.ended
        shares = probe.samples.share_in(0.0, probe.window)
        requests = float(shares.sum())
        cpu, hops = beats.spent("cpu", probe.window), beats.spent("hops", probe.window)
        return Calibration(
            arm=server.arm.name,
            scenario=scenario,
            users=users,
            throughput=float(shares[probe.samples.ok].sum()) / probe.window,
            service_time=float(probe.samples.service_time[ok].mean()) if ok.any() else None,
            cpu=cpu / requests if cpu is not None and requests else None,
            hops=hops / requests if hops is not None and requests else None,
            generator=probe.resources.generator_cpu / requests if requests else None,
            services=probe.services / requests if probe.services is not None and requests else None,
            lag=float(np.quantile(beats.lag, 0.9)) if len(beats) else None,
            faults=calibration_faults(probe, probe.samples, users),
            work=probe.work_per_request,
            before=before,
            after=probe.after,
        )

    def request(
        self, host: str, pulse: str | None, scenario: str, users: int, seed: int, *, warmup: float,
        warmup_turns: int, window: float, window_turns: int, longest: float, drain: float,
    ) -> TrialRequest:  # fmt: skip
        """A closed loop without a canary and without think time, whose samples are not kept. `pulse`: a path
        that is answered at once; None where there is none."""
        return TrialRequest(
            host=host, scenario=scenario, users=users, turn=0.0, rate=None, arrivals=None, warmup=warmup,
            warmup_turns=warmup_turns, window=window, window_turns=window_turns, longest=longest, drain=drain,
            seed=seed, names=f"{seed}/probe/{next(self.probes)}",
            samples=str(self.environment.scratch / "probe.npz"), canary=None, pauses=False,
            pulse=None, pulse_path=pulse,
            **self.names.of(scenario),
        )  # fmt: skip

    def probe(
        self, request: TrialRequest, server: int | None, enough: float = ENOUGH, workers: Sequence[int] = ()
    ) -> Probe:
        """Load a server for a moment, and wait for it to come to rest, or to work for `enough` CPU seconds;
        `server`: its pid, None where it is not known; `workers`: those of its queue. Raises ChildFailed."""
        watch = accounting.Watch(self.clocks.beside(workers), server)
        self.generator.send(asdict(request))
        opened = expect(self.generator, "opened", SLACK)["at"]
        clock = clock_of(server)
        watch.open()
        expect(self.generator, "closed", SLACK)
        use = watch.close()
        expect(self.generator, "drained", SLACK)
        after = settle(clock, enough)
        facts = expect(self.generator, "done", SLACK)
        self.names.note(request.scenario, facts)
        # Where the database's processes are not known, nor is their work.
        services = sum(max(0.0, use.ours.get(pid, 0.0) - TICK) for pid in (*self.environment.pids, *workers))
        known = self.environment.all_known
        return Probe(
            opened=opened,
            window=facts["window"],
            samples=samples_written(request.samples, facts).without(facts["covering"], facts["endpoints"]),
            resources=Resources(
                server_cpu=use.server_cpu, generator_cpu=facts["generator_cpu"],
                generator_lag=facts["generator_lag"], host_steal=use.host_steal,
                host_foreign=use.host_foreign,
            ),
            errors=tuple(facts["errors"]),
            lost=facts.get("lost", 0),
            thinks=facts["thinks"],
            left=facts["left"],
            parallel=facts["parallel"],
            work=clock.total if clock is not None else None,
            clocked=clock.began - opened if clock is not None else 0.0,
            after=after,
            services=services if known else None,
        )  # fmt: skip


class UsersSetTheRate(Exception):
    """Users pause between their requests, so that the rate is theirs."""


@dataclass(frozen=True)
class Probe:
    """A short load: when its window opened on perf_counter's clock, its samples, and what the rules of
    validity look at."""

    opened: float
    window: float
    samples: Samples
    resources: Resources
    errors: tuple[str, ...]
    lost: int
    thinks: bool
    left: int = 0
    parallel: bool = False
    work: float | None = None
    """CPU seconds of the server's processes from `clocked` until they were at rest; None where they are not
    known."""
    clocked: float = 0.0
    """When their clock was first read, in seconds from the window's start: late on a busy machine."""
    after: Settling | None = None
    services: float | None = None
    """CPU seconds in the window of the slow service and the database's server; None where those of the latter
    are not known."""

    @property
    def ended(self) -> NDArray[np.bool_]:
        """The requests that ended in the window."""
        found: NDArray[np.bool_] = (self.samples.end >= 0.0) & (self.samples.end < self.window)
        return found

    def lengths(self, samples: Samples) -> float:
        """Seconds of the only window."""
        return self.window

    @property
    def work_per_request(self) -> float | None:
        """CPU seconds per request, without what came before the clock was read: neither work nor requests.
        None where too little of the window was left: then the work of earlier requests would weigh much."""
        requests = float(self.samples.share_in(self.clocked, np.inf).sum())
        late = self.clocked > self.window / 2.0
        return None if self.work is None or late or requests <= 0.0 else self.work / requests
