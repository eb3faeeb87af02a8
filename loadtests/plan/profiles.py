"""What is measured unless asked otherwise: profiles, which are named choices of cells and times, the names of
the built-in scenarios, and defaults that settings share with plans written in Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MIXES = ("io_bound", "cpu_bound", "mixed")

ENDPOINTS = (
    "users.read",
    "users.list",
    "users.create",
    "users.update",
    "posts.read",
    "posts.list",
    "posts.create",
    "posts.replace",
    "posts.update",
    "pages.home",
    "pages.post",
    "ping",
    "sleep",
    "upstream",
    "fan-out",
    "file",
    "report",
    "background",
    "python",
    "hash",
    "crunch",
    "image",
    "checkout",
    "blocking",
    "offloaded",
    "process",
    "file-inline",
    "plain-client",
    "session-dependency",
    "session-blocking",
    "executor",
    "dependencies",
    "stream",
    "stream-lines",
    "upload",
    "websocket",
    "posts.list-plain",
)
"""What scenarios.py holds, in the catalogue's order; a test keeps the two equal. Known here without
importing Locust, which patches sockets."""

SERVICES = ("cached", "enqueue")
"""What it holds besides: endpoints that need Redis."""

QUEUED = ("enqueue",)
"""Those of them whose jobs are done by workers beside the server."""

USERS = 64

GENERATORS = 1
"""Load generator processes."""

BOOT_TIMEOUT = 30.0
"""Seconds that a server may take to start."""

LONGEST_LOAD = 120.0
"""Maximum seconds of a warm-up or a window: what a server reports of itself is kept for ten minutes, and more
rounds narrow an interval further than longer windows."""

MARGIN = 0.10
"""Relative difference below which arms are equivalent."""

FIRST_LOOK, LAST_LOOK = 4, 20
"""Rounds of a cell: the intervals are computed for analyses after 4, 6, …, 20 rounds. The same numbers are in
reports.analysis.statistics, which imports none of our packages; a test keeps them equal."""


@dataclass(frozen=True)
class Profile:
    """A named choice of cells and times, instead of fifteen flags. Seconds."""

    about: str
    cells: tuple[tuple[str, int], ...]
    services: tuple[tuple[str, int], ...]
    """Further cells, where there is a Redis server."""
    warmup: float
    window: float
    max_time: float | None
    proof_time: float | None
    """For the proof after the rounds; None: there is none."""

    def levels(self, every: bool) -> tuple[int, ...]:
        """Users of scenarios that the profile does not know: `every` level it has, or the usual one."""
        return tuple(sorted({users for _, users in self.cells})) if every else (USERS,)


def crossed(scenarios: Sequence[str], levels: Sequence[int]) -> tuple[tuple[str, int], ...]:
    return tuple((scenario, users) for scenario in scenarios for users in levels)


LEVELS = (1, 8, 40, USERS, 128, 256)
"""Users of the thorough profile."""


PROFILES: Mapping[str, Profile] = {
    "quick": Profile(
        about="a demonstration in three minutes: seven cells, large effects only",
        # What the README's first three sentences state, so that it shows on the reader's machine. What takes
        # long with 8 users, since windows grow until every one of 64 has had its turns.
        cells=(
            ("upstream", 1), ("upstream", USERS), ("ping", USERS), ("posts.read", USERS),
            ("posts.create", 8), ("python", USERS), ("blocking", 8),
        ),
        services=(),
        # As the head of every later slice. Throughput is steady after 0.2 s, or three requests of every user.
        warmup=0.3,
        # Enough for effects this large; it leaves time for six rounds of what four do not decide.
        window=0.5,
        # With start and report, three minutes.
        max_time=174.0,
        proof_time=None,
    ),
    "default": Profile(
        about="every endpoint and the three mixes at 64 users, then an app that follows the advice: 35 min",
        cells=crossed((*ENDPOINTS, *MIXES), (USERS,)),
        services=crossed(SERVICES, (USERS,)),
        warmup=0.5,
        # Corrected for 39 verdicts, more rounds decide sooner than longer ones.
        window=1.0,
        max_time=1800.0,
        proof_time=360.0,
    ),
    "thorough": Profile(
        about="the same at 1, 8, 40, 64, 128 and 256 users, for hours",
        cells=crossed((*ENDPOINTS, *MIXES), LEVELS),
        services=crossed(SERVICES, LEVELS),
        warmup=1.0,
        window=5.0,
        max_time=None,
        proof_time=1200.0,
    ),
}  # fmt: skip
