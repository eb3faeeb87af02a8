"""What an arm's requests cost."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.records import Cell, Run
from reports.analysis.signs import Signs


@dataclass(frozen=True)
class Cost:
    """Resource use in one cell; None where the platform does not report it."""

    cpu: float | None
    """CPU seconds per 1,000 requests."""
    rss: float | None
    """Bytes of resident memory."""
    threads: float | None
    hops: float | None
    """Calls handed to worker threads per request, measured with one user."""


def cost(run: Run, cell: Cell, arm: str, signs: Signs | None) -> Cost:
    """Resource use of an arm, from its signs in a cell and its calibration with one user."""
    seen = run.calibration(arm, cell.scenario, 1)
    return Cost(
        cpu=signs.cpu * 1000 if signs and signs.cpu is not None else None,
        rss=signs.rss if signs else None,
        threads=signs.threads if signs else None,
        hops=seen.hops if seen else None,
    )
