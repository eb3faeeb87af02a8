"""Overhead of the twins over a minimal app: `make bench-minimal`.

Target: at least 0.90 of the throughput of a FastAPI app that does the same work and nothing else, for `ping`
and `posts.read`, in each style. For comparison, the same minimal app with its routes on an APIRouter, as in
any app of more than one file.
"""

from __future__ import annotations

import sys
from typing import TypeVar

from fastapi import APIRouter, FastAPI, HTTPException
from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, selectinload

from benchmarks.duels import as_figures, duel, write
from loadtests.plan.arms import BUILT_IN, Arm
from loadtests.system.processes import ROOT
from shared_models import sqlite
from shared_models.schemas import Answer, PostOut
from shared_models.settings import ASYNCHRONOUS, BLOCKING, Settings
from shared_models.tables import Post

BAR = 0.90
CELLS = (("ping", 64), ("posts.read", 64))
ROUNDS = 9
Routes = TypeVar("Routes", FastAPI, APIRouter)


def on_router(routes: APIRouter) -> FastAPI:
    app = FastAPI()
    app.include_router(routes)
    return app


def blocking() -> FastAPI:
    return blocking_on(FastAPI())


def blocking_routed() -> FastAPI:
    return on_router(blocking_on(APIRouter()))


def waiting() -> FastAPI:
    return waiting_on(FastAPI())


def waiting_routed() -> FastAPI:
    return on_router(waiting_on(APIRouter()))


def blocking_on(app: Routes) -> Routes:
    """`def` routes, and only what they need."""
    knobs = Settings.from_environment()
    engine = create_engine(knobs.url(BLOCKING), pool_size=knobs.pool_size, max_overflow=0)
    sqlite.prepare(engine, knobs)

    @app.get("/ping")
    def ping() -> Answer:
        return Answer(result="pong")

    @app.get("/posts/{post_id}", response_model=PostOut)
    def read_post(post_id: int) -> Post:
        with Session(engine) as session:
            row = session.scalar(select(Post).where(Post.id == post_id).options(selectinload(Post.author)))
        if row is None:
            raise HTTPException(404)
        return row

    return app


def waiting_on(app: Routes) -> Routes:
    """The same with `async def` routes."""
    knobs = Settings.from_environment()
    engine = create_async_engine(knobs.url(ASYNCHRONOUS), pool_size=knobs.pool_size, max_overflow=0)
    sqlite.prepare(engine.sync_engine, knobs)

    @app.get("/ping")
    async def ping() -> Answer:
        return Answer(result="pong")

    @app.get("/posts/{post_id}", response_model=PostOut)
    async def read_post(post_id: int) -> Post:
        async with AsyncSession(engine) as session:
            row = await session.scalar(
                select(Post).where(Post.id == post_id).options(selectinload(Post.author))
            )
        if row is None:
            raise HTTPException(404)
        return row

    return app


def main() -> None:
    figures = []
    for style, app in (("sync", "blocking"), ("async", "waiting")):
        minimal = Arm(name="minimal", app=f"benchmarks.minimal:{app}", app_dir=str(ROOT))
        routed = Arm(name="routed", app=f"benchmarks.minimal:{app}_routed", app_dir=str(ROOT))
        run, found = duel([minimal, routed, BUILT_IN[style]], CELLS, ROUNDS)
        figures += [{"style": style, **figure} for figure in as_figures(found)]
    met = True
    for figure in figures:
        if figure["arm"] == "routed":
            continue
        met &= figure["ratio"] >= BAR
        word = "met" if figure["ratio"] >= BAR else "MISSED"
        told = f"{figure['ratio']:.2f} of the minimal app (target {BAR}: {word})"
        print(f"{figure['arm']:8}{figure['scenario']:12}{told}")
    write("minimal", run, {"figures": figures, "bar": BAR})
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
