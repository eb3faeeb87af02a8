"""Layers of middleware in front of an app: `middleware=` and `pure-middleware=`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from loadtests.plan.arms import Serving
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.inside import loading, middleware
from loadtests.serving.server import Server
from loadtests.system.tracebacks import why
from tests.serving import app, get


def a_starlette() -> Any:
    return Starlette(routes=[Route("/", lambda _: PlainTextResponse("here", 203))])


def any_app() -> Any:
    return PlainTextResponse("here", 203)


def of_the_older_interface() -> Any:
    def app(scope: Any) -> Any:
        async def called(receive: Any, send: Any) -> None:
            await PlainTextResponse("here", 203)(scope, receive, send)

        return called

    return app


@pytest.mark.parametrize("made", [a_starlette, any_app, of_the_older_interface])
@pytest.mark.parametrize(("base", "pure"), [(2, 0), (0, 3), (1, 2)])
def test_every_layer_sees_every_answer(
    made: Callable[[], Any], base: int, pure: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(middleware, "seen", seen.append)
    whole = made()
    whole = middleware.behind(whole, loading.interface(whole), base, pure)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(whole)
        async with httpx.AsyncClient(transport=transport, base_url="http://duel") as client:
            return await client.get("/")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.text) == (203, "here")
    assert seen == [203] * (base + pure)


@pytest.mark.parametrize("made", [a_starlette, any_app, of_the_older_interface])
def test_without_layers_the_app_is_served_as_it_is(made: Callable[[], Any]) -> None:
    whole = made()
    assert middleware.behind(whole, loading.interface(whole), 0, 0) is whole
    assert not getattr(whole, "user_middleware", ())


def test_what_is_no_request_passes_all_layers() -> None:
    passed: list[tuple[Any, ...]] = []

    async def socket(*given: Any) -> None:
        passed.append(given)

    given = ({"type": "websocket"}, object(), object())
    asyncio.run(middleware.behind(socket, "asgi3", 1, 1)(*given))
    assert passed == [given]


def test_without_starlette_the_error_names_the_other_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette.middleware.base", None)
    assert middleware.behind(any_app, "asgi3", 0, 1) is not any_app
    with pytest.raises(middleware.NoBaseMiddleware) as caught:
        middleware.behind(any_app, "asgi3", 1, 0)
    told = why(caught.value.lines())
    assert "middleware= needs Starlette" in told.cause
    assert "pure-middleware=" in told.hint


def test_an_arm_is_served_behind_its_layers(environment: ServingEnvironment) -> None:
    with Server(app("knobs", serving=Serving(middleware=1)), environment, "mw.1") as server:
        assert json.loads(get(server.url))["send"].startswith("BaseHTTPMiddleware.")
