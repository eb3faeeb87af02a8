"""HTTP clients in an async route, compared: `make bench-transports`.

One route that calls the slow service (20 ms) once, through each client, with 1 to 256 concurrent calls.
The reference is a `def` route with `httpx.Client`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import httpx
from fastapi import FastAPI
from httpx_aiohttp import AiohttpTransport

from benchmarks.duels import as_figures, duel, write
from loadtests.plan.arms import Arm
from loadtests.system.processes import ROOT

LEVELS = (1, 16, 64, 256)
LIMITS = httpx.Limits(max_connections=256, max_keepalive_connections=256)
ARMS = ("httpx-in-threads", "httpx", "httpx-on-aiohttp", "aiohttp")

Call = Callable[[], Awaitable[str]]


def service() -> str:
    return os.environ["DUEL_APP_UPSTREAM"] + "?delay=0.02"


def threads() -> FastAPI:
    """A `def` route with a blocking client."""
    app = FastAPI()
    client = httpx.Client(limits=LIMITS, timeout=30, trust_env=False)

    @app.get("/upstream")
    def upstream() -> str:
        return client.get(service()).text

    return app


def on_loop(opened: Callable[[], AbstractAsyncContextManager[Call]]) -> FastAPI:
    """An `async def` route with the client that `opened` yields."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened() as app.state.call:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/upstream")
    async def upstream() -> str:
        found: str = await app.state.call()
        return found

    return app


@asynccontextmanager
async def httpx_with(transport: httpx.AsyncBaseTransport | None) -> AsyncIterator[Call]:
    async with httpx.AsyncClient(limits=LIMITS, timeout=30, transport=transport, trust_env=False) as client:

        async def call() -> str:
            return (await client.get(service())).text

        yield call


@asynccontextmanager
async def aiohttp_alone() -> AsyncIterator[Call]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256)) as client:

        async def call() -> str:
            async with client.get(service()) as answer:
                return await answer.text()

        yield call


def plain() -> FastAPI:
    return on_loop(lambda: httpx_with(None))


def scaling() -> FastAPI:
    return on_loop(lambda: httpx_with(AiohttpTransport(limits=LIMITS)))


def alone() -> FastAPI:
    return on_loop(aiohttp_alone)


def main() -> None:
    apps = ("threads", "plain", "scaling", "alone")
    arms = [
        Arm(name=name, app=f"benchmarks.transports:{app}", app_dir=str(ROOT))
        for name, app in zip(ARMS, apps, strict=True)
    ]
    run, found = duel(arms, [("upstream", users) for users in LEVELS], rounds=4)
    print(f"\n{'concurrent calls':20}" + "".join(f"{users:>22}" for users in LEVELS))
    rates = {
        (arm.name, verdict.cell.load.users): verdict.values.get(arm.name)
        for verdict in found
        for arm in arms
        if arm.name in verdict.values
    }
    for arm in arms:
        cells = []
        for users in LEVELS:
            verdict = next((v for v in found if v.arm == arm.name and v.cell.load.users == users), None)
            ratio = f"×{verdict.ratio:.2f}" if verdict and verdict.ratio else "1"
            cells.append(f"{rates[arm.name, users] or 0:10,.0f}/s {ratio:>9}")
        print(f"{arm.name:20}" + "".join(f"{cell:>22}" for cell in cells))
    write("transports", run, {"figures": as_figures(found)})


if __name__ == "__main__":
    main()
