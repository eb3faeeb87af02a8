"""The async app. Serve it with `duel serve async`, or `uvicorn --factory async_app.main:create_app`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing import get_context
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from async_app.cache import open_cache
from async_app.database import connect, sessions, writing_sessions
from async_app.jobs import open_queue
from async_app.routers import computing, mixed, pages, pitfalls, plumbing, posts, services, users, waiting
from async_app.upstream import USUAL, open_upstream
from shared_models import blocking
from shared_models.errors import error_page, on_page, sayable
from shared_models.schemas import Answer
from shared_models.settings import Settings
from shared_models.tables import Base


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the app from `settings`, by default read from the environment; opens nothing before startup."""
    knobs = settings or Settings.from_environment()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        engine = connect(knobs)
        blocking_engine = blocking.engine(knobs)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with (
            open_upstream(knobs, knobs.client or USUAL) as upstream,
            open_upstream(knobs, "httpx") as plain_upstream,
            open_cache(knobs) as cache,
            open_queue(knobs) as queue,
        ):
            # Spawned, since forking a process with threads may hang; the first job starts the workers.
            processes = ProcessPoolExecutor(knobs.processes, get_context("spawn"))
            threads = ThreadPoolExecutor(knobs.executor_threads)
            app.state.duel_in_force = {"client": upstream.client}  # read by what serves this app
            yield {
                "settings": knobs,
                "reading": sessions(engine),
                "writing": writing_sessions(engine),
                "upstream": upstream,
                "plain_upstream": plain_upstream,
                "processes": processes,
                "threads": threads,
                "blocking": blocking.sessions(blocking_engine),
                "cache": cache,
                "queue": queue,
            }
            processes.shutdown(cancel_futures=True)
            threads.shutdown(cancel_futures=True)
        blocking_engine.dispose()
        await engine.dispose()

    app = FastAPI(title="The duel blog", lifespan=lifespan)
    handle_errors(app)

    # On the app itself, as health checks usually are: an included router costs 8 µs per request.
    @app.get("/ping", tags=["waiting"])
    async def ping() -> Answer:
        """A health check: responds immediately, so it measures the framework alone. Expect async ahead, since
        `def` pays for two thread hops (the call, and the validation of its response)."""
        return Answer(result="pong")

    # Cheapest first: FastAPI tries the routes in order, about 2 µs each.
    for module in (waiting, posts, users, computing, mixed, pages, pitfalls, plumbing, services):
        app.include_router(module.router)
    return app


def handle_errors(app: FastAPI) -> None:
    """Answer errors as HTML on pages, and as JSON elsewhere."""

    # Coroutines in both apps, since they delegate to FastAPI's own handlers, which are coroutines.
    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> Response:
        if on_page(request):
            return error_page(request, error.status_code, error.detail)
        return await http_exception_handler(request, error)

    @app.exception_handler(RequestValidationError)
    async def on_invalid_request(request: Request, error: RequestValidationError) -> Response:
        if on_page(request):
            return error_page(request, 422, "This address is not valid")
        return await request_validation_exception_handler(request, sayable(error))
