"""What the parent asks of a load generator: one trial, or one inquiry."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Self

WARMUP_TURNS = 3
"""Minimum warm-up of a trial, in requests per user."""

WINDOW_TURNS = 5
"""Minimum window of a trial, in requests per user."""

LONGEST = 10.0
"""Maximum seconds to which a trial's warm-up or window is stretched for them."""


@dataclass(frozen=True)
class TrialRequest:
    """One trial, of which the parent decides everything. Times in seconds."""

    host: str
    scenario: str
    users: int
    """Of a closed loop; in an open one the maximum of waiting requests."""
    turn: float
    """Expected seconds from one request of a user to its next, over which the users' first requests are
    spread; 0 where not known."""
    rate: float | None
    """Arrivals per second, which make the loop an open one."""
    arrivals: str | None
    """How arrivals are spread: `poisson` or `constant`; None in a closed loop."""
    warmup: float
    warmup_turns: int
    """Minimum warm-up, in requests per user."""
    window: float
    window_turns: int
    """Minimum window, in requests per user."""
    longest: float
    """Maximum seconds to which warm-up and window are stretched for these requests."""
    drain: float
    seed: int
    """Of what the generator and Locust draw: the same for all arms of a round."""
    samples: str
    """The file that the samples go to."""
    canary: str | None
    """The file that the canary's samples go to; None: there is no canary."""
    pulse: str | None
    """The file that the pulse's samples go to; None: there is no pulse."""
    pulse_path: str | None
    """The path that serve.py answers for it, and before the load; None: external servers have none."""

    pauses: bool
    """Whether users wait between tasks as their `wait_time` says; calibrations and ceilings measure without,
    or they would show the users' own pace."""

    names: str
    """Seed of what the user's own scenario draws, such as names that must not come twice: another one in
    every trial."""
    routes: list[str] = field(default_factory=list)
    """Paths by which requests without a name are grouped, if they have many: see records/names."""
    grouped: bool = False
    """Whether they are grouped even if they are few, since an earlier load had many."""

    part: int = 0
    """Which of the `parts` of this load this process makes: a fleet sets the three."""
    parts: int = 1
    begins: float | None = None
    """When the first arrival's schedule starts, on perf_counter's clock; None: at once."""

    @classmethod
    def read(cls, line: str) -> Self:
        """From a line of JSON. Raises ValueError where a field is missing or unknown."""
        try:
            return cls(**json.loads(line))
        except TypeError as error:
            raise ValueError(f"not a whole request: {error}") from None

    @property
    def own_users(self) -> int:
        """This process's share of the users."""
        return self.users // self.parts + (self.part < self.users % self.parts)


@dataclass(frozen=True)
class Inquiry:
    """Users of a scenario ask a server, without waiting, and keep the answers. Seconds."""

    host: str
    scenario: str
    seed: int
    """Equal seeds make equal requests, where the scenario draws from `random` or from its own `Visitor`."""
    budget: float
    """After which no further visit begins; `least` are always made."""
    answers: str
    """The file that the answers go to."""
    users: int = 1
    """Who ask at once: one alone, or as many as the load has, since an app may answer a crowd otherwise."""
    visits: int = 12
    """At most; each makes every task once. The first two have one seed, the others have one each."""
    least: int = 2
    """Visits that are made whatever the budget."""
    longest: float = 5.0
    """Of one visit; the inquiry ends with one that takes longer."""

    @classmethod
    def read(cls, line: str) -> Self | None:
        """From a line of JSON; None where it is no inquiry."""
        fields = json.loads(line)
        return cls(**fields) if "visits" in fields else None
