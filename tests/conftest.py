"""What the tests share: the seeded data, the twin apps in this process, a run made of scripted numbers."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

import async_app.main
import sync_app.main
from shared_models.seed import build
from shared_models.settings import Settings

APPS = Path(__file__).parent / "apps"

CREATE: dict[str, Callable[[Settings], FastAPI]] = {
    "sync": sync_app.main.create_app,
    "async": async_app.main.create_app,
}

Talk = Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seeded data, built once; nobody writes to it."""
    directory = tmp_path_factory.mktemp("seeded")
    build(directory)
    return directory


@pytest.fixture
def settings(seeded: Path, tmp_path: Path) -> Settings:
    """The apps' knobs on a fresh copy of the data."""
    data = tmp_path / "data"
    shutil.copytree(seeded, data)
    return replace(Settings(), data=str(data))


@asynccontextmanager
async def opened(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client that speaks to `app` in this process, its lifespan run as a server would."""
    async with app.router.lifespan_context(app) as state:
        transport = httpx.ASGITransport(app=StateApp(app, dict(state or {})), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://duel") as client:
            yield client


class StateApp:
    """Puts the lifespan's state into every request's scope, as a server does."""

    def __init__(self, app: FastAPI, state: dict[str, Any]) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope, "state": dict(self.state)}, receive, send)


@pytest.fixture(params=["sync", "async"])
def talk(request: pytest.FixtureRequest, settings: Settings) -> Callable[[Talk], None]:
    """Runs a conversation with one twin, then with the other."""

    def converse(conversation: Talk) -> None:
        async def main() -> None:
            async with opened(CREATE[request.param](settings)) as client:
                await conversation(client)

        asyncio.run(main())

    return converse
