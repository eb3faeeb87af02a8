"""A worker's side: joins a master for one trial, and makes its part of the load."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any, Literal

import gevent
from gevent.event import AsyncResult
from locust.env import Environment
from locust.rpc.protocol import Message

from loadtests.cpus import bind, parsed_cpus
from loadtests.load.generator import world
from loadtests.load.trial_load import TrialLoad
from loadtests.load.world.fresh import close, forked
from loadtests.load.world.locustfile import World
from loadtests.plan.request import TrialRequest
from loadtests.records.arrays import packed, table
from loadtests.records.samples import SAMPLE_ROW

LOOPBACK = "127.0.0.1"

SILENCE = 10
"""Seconds without a heartbeat of the master after which the load ends: its master or the network is gone."""

Ending = Literal["dismissed", "over", "refused", "silent", "absent"]
"""Why a worker ends: its trial is done, the run is, the master refuses it, does not answer any more, or
was never there."""


class Worker:
    """Does what the master's messages say, of one trial."""

    def __init__(self, host: str, port: int, told: Mapping[str, Any], world: World) -> None:
        """`told`: see `introduction`. Returns once there is a master. Raises ConnectionError when there is
        none for five minutes."""
        self.world = world
        self.trial_load: TrialLoad | None = None
        self.ended: AsyncResult = AsyncResult()
        """With an Ending and the master's message."""
        self.quiet = 0
        """Seconds since the last heartbeat of the master."""
        environment = Environment(user_classes=[])
        environment.events.heartbeat_received.add_listener(self.beat)
        self.runner = environment.create_worker_runner(host, port)
        for kind in ("request", "open", "close", "clock", "dismissed", "over", "refused"):
            self.runner.register_message(f"duel-{kind}", getattr(self, kind), concurrent=kind != "clock")
        self.answer("join", **told)

    def beat(self, **_: Any) -> None:
        self.quiet = 0

    def clock(self, msg: Message, **_: Any) -> None:
        self.answer("clock", number=msg.data["number"], at=perf_counter())

    def request(self, msg: Message, **_: Any) -> None:
        self.trial_load = TrialLoad(TrialRequest(**msg.data), self.world)
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

    def dismissed(self, **_: Any) -> None:
        self.ended.set(("dismissed", {}))

    def over(self, **_: Any) -> None:
        self.ended.set(("over", {}))

    def refused(self, msg: Message, **_: Any) -> None:
        self.ended.set(("refused", msg.data))

    def answer(self, kind: str, **data: Any) -> None:
        self.runner.send_message(f"duel-{kind}", data)

    def run(self) -> tuple[Ending, Mapping[str, Any]]:
        """Work until the end; why it came, and what the master said."""
        while self.quiet < SILENCE:
            # Not by the clock: a process that was stopped for a while has not listened.
            self.quiet += 1
            with suppress(gevent.Timeout):
                ending: tuple[Ending, Mapping[str, Any]] = self.ended.get(timeout=1.0)
                return ending
        return "silent", {}


class LocalWorkers:
    """Workers on this machine, forked from a master before it has any socket. They end with it."""

    def __init__(self, chosen: Namespace, told: Mapping[str, Any]) -> None:
        self.pipes: list[int] = []
        for number in range(chosen.size):
            self.start(chosen, told, number)

    def start(self, chosen: Namespace, told: Mapping[str, Any], number: int) -> None:
        reading, writing = os.pipe()

        def work() -> None:
            for end in (*self.pipes, writing):
                close(end)
            cpus = parsed_cpus(chosen.cpus)
            bind(str(cpus[number % len(cpus)]) if cpus else None)
            found = world(chosen)
            with os.fdopen(reading) as pipe:
                port = int(pipe.readline() or "0")
            gevent.get_hub().loop.update_now()
            if port:
                Worker(LOOPBACK, port, told, found).run()

        forked(work)
        close(reading)
        self.pipes.append(writing)

    def connect(self, port: int) -> None:
        """Tell them where the master listens."""
        for pipe in self.pipes:
            # One that has ended does not join, which is noticed then.
            with suppress(BrokenPipeError):
                os.write(pipe, b"%d\n" % port)
            close(pipe)
