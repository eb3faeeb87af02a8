"""Several load generators as one: Locust's own workers under its master, on loopback.

`python -m loadtests.load.fleet --size N` exchanges `loadtests.load.generator`'s messages with its parent. For
each trial it forks a master, and that N workers, among which it divides the load. All are processes of one
machine and share its monotonic clock, so the window is the master's for all of them. A worker sends its raw
samples in a Locust message once it has drained.
"""

from __future__ import annotations

import os
import secrets
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from hmac import compare_digest
from pathlib import Path
from time import perf_counter
from typing import Any

import gevent.os
import numpy as np
from locust.env import Environment
from locust.rpc.protocol import Message

from loadtests.cpus import bind, parsed_cpus
from loadtests.load.canary import Beside
from loadtests.load.generator import options, prepare, respond, serve, world
from loadtests.load.loops import Closed
from loadtests.load.trial_load import ScenarioRaised, TrialLoad, arrays, regrouped
from loadtests.load.user_files import light_user
from loadtests.load.world.fresh import Job, close, forked
from loadtests.load.world.locustfile import World
from loadtests.load.world.messages import tell
from loadtests.plan.request import TrialRequest
from loadtests.records.arrays import columns, packed, table, unpacked, write_samples
from loadtests.records.names.grouping import grouped
from loadtests.records.samples import SAMPLE_ROW, Samples, joined

LOOPBACK = "127.0.0.1"

BOOT = 60.0
"""Seconds that the workers may take to connect: less than the parent waits, who would not know why."""

LEAD = 0.3
"""Seconds from a request to the first arrival of an open loop, for all workers to get ready."""

POLL = 0.02
"""Polling interval in seconds while waiting for all workers to answer."""

PATIENCE = 90.0
"""Seconds beyond its planned time after which a worker without a response is given up."""


class Fleet:
    """The master's side: N workers, and what they have answered. Workers and master begin and end with one
    trial."""

    def __init__(self, chosen: Namespace) -> None:
        self.size: int = chosen.size
        self.canary = light_user(chosen.canary, "canary") if chosen.canary else None
        # Locust's master accepts any process that connects as a worker; our workers know this secret.
        self.token = secrets.token_hex(16)
        # Before there is anything that they must not share.
        self.pipes: list[int] = []
        self.workers = [self.worker(chosen, part) for part in range(self.size)]
        self.ended: set[int] = set()
        self.environment = Environment(user_classes=[])
        self.master = self.environment.create_master_runner(LOOPBACK, 0)
        self.answers: dict[str, dict[int, dict[str, Any]]] = {}
        for kind in ("warm", "done"):
            self.master.register_message(f"duel-{kind}", self.note(kind))
        for pipe in self.pipes:
            # A worker that has ended is noticed below.
            with suppress(BrokenPipeError):
                os.write(pipe, b"%d\n" % self.master.server.port)
        deadline = perf_counter() + BOOT
        while len(self.master.clients.ready) < self.size:
            if perf_counter() > deadline or self.lost():
                sys.exit("a worker of the load generator did not start")
            gevent.sleep(POLL)

    def worker(self, chosen: Namespace, part: int) -> int:
        """Start a worker; its pid."""
        reading, writing = os.pipe()

        def work() -> None:
            for end in (*self.pipes, writing):
                close(end)
            cpus = parsed_cpus(chosen.cpus)
            bind(str(cpus[part % len(cpus)]) if cpus else None)
            found = world(chosen)
            with os.fdopen(reading, buffering=1, closefd=False) as pipe:
                port = int(pipe.readline())
            gevent.get_hub().loop.update_now()
            Worker(port, part, self.token, found).run(reading)

        pid = forked(work)
        close(reading)
        self.pipes.append(writing)
        return pid

    def note(self, kind: str) -> Callable[..., None]:
        def listener(msg: Message, **_: Any) -> None:
            if not compare_digest(str(msg.data.get("token")).encode(), self.token.encode()):
                return
            self.answers.setdefault(kind, {})[msg.data["part"]] = msg.data

        return listener

    def lost(self) -> int:
        """How many workers have ended."""
        for pid in self.workers:
            if pid not in self.ended and os.waitpid(pid, os.WNOHANG)[0]:
                self.ended.add(pid)
        return len(self.ended)

    def send(self, kind: str, **data: Any) -> None:
        self.master.send_message(f"duel-{kind}", data)

    def gather(self, kind: str, timeout: float) -> Mapping[int, dict[str, Any]]:
        """The answers by worker, once all that are alive have answered, or after `timeout` seconds."""
        deadline = perf_counter() + timeout
        while perf_counter() < deadline:
            self.lost()
            alive = {part for part, worker in enumerate(self.workers) if worker not in self.ended}
            if alive <= self.answers.get(kind, {}).keys():
                break
            gevent.sleep(POLL)
        return self.answers.get(kind, {})

    def load(self, request: TrialRequest) -> dict[str, Any]:
        """Run one trial on all workers; as `generator.load`, with the workers that were lost."""
        began = perf_counter()
        begins = None if request.rate is None else began + LEAD
        beside = Beside(request, self.canary)
        beside.start()
        self.send("request", **asdict(replace(request, parts=self.size, begins=begins)))
        patience = request.warmup + request.window + request.drain + PATIENCE
        warm = self.gather("warm", patience)
        opened = perf_counter()
        self.send("open", opened=opened)
        tell("opened", at=opened)
        gevent.sleep(window(request, sum(answer["rate"] for answer in warm.values())))
        closed = perf_counter()
        self.send("close", opened=opened, closed=closed)
        tell("closed", at=closed)
        done = list(self.gather("done", patience).values())
        drained = perf_counter()
        light = beside.end(opened, closed)
        tell("drained")
        failed = [answer["failed"] for answer in done if answer["failed"]]
        if failed:
            raise ScenarioRaised(failed[0])
        samples, endpoints, errors = merged(done)
        samples, names = named(samples, endpoints, request, done)
        file = write_samples(Path(request.samples), samples)
        lags = [answer["generator_lag"] for answer in done if answer["generator_lag"] is not None]
        facts = {
            "arrays": arrays(file, light),
            "warmup": opened - began,
            "window": closed - opened,
            "drain": drained - closed,
            # Each has its own core: the busiest may have measured itself.
            "generator_cpu": max((answer["generator_cpu"] for answer in done), default=0.0),
            "generator_lag": max(lags, default=None),
            **names,
            "errors": errors,
            "untimed": dict(sum((Counter(answer["untimed"]) for answer in done), Counter())),
            "parallel": any(answer["parallel"] for answer in done),
            "left": sum(answer["left"] for answer in done),
            "lost": self.lost(),
            "thinks": any(answer["thinks"] for answer in done),
            "client": next((answer["client"] for answer in done), None),
            "resent": added([answer["resent"] for answer in done]),
        }
        if request.rate is None:
            facts["tail"] = min((answer["tail"] for answer in done), default=None)
        else:
            facts |= {key: sum(answer[key] for answer in done) for key in ("arrivals", "dropped")}
        return facts


def window(request: TrialRequest, rate: float) -> float:
    """Seconds that the window lasts when all workers together made `rate` requests per second so far."""
    return request.window if request.rate is not None else Closed.window_for(request, rate)


def added(counts: Sequence[int | None]) -> int | None:
    """The sum of what the workers counted; None where any did not count."""
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(counts) else None


def named(
    samples: Samples, endpoints: Sequence[str], request: TrialRequest, parts: Sequence[Mapping[str, Any]]
) -> tuple[Samples, dict[str, Any]]:
    """The samples, and what a trial's facts say of names: a worker may have grouped those that another one
    had few of."""
    learned = list(dict.fromkeys(route for part in parts for route in part["learned"]))
    several = [part["names"] for part in parts if part["names"] is not None]
    names = grouped(endpoints, [*request.routes, *learned], request.grouped or bool(several))
    samples = replace(samples, endpoint=names.numbers[samples.endpoint].astype(np.uint16))
    numbers = {name: number for number, name in enumerate(endpoints)}
    covering = {name for part in parts for name in part["covering"]}
    return samples, {
        "endpoints": list(names.names),
        "covering": regrouped(covering, numbers, names),
        "names": max([*several, *([names.original] if names.original else [])], default=None),
        "learned": [*learned, *names.learned],
    }


def merged(parts: Sequence[Mapping[str, Any]]) -> tuple[Samples, list[str], list[str]]:
    """The samples of all workers in the order of their ends, and the names that they number."""
    made = [
        (
            Samples(**columns(unpacked(part["samples"], [SAMPLE_ROW], part["rows"]))),
            part["endpoints"],
            part["errors"],
        )
        for part in parts
    ]
    whole, endpoints, errors = joined(made)
    order = np.argsort(whole.end, kind="stable")
    ordered = {name: getattr(whole, name)[order] for name in SAMPLE_ROW.names or ()}
    return Samples(**ordered), endpoints, errors


class Worker:
    """A worker's side: does what the master's messages say."""

    def __init__(self, port: int, part: int, token: str, world: World) -> None:
        self.token = token
        self.world = world
        self.part = part
        self.trial_load: TrialLoad | None = None
        environment = Environment(user_classes=[])
        self.runner = environment.create_worker_runner(LOOPBACK, port)
        for kind in ("request", "open", "close"):
            self.runner.register_message(f"duel-{kind}", getattr(self, kind), concurrent=True)

    def request(self, msg: Message, **_: Any) -> None:
        self.trial_load = TrialLoad(replace(TrialRequest(**msg.data), part=self.part), self.world)
        self.answer("warm", rate=self.trial_load.warm())

    def open(self, **_: Any) -> None:
        if self.trial_load is not None:
            self.trial_load.open()

    def close(self, msg: Message, **_: Any) -> None:
        if self.trial_load is None:
            return
        opened, closed = msg.data["opened"], msg.data["closed"]
        self.trial_load.close()
        failed = None
        try:
            self.trial_load.end()
        except Exception as error:
            failed = str(error)
        samples = table(self.trial_load.samples(opened), SAMPLE_ROW)
        facts = self.trial_load.facts(opened, closed)
        self.answer("done", failed=failed, samples=packed(samples), rows=len(samples), **facts)

    def answer(self, kind: str, **data: Any) -> None:
        self.runner.send_message(f"duel-{kind}", {"part": self.part, "token": self.token, **data})

    def run(self, pipe: int) -> None:
        """Run until the pipe from the master ends, as it does when the master has ended."""
        while gevent.os.tp_read(pipe, 4096):
            pass


def together(chosen: Namespace) -> Job:
    """Get ready to make a load with several processes."""
    fleet = Fleet(chosen)
    return lambda line: respond(line, partial(world, chosen), fleet.load)


def main() -> None:
    """`python -m loadtests.load.fleet --size N`, with the flags of `generator.options`."""
    parser = options()
    parser.add_argument("--size", type=int, help="how many workers share the load")
    chosen = parser.parse_args()
    prepare(chosen)
    serve(chosen, partial(together, chosen))


if __name__ == "__main__":
    main()
