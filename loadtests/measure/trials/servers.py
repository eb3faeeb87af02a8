"""The servers of a round's arms, started together, so that the arms are loaded close to one another in time.

A host's speed changes within seconds and hits whatever runs then. The less time passes between the windows of
two arms, the more of it cancels in their ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from loadtests.plan.arms import Arm
from loadtests.records.trial import Apart
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.external import DidNotStart
from loadtests.serving.server import Seat, Server, Target, serve
from loadtests.system.placement import Placement, boot_places
from loadtests.system.settling import clock_of, settle


class MustBeApart(Exception):
    """The servers of a round cannot run side by side."""

    def __init__(self, why: Apart) -> None:
        super().__init__(why)
        self.why: Apart = why


class RoundServers:
    """The servers of a round's arms, in the order in which they are loaded first. They start when the first
    one is taken, all together unless they are to be `apart`. They are stopped when they are released, or in
    the end."""

    def __init__(
        self,
        environment: ServingEnvironment,
        arms: Sequence[tuple[Arm, str]],
        apart: Apart | None = None,
        placement: Placement | None = None,
    ) -> None:
        """`arms`: each with the name of its requests to the slow service. `apart`: why a server starts only
        once the one before it has stopped; None where it need not. `placement`: where they run; None: as
        their environment says."""
        self.environment = environment
        self.placement = environment.placement if placement is None else placement
        self.left = list(arms)
        """Those that have not been started."""
        self.apart = apart
        self.known: dict[str, Target | DidNotStart] = {}
        """By arm, the servers that were started and not released, and why others did not start."""
        self.streams: dict[str, str] = {}
        """By arm, the name of the requests that its last server makes to the slow service."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(list(self.known))

    def take(self, arm: Arm) -> Target:
        """The ready server of an arm. Raises DidNotStart, MustBeApart, and ChildFailed for what is not the
        server's doing."""
        if arm.name not in self.known:
            self.start(arm)
        server = self.known[arm.name]
        if isinstance(server, DidNotStart):
            raise server
        return server

    def release(self, names: Sequence[str]) -> None:
        """Stop the servers of some arms. Raises ChildFailed where the code of one has changed meanwhile."""
        try:
            for name in names:
                server = self.known[name]
                if not isinstance(server, DidNotStart):
                    # Again: the first requests may have imported more.
                    server.check_sources()
        finally:
            self.stop(names)

    def renew(self, arm: Arm, stream: str) -> None:
        """Have a new server for an arm: the next time that it is taken, it starts. Raises ChildFailed."""
        self.release([arm.name])
        self.left.append((arm, stream))

    def stop(self, names: Sequence[str]) -> None:
        """Stop the servers of some arms: all are asked to end before the first one is waited for."""
        servers = [self.known.pop(name) for name in names]
        running = [server for server in servers if not isinstance(server, DidNotStart)]
        # All of them, whatever one of them raises: its database may be lost.
        with ExitStack() as stopping:
            for server in running:
                stopping.callback(server.stop)
                server.ask_to_end()

    def start(self, wanted: Arm) -> None:
        """Start all that are left, or the wanted one alone where they are to be apart, and wait for them."""
        starting = [one for one in self.left if not self.apart or one[0].name == wanted.name]
        self.left = [one for one in self.left if one not in starting]
        number = len(starting)
        places, cpus = boot_places(self.placement), self.placement.get("server", ())
        for place, (arm, stream) in enumerate(starting):
            boot = places[place % len(places)]
            self.streams[arm.name] = stream
            try:
                self.known[arm.name] = serve(arm, self.environment, stream, Seat(boot, cpus))
            except DidNotStart as failure:
                self.known[arm.name] = failure
        for arm, _ in starting:
            self.known[arm.name] = ready(self.known[arm.name])
        if number > 1 and any(isinstance(one, DidNotStart) for one in self.known.values()):
            # It may start alone: both may need the same port, or lock the same file.
            raise MustBeApart("conflict")
        if number > 1 and not all(map(at_rest, self.known.values())):
            raise MustBeApart("restless")


def ready(server: Target | DidNotStart) -> Target | DidNotStart:
    """A server once it accepts requests, or why it does not. Raises ChildFailed."""
    if isinstance(server, Server):
        try:
            server.become_ready()
        except DidNotStart as failure:
            return failure
    return server


def at_rest(server: Target | DidNotStart) -> bool:
    """Whether a server does nothing without load, as far as that is known."""
    settling = None if isinstance(server, DidNotStart) else settle(clock_of(server.pid))
    return settling is None or settling.rested
