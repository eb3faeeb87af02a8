"""How an arm's server really runs: what an app sets itself overrules what its arm asked for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from loadtests.plan.fields import Frozen, Line


class InForce(Frozen):
    """What a server reported of itself before the rounds."""

    workers: Annotated[int, Field(ge=1, le=10_000)]
    """Processes that reported."""
    threads: Annotated[int, Field(ge=0, le=10**9)] | None = None
    """Thread tokens of AnyIO's limiter, in each worker; None: without a limit."""
    pool: Annotated[int, Field(ge=0, le=10**9)] | None = None
    """Connections that the pools of SQLAlchemy may hold, in each worker; None: no pool is known, or without a
    limit."""
    server: Line | None = None
    """What serves the app, as `granian 2.8.9`; None in earlier versions."""
    client: Line | None = None
    """The HTTP client that a twin calls the slow service with; None for other apps."""
