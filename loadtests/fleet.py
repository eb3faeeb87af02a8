"""Several load generators as one: Locust's own workers under its master, on loopback.

`python -m loadtests.fleet N [CPUS]` speaks with the parent as `loadtests.generator` does, and shares each
order out among N workers. All are processes of one machine and share its monotonic clock, so the window is
the master's for all of them. A worker sends its raw samples in a Locust message once it has drained.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, fields, replace
from hmac import compare_digest
from pathlib import Path
from time import perf_counter
from typing import Any

import gevent
import gevent.os
import numpy as np
from locust.env import Environment
from locust.rpc.protocol import Message

from loadtests.generator import (
    Attempt,
    Closed,
    Known,
    Order,
    ScenarioFailed,
    begin_canary,
    described,
    end_canary,
    options,
    prepare,
    tell,
)
from loadtests.records import Samples, write_samples

LOOPBACK = "127.0.0.1"
TOKEN = "DUEL_FLEET_TOKEN"  # noqa: S105  # a name, no word
"""The variable by which a worker gets the word that tells it from anybody else on this machine."""
BOOT = 30.0
"""Seconds that the workers may take to connect."""
LEAD = 0.3
"""Seconds from an order to the first arrival of an open loop, in which all workers get ready."""
LOOK = 0.02
"""Seconds between two looks at whether all workers have answered."""
PATIENCE = 90.0
"""Seconds beyond its planned time after which a silent worker is given up."""


class Fleet:
    """The master's side: N workers, and what they have answered."""

    def __init__(self, chosen: Namespace, known: Known) -> None:
        self.size: int = chosen.size
        cpus = chosen.cpus.split(",") if chosen.cpus else []
        told = [
            word
            for flag, value in (("--scenarios", chosen.scenarios), ("--canary", chosen.canary))
            for word in ((flag, value) if value else ())
        ] + (["--allow-remote"] if chosen.allow_remote else [])
        self.known = known
        self.environment = Environment(user_classes=[])
        self.master = self.environment.create_master_runner(LOOPBACK, 0)
        self.answers: dict[str, dict[int, dict[str, Any]]] = {}
        # Locust's master takes whoever connects for a worker; ours know this word.
        self.token = secrets.token_hex(16)
        for kind in ("warm", "done"):
            self.master.register_message(f"duel-{kind}", self.note(kind))
        self.workers = [
            subprocess.Popen(
                [
                    sys.executable, "-P", "-m", "loadtests.fleet", "--worker", str(self.master.server.port),
                    str(part), *told, *(("--cpus", cpus[part % len(cpus)]) if cpus else ()),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env={**os.environ, TOKEN: self.token},
            )
            for part in range(self.size)
        ]  # fmt: skip
        deadline = perf_counter() + BOOT
        while len(self.master.clients.ready) < self.size:
            if perf_counter() > deadline or self.lost():
                sys.exit("a load generator did not start")
            gevent.sleep(LOOK)

    def note(self, kind: str) -> Callable[..., None]:
        def listener(msg: Message, **_: Any) -> None:
            if not compare_digest(str(msg.data.get("token")).encode(), self.token.encode()):
                return
            self.answers.setdefault(kind, {})[msg.data["part"]] = msg.data

        return listener

    def lost(self) -> int:
        """How many workers have ended."""
        return sum(worker.poll() is not None for worker in self.workers)

    def send(self, kind: str, **data: Any) -> None:
        self.master.send_message(f"duel-{kind}", data)

    def gather(self, kind: str, timeout: float) -> Mapping[int, dict[str, Any]]:
        """The answers of all workers that are still there."""
        deadline = perf_counter() + timeout
        while perf_counter() < deadline:
            alive = {part for part, worker in enumerate(self.workers) if worker.poll() is None}
            if alive <= self.answers.get(kind, {}).keys():
                break
            gevent.sleep(LOOK)
        return self.answers.get(kind, {})

    def load(self, order: Order) -> dict[str, Any]:
        """Run one trial on all workers; as `generator.load`, with the workers that were lost."""
        self.answers.clear()
        began = perf_counter()
        begins = None if order.rate is None else began + LEAD
        canary = begin_canary(order, self.known)
        self.send("order", **asdict(replace(order, parts=self.size, begins=begins)))
        patience = order.warmup + order.window + order.drain + PATIENCE
        warm = self.gather("warm", patience)
        opened = perf_counter()
        self.send("open", opened=opened)
        tell("opened", at=opened)
        gevent.sleep(window(order, sum(answer["rate"] for answer in warm.values())))
        closed = perf_counter()
        self.send("close", opened=opened, closed=closed)
        tell("closed", at=closed)
        done = list(self.gather("done", patience).values())
        drained = perf_counter()
        end_canary(canary, order, opened)
        failed = [answer["failed"] for answer in done if answer["failed"]]
        if failed:
            raise ScenarioFailed(failed[0])
        samples, endpoints, errors = merged(done)
        write_samples(Path(order.samples), samples)
        lags = [answer["generator_lag"] for answer in done if answer["generator_lag"] is not None]
        facts = {
            "warmup": opened - began,
            "window": closed - opened,
            "drain": drained - closed,
            # Each has a core of its own: the busiest is the one that could have measured itself.
            "generator_cpu": max((answer["generator_cpu"] for answer in done), default=0.0),
            "generator_lag": max(lags, default=None),
            "endpoints": endpoints,
            "errors": errors,
            "lost": self.lost(),
            "thinks": any(answer["thinks"] for answer in done),
            "client": next((answer["client"] for answer in done), None),
        }
        if order.rate is not None:
            facts |= {key: sum(answer[key] for answer in done) for key in ("arrivals", "dropped")}
        return facts

    def stop(self) -> None:
        for worker in self.workers:
            if worker.stdin is not None:
                worker.stdin.close()
        for worker in self.workers:
            try:
                worker.wait(2.0)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self.master.greenlet.kill(block=False)
        self.master.server.close(linger=0)


def window(order: Order, rate: float) -> float:
    """Seconds that the window lasts when all workers together made `rate` requests a second so far."""
    return order.window if order.rate is not None else Closed.window_for(order, rate)


def merged(parts: Sequence[Mapping[str, Any]]) -> tuple[Samples, list[str], list[str]]:
    """The samples of all workers in the order of their ends, and the names that they number."""
    endpoints: dict[str, int] = {}
    errors: dict[str, int] = {}
    columns: dict[str, list[np.ndarray[Any, Any]]] = {field.name: [] for field in fields(Samples)}
    for part in parts:
        with np.load(io.BytesIO(part["samples"]), allow_pickle=False) as file:
            found = {name: file[name] for name in columns}
        names = np.array([endpoints.setdefault(name, len(endpoints)) for name in part["endpoints"]] or [0])
        kinds = np.array([0, *(errors.setdefault(kind, len(errors) + 1) for kind in part["errors"])])
        found["endpoint"] = names[found["endpoint"]].astype(np.uint16)
        found["error"] = kinds[found["error"]].astype(np.uint16)
        for name, column in columns.items():
            column.append(found[name])
    if not parts:
        return Samples.none(), [], []
    whole = {name: np.concatenate(column) for name, column in columns.items()}
    order = np.argsort(whole["end"], kind="stable")
    return Samples(**{name: column[order] for name, column in whole.items()}), list(endpoints), list(errors)


def packed(samples: Samples) -> bytes:
    """Samples as one compressed message."""
    buffer = io.BytesIO()
    arrays = {field.name: getattr(samples, field.name) for field in fields(samples)}
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


class Worker:
    """A worker's side: does what the master's messages say."""

    def __init__(self, port: int, part: int, known: Known) -> None:
        self.token = os.environ.get(TOKEN)
        self.known = known
        self.part = part
        self.attempt: Attempt | None = None
        environment = Environment(user_classes=[])
        self.runner = environment.create_worker_runner(LOOPBACK, port)
        for kind in ("order", "open", "close"):
            self.runner.register_message(f"duel-{kind}", getattr(self, kind), concurrent=True)

    def order(self, msg: Message, **_: Any) -> None:
        self.attempt = Attempt(replace(Order(**msg.data), part=self.part), self.known)
        self.answer("warm", rate=self.attempt.warm())

    def open(self, **_: Any) -> None:
        if self.attempt is not None:
            self.attempt.open()

    def close(self, msg: Message, **_: Any) -> None:
        if self.attempt is None:
            return
        opened, closed = msg.data["opened"], msg.data["closed"]
        self.attempt.close()
        failed = None
        try:
            self.attempt.end()
        except Exception as error:
            failed = str(error)
        samples = packed(self.attempt.recorder.samples(opened))
        facts = self.attempt.facts(opened, closed)
        self.answer("done", failed=failed, samples=samples, **facts)

    def answer(self, kind: str, **data: Any) -> None:
        self.runner.send_message(f"duel-{kind}", {"part": self.part, "token": self.token, **data})

    def run(self) -> None:
        """Until stdin ends, as it does when the master dies, however it dies."""
        while gevent.os.tp_read(0, 4096):
            pass
        os._exit(0)


def main() -> None:
    """`python -m loadtests.fleet --size N` with the flags of `generator.options`; started by that, a worker
    gets `--worker PORT PART` in place of a size."""
    parser = options()
    parser.add_argument("--size", type=int, help="how many workers share the load")
    parser.add_argument("--worker", type=int, nargs=2, metavar=("PORT", "PART"))
    chosen = parser.parse_args()
    with redirect_stdout(sys.stderr):
        known = prepare(chosen)
    if chosen.worker:
        port, part = chosen.worker
        Worker(port, part, known).run()
    fleet = Fleet(chosen, known)
    tell("ready", scenarios=described(known))
    # Off this thread: Locust's master goes on exchanging heartbeats with its workers between trials.
    threads = gevent.get_hub().threadpool
    while line := threads.apply(sys.stdin.readline):
        try:
            facts = fleet.load(Order(**json.loads(line)))
        except ScenarioFailed as failure:
            tell("failed", why=str(failure))
        except OSError as failure:
            tell("failed", why=f"the samples cannot be kept: {failure.strerror or failure}")
        else:
            tell("done", **facts)
        if fleet.lost():
            fleet.stop()
            fleet = Fleet(chosen, known)
    fleet.stop()


if __name__ == "__main__":
    main()
