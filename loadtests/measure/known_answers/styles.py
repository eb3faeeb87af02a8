"""One app in both styles, of whose routes every engineer knows which style they should have.

The paths are those of the built-in scenarios, which load them; `/light` is the canary's.
"""

from __future__ import annotations

import asyncio
import hashlib
import time

from fastapi import FastAPI

from loadtests.measure.known_answers.apps import BLOCK, COMPUTE, WAIT, compute

HEAVY = 2 * COMPUTE
"""Iterations: about 4 ms."""

HASHES = 10_000
"""Iterations of PBKDF2: about 4 ms, in which the GIL is free."""

LIGHT: dict[str, object] = {"status": "ok", "articles": [1, 2, 3]}


def release() -> int:
    """Computes in C, and releases the GIL."""
    return len(hashlib.pbkdf2_hmac("sha256", b"password", b"salt", HASHES))


def def_routes() -> FastAPI:
    """Every route is `def`."""
    app = FastAPI()

    @app.get("/light")
    @app.get("/ping")
    def light() -> dict[str, object]:
        return LIGHT

    @app.get("/python")
    def python() -> int:
        return compute(HEAVY)

    @app.get("/hash")
    def hash() -> int:
        return release()

    @app.get("/pitfalls/blocking")
    def blocking() -> str:
        time.sleep(BLOCK)
        return "done"

    @app.get("/sleep")
    def sleep() -> str:
        time.sleep(WAIT)
        return "done"

    return app


def async_routes() -> FastAPI:
    """Every route is `async def`; only `/sleep` has something to await."""
    app = FastAPI()

    @app.get("/light")
    @app.get("/ping")
    async def light() -> dict[str, object]:
        return LIGHT

    @app.get("/python")
    async def python() -> int:
        return compute(HEAVY)

    @app.get("/hash")
    async def hash() -> int:
        return release()

    @app.get("/pitfalls/blocking")
    async def blocking() -> str:
        time.sleep(BLOCK)  # the point
        return "done"

    @app.get("/sleep")
    async def sleep() -> str:
        await asyncio.sleep(WAIT)
        return "done"

    return app
