"""`python -m loadtests.load.fleet.join HOST:PORT`: a generator that joins a run on another machine.

For each of that run's trials it forks a worker, which looks for the master of the trial. It tells its parent
what comes of each, as far as that is new: `joined`, `silent` where the run does not answer any more; and
at the end why: `over`, `refused`, `absent`.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gevent.monkey import get_original

from loadtests.load.fleet.joining import introduction
from loadtests.load.fleet.sockets import SharedKeys
from loadtests.load.fleet.worker import Ending, Worker
from loadtests.load.generator import options, prepare, world
from loadtests.load.world.fresh import end_alike, forked
from loadtests.load.world.locustfile import World, helpers
from loadtests.load.world.messages import tell
from loadtests.plan.workers.access import MasterAddress, shared_secret, users_digest

CODES: dict[Ending, int] = {"dismissed": 0, "silent": 10, "over": 11, "refused": 12, "absent": 13}
"""Exit codes of a worker; another one is that of a crash."""

POLL = 0.05
"""Polling interval in seconds while a worker is at work."""

select = get_original("select", "select")

FINAL = (CODES["over"], CODES["refused"], CODES["absent"])


def one_trial(chosen: Namespace, address: MasterAddress, keys: SharedKeys) -> None:
    """Take part in a trial, and end this process."""
    before = frozenset(sys.modules)
    found = world(chosen)
    users = None
    if chosen.locustfile:
        digest = hashlib.sha256(Path(chosen.locustfile).read_bytes()).hexdigest()
        users = users_digest(digest, helpers(before, chosen.locustfile).values())
    ending, why = joined(chosen, address, keys, introduction(users, chosen.locust_arg), found)
    tell(ending, **why)
    sys.exit(CODES[ending])


def joined(
    chosen: Namespace, address: MasterAddress, keys: SharedKeys, told: Mapping[str, Any], found: World
) -> tuple[Ending, Mapping[str, Any]]:
    """How the trial ended for this worker, with what the master said."""
    greeting = keys.greet(address.host, address.port, chosen.patience)
    if greeting != "accepted":
        return greeting, {"what": "secret"}
    try:
        worker = Worker(address.host, address.port, told, found)
    except ConnectionError:
        return "absent", {}
    tell("joined")
    return worker.run()


def awaited(pid: int) -> int:
    """The exit code of a child once it has ended. Ends it, and this process, where stdin ends: the parent
    does."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    while not ended:
        # Not gevent's: it would start a loop of its own, for the next child to inherit.
        if select([0], [], [], POLL)[0] and not os.read(0, 4096):
            os.kill(pid, signal.SIGTERM)
            sys.exit(1)
        ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    parser = options()
    parser.add_argument("master", help="HOST:PORT where the run listens")
    parser.add_argument("--patience", type=float, default=300.0, help="seconds to wait for the run")
    chosen = parser.parse_args()
    address = MasterAddress.parse(chosen.master, "--master")
    keys = SharedKeys.of(shared_secret(chosen.secret_file, os.environ))
    keys.use()
    prepare(chosen)
    code = 0
    while code in (CODES["dismissed"], CODES["silent"]):
        code = awaited(forked(lambda: one_trial(chosen, address, keys)))
    if code not in FINAL:
        end_alike(code)


if __name__ == "__main__":
    main()
