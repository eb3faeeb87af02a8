"""Why a trial does not count, as data: `reports/wording` makes the sentences."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from loadtests.plan.fields import Frozen

FaultKind = Literal[
    "generators-lost", "generator-busy", "generator-idle", "generator-late", "near-ceiling", "users-idle",
    "users-ended", "arrivals-late", "arrivals-missing", "rate-off", "steal", "foreign-work",
    "excess-in-flight", "no-sockets",
]  # fmt: skip

Blamed = Literal["generator", "host", "duel"]

Figure = Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)]


class Fault(Frozen):
    """One reason: what was seen, and the maximum allowed; of generator-idle the minimum."""

    kind: FaultKind
    value: Figure
    """generators-lost: processes; generator-busy, generator-idle: fraction of a core; generator-late,
    arrivals-late: seconds; near-ceiling, rate-off: requests per second; users-idle: time between requests ÷
    time with one in flight; users-ended: users; arrivals-missing: arrivals; steal: fraction of
    the host's CPU time; foreign-work: CPUs; excess-in-flight: fraction by which the requests in flight exceed
    users; no-sockets: requests."""
    limit: Figure | None = None
    """In the unit of `value`, for rate-off the largest difference; None where nothing at all is allowed."""
    whole: Figure | None = None
    """near-ceiling: the generator's own best rate; arrivals-missing: arrivals that were due; rate-off: the
    rate that was due; excess-in-flight, users-ended: users. None for the other kinds."""

    @property
    def caps(self) -> bool:
        """Whether it says that the generator could make no more requests, whatever the server can serve."""
        return self.kind in ("near-ceiling", "generator-busy", "users-idle")

    @property
    def blamed(self) -> Blamed:
        """Where the cause is."""
        match self.kind:
            case "steal" | "foreign-work":
                return "host"
            case "excess-in-flight":
                return "duel"
            case (
                "generators-lost" | "generator-busy" | "generator-idle" | "generator-late" | "near-ceiling"
                | "users-idle" | "users-ended" | "arrivals-late" | "arrivals-missing" | "rate-off"
                | "no-sockets"
            ):  # fmt: skip
                return "generator"
