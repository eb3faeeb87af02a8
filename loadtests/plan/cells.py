"""Cells: a scenario under a load, and the metrics that may decide one."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loadtests.plan.fields import Frozen, Name

Metric = Literal["throughput", "p50", "p95", "p99", "service_p50", "service_p99"]
"""Percentiles are of the response time: from the moment a request was due, in a closed loop its start."""

CANARY = "canary"
"""The scenario that asks for the plan's canary path now and then; no other may be called so."""

ENOUGH_FOR_P99 = 2_000
"""Requests in a window from which on its 99th percentile decides."""

ENOUGH_FOR_P50 = 20
"""Requests in a window without which it has no median: ten on either side."""


class Load(Frozen):
    """Closed: `users` who send the next request as soon as they are answered, which measures capacity. Open:
    `rate` arrivals per second, regardless of pending responses, which measures latency. One of the two."""

    users: Annotated[int, Field(ge=1, le=10_000)] | None = None
    rate: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    arrivals: Literal["poisson", "constant"] | None = None
    """Distribution of arrivals: as of independent users, or at even gaps."""

    @model_validator(mode="after")
    def one_of_two(self) -> Self:
        if (self.users is None) == (self.rate is None):
            raise ValueError("a load has either users or a rate")
        if (self.rate is None) != (self.arrivals is None):
            raise ValueError("only an open load has a distribution of arrivals, and it needs one")
        return self

    def __str__(self) -> str:
        if self.rate is not None:
            return f"{self.rate:g}/s" + (" at even gaps" if self.arrivals == "constant" else "")
        return f"{self.users} users" if self.users != 1 else "1 user"

    @property
    def level(self) -> float:
        """Users, or arrivals per second."""
        return float(self.users if self.rate is None else self.rate)  # type: ignore[arg-type]  # one is set

    @property
    def key(self) -> str:
        """A short name for files and seeds."""
        if self.rate is None:
            return str(self.users)
        return f"{self.rate:g}ps" + ("-even" if self.arrivals == "constant" else "")


class Cell(Frozen):
    """A scenario under a load."""

    scenario: Name
    load: Load

    def __str__(self) -> str:
        return f"{self.scenario} at {self.load}"

    @property
    def key(self) -> str:
        """A short name for files and seeds."""
        return f"{self.scenario}@{self.load.key}"
