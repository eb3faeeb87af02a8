"""`python -m loadtests.load.fleet --size N`: several generators, with the messages and the flags of
`loadtests.load.generator`. For each trial it forks a master, which forks its workers, or with `--listen`
waits for those of other machines. Once, before the first trial, it reports these: `listening`, then `joined`
for each."""

from __future__ import annotations

import os
import secrets
import signal
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from loadtests.load.fleet.joining import introduction
from loadtests.load.fleet.master import Fleet
from loadtests.load.fleet.sockets import SharedKeys
from loadtests.load.fleet.worker import LOOPBACK, LocalWorkers
from loadtests.load.generator import options, prepare, respond, serve, world
from loadtests.load.world.fresh import Job
from loadtests.load.world.messages import tell
from loadtests.plan.workers.access import MasterAddress, shared_secret

BOOT = 60.0
"""Seconds that the workers may take to connect: less than the parent waits, who would not know why."""


def local(chosen: Namespace, told: Mapping[str, Any]) -> Fleet:
    """A master, and its workers on this machine."""
    workers = LocalWorkers(chosen, told)
    fleet = Fleet(chosen, LOOPBACK, 0, told)
    workers.connect(fleet.port)
    return fleet


def remote(chosen: Namespace, told: Mapping[str, Any]) -> Fleet:
    """A master, which workers on other machines look for."""
    address = MasterAddress.parse(chosen.listen, "--listen")
    return Fleet(chosen, address.host, address.port, told)


def together(chosen: Namespace, begun: Callable[[], Fleet]) -> Job:
    """Get ready to make a load with several processes."""
    fleet = begun()
    for _ in fleet.assembled(BOOT):
        pass

    def job(line: str) -> None:
        try:
            respond(line, partial(world, chosen), fleet.load)
        finally:
            fleet.dismiss()

    return job


def roll_call(chosen: Namespace, begun: Callable[[], Fleet]) -> Job:
    """Wait until enough workers have joined, and report each."""
    fleet = begun()

    def job(_: str) -> None:
        tell("listening", address=chosen.listen, size=fleet.size)
        for member in fleet.assembled(chosen.patience):
            clock = member.clock
            tell("joined", host=member.host, cpus=member.cpus, offset=clock.seconds, error=clock.error)
        fleet.dismiss()

    return job


def leave(*_: object) -> None:
    """End by SIGTERM once the master, a process of the same group, has told the workers of other machines:
    otherwise it would end with us."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    with suppress(ChildProcessError):
        while True:
            os.wait()
    os._exit(128 + signal.SIGTERM)


def main() -> None:
    parser = options()
    parser.add_argument("--size", type=int, help="how many workers share the load")
    parser.add_argument("--listen", help="HOST:PORT that they join, instead of being started")
    parser.add_argument("--users-digest", help="that of their locustfile and of what it imports")
    parser.add_argument("--patience", type=float, default=300.0, help="seconds to wait for them at first")
    chosen = parser.parse_args()
    told = introduction(chosen.users_digest, chosen.locust_arg)
    secret = shared_secret(chosen.secret_file, os.environ) if chosen.listen else secrets.token_hex(16)
    SharedKeys.of(secret).use()
    begun = partial(remote if chosen.listen else local, chosen, told)
    prepare(chosen)
    before = []
    if chosen.listen:
        before = [partial(roll_call, chosen, begun)]
        signal.signal(signal.SIGTERM, leave)
    serve(chosen, partial(together, chosen, begun), *before)


if __name__ == "__main__":
    main()
