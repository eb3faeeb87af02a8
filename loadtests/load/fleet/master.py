"""The master's side: N workers join it for one trial, among which it divides the load.

All times that it sends to a worker, and gets from it, are on that worker's clock.
"""

from __future__ import annotations

import os
import signal
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

import gevent
from gevent.queue import Empty, Queue
from locust.env import Environment
from locust.exception import RPCError
from locust.rpc.protocol import Message

from loadtests.load.canary import Beside
from loadtests.load.fleet.clocks import ClockOffset, RoundTrip
from loadtests.load.fleet.joining import difference
from loadtests.load.fleet.merging import merged, merged_facts, named
from loadtests.load.loops import Closed
from loadtests.load.trial_load import ScenarioRaised, arrays
from loadtests.load.user_files import light_user
from loadtests.load.world.messages import tell
from loadtests.plan.request import TrialRequest
from loadtests.records.arrays import write_samples

LEAD = 0.3
"""Seconds from a request to the first arrival of an open loop, for all workers to get ready, beside the time
that messages take."""

POLL = 0.02
"""Polling interval in seconds while waiting for all workers to answer."""

PATIENCE = 90.0
"""Seconds beyond its planned time after which a worker without a response is given up."""

LOST = -2
"""Locust counts down from 3, once a second, without a heartbeat of a worker: one below this is lost."""

PINGS = 10
"""Messages to each worker that compare its clock with ours."""

ANSWER = 10.0
"""Seconds within which it answers each."""

FAREWELL = 2.0
"""Seconds for workers to come back and be told that the run is over: less than the parent's patience."""

LINGER = 0.5
"""Seconds that the last messages may take."""


@dataclass(frozen=True)
class Member:
    """A worker that takes part."""

    client: str
    """What Locust calls it."""
    part: int
    host: str
    cpus: int
    clock: ClockOffset


class Fleet:
    """N workers, and what they have answered. All begin and end with one trial."""

    def __init__(self, chosen: Namespace, host: str, port: int, told: Mapping[str, Any]) -> None:
        """Listens on `host`; port 0: any, see `port`. `told`: see `introduction`; a worker that is unlike is
        refused. Ends this process where it cannot listen."""
        self.size: int = chosen.size
        self.told = told
        self.canary = light_user(chosen.canary, "canary") if chosen.canary else None
        self.members: dict[str, Member] = {}
        """By what Locust calls them, the first ones that joined; the others wait for another trial."""
        self.present: set[str] = set()
        """All that have joined."""
        self.joined: Queue = Queue()
        """The same, with what they said, in the order of time."""
        self.gone: set[str] = set()
        self.answers: dict[str, dict[str, dict[str, Any]]] = {"warm": {}, "done": {}}
        """By kind and member."""
        self.numbers = count()
        self.pings: Queue = Queue()
        """Numbers of pings, and both moments of their answers."""
        try:
            self.master = Environment(user_classes=[]).create_master_runner(host, port)
        except RPCError as error:
            sys.exit(f"cannot listen on {host}:{port}: {error}")
        self.port: int = self.master.server.port
        for kind in self.answers:
            self.master.register_message(f"duel-{kind}", self.note)
        self.master.register_message("duel-join", self.join)
        self.master.register_message("duel-clock", self.ping_answered)
        gevent.signal_handler(signal.SIGTERM, self.stop)

    def join(self, msg: Message, **_: Any) -> None:
        why = difference(self.told, msg.data)
        if why is not None:
            sys.stderr.write(f"refused the load generator on {msg.data.get('host')}: {why}\n")
            self.send("refused", [msg.node_id], **why)
            return
        self.present.add(msg.node_id)
        self.joined.put((msg.node_id, msg.data))

    def note(self, msg: Message, **_: Any) -> None:
        if msg.node_id in self.members:
            self.answers[msg.type.removeprefix("duel-")][msg.node_id] = msg.data

    def ping_answered(self, msg: Message, **_: Any) -> None:
        self.pings.put((msg.data["number"], msg.data["at"], perf_counter()))

    def assembled(self, timeout: float) -> Iterator[Member]:
        """The workers as they join, with their clocks compared, until there are enough. Ends this process
        where that takes longer than `timeout` seconds."""
        deadline = perf_counter() + timeout
        while len(self.members) < self.size:
            try:
                client, told = self.joined.get(timeout=max(POLL, deadline - perf_counter()))
            except Empty:
                sys.exit(f"{len(self.members)} of {self.size} load generators joined within {timeout:g} s")
            try:
                clock = ClockOffset.of([self.ping(client) for _ in range(PINGS)])
            except Empty:
                # It ended as it joined: another one may come.
                continue
            member = Member(client, len(self.members), told["host"], told["cpus"], clock)
            self.members[client] = member
            yield member

    def ping(self, client: str) -> RoundTrip:
        """Compare a worker's clock with ours once. Raises Empty where it does not answer."""
        number, answered = next(self.numbers), -1
        sent = perf_counter()
        self.send("clock", [client], number=number)
        while answered != number:
            answered, at, back = self.pings.get(timeout=ANSWER)
        return RoundTrip(sent, at, back)

    def send(self, kind: str, clients: Iterable[str], **data: Any) -> None:
        for client in clients:
            self.master.send_message(f"duel-{kind}", data, client_id=client)

    def send_moments(self, kind: str, **moments: float) -> None:
        """Tell all members of moments, each by its own clock."""
        for client, member in self.members.items():
            own = {name: moment + member.clock.seconds for name, moment in moments.items()}
            self.send(kind, [client], **own)

    def lost(self) -> int:
        """How many members have ended, or have sent no heartbeat for seconds."""
        for client in self.members:
            known = self.master.clients.get(client)
            if known is None or known.heartbeat < LOST:
                self.gone.add(client)
        return len(self.gone)

    def gather(self, kind: str, timeout: float) -> list[dict[str, Any]]:
        """The answers, once all members that are not lost have answered, or after `timeout` seconds."""
        deadline = perf_counter() + timeout
        while perf_counter() < deadline:
            self.lost()
            if self.members.keys() - self.gone <= self.answers[kind].keys():
                break
            gevent.sleep(POLL)
        return list(self.answers[kind].values())

    def load(self, request: TrialRequest) -> dict[str, Any]:
        """Run one trial on all workers; as `generator.load`, with the workers that were lost."""
        began = perf_counter()
        beside = Beside(request, self.canary)
        beside.start()
        self.divide(request)
        patience = request.warmup + request.window + request.drain + PATIENCE
        warm = self.gather("warm", patience)
        opened = perf_counter()
        self.send_moments("open", opened=opened)
        tell("opened", at=opened)
        gevent.sleep(window(request, sum(answer["rate"] for answer in warm)))
        closed = perf_counter()
        self.send_moments("close", opened=opened, closed=closed)
        tell("closed", at=closed)
        done = self.gather("done", patience)
        drained = perf_counter()
        light = beside.end(opened, closed)
        tell("drained")
        failed = [answer["failed"] for answer in done if answer["failed"]]
        if failed:
            raise ScenarioRaised(failed[0])
        samples, endpoints, errors = merged(done)
        samples, names = named(samples, endpoints, request, done)
        file = write_samples(Path(request.samples), samples)
        return {
            "arrays": arrays(file, light),
            "warmup": opened - began,
            "window": closed - opened,
            "drain": drained - closed,
            "errors": errors,
            "lost": self.lost(),
            **names,
            **merged_facts(done, request),
        }

    def divide(self, request: TrialRequest) -> None:
        """Have every member begin its part, and an open loop at the same moment."""
        farthest = max(member.clock.error for member in self.members.values())
        begins = perf_counter() + LEAD + 2 * farthest
        for client, member in self.members.items():
            own = begins + member.clock.seconds if request.rate is not None else None
            part = replace(request, part=member.part, parts=self.size, begins=own)
            self.send("request", [client], **asdict(part))

    def dismiss(self, kind: str = "dismissed") -> None:
        """Let all workers go, also those that wait: the trial is done, or the run (the kind `over`)."""
        self.send(kind, self.present)
        socket = self.master.server.socket
        socket.close(linger=int(LINGER * 1000))
        socket.context.term()

    def stop(self) -> None:
        """End this process by SIGTERM: the run is over. Workers may be on their way back from a trial."""
        deadline = perf_counter() + FAREWELL
        while len(self.present) < self.size and perf_counter() < deadline:
            gevent.sleep(POLL)
        self.dismiss("over")
        os._exit(128 + signal.SIGTERM)


def window(request: TrialRequest, rate: float) -> float:
    """Seconds that the window lasts when all workers together made `rate` requests per second so far."""
    return request.window if request.rate is not None else Closed.window_for(request, rate)
