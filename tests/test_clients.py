"""The HTTP clients that the twins call the slow service with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import ModuleType

import pytest

import async_app.main
import async_app.upstream
import sync_app.main
import sync_app.upstream
from loadtests.errors import PlanError
from loadtests.plan.arms import BUILT_IN, CLIENTS, parse_arm, swept
from loadtests.serving.environment import ServingEnvironment
from reports.analysis.catalogue import http_client
from shared_models.settings import Settings
from tests.conftest import Opening, Variant, opened
from tests.serving import name_a_proxy

TWINS: tuple[tuple[str, ModuleType, ModuleType], ...] = (
    ("sync", sync_app.main, sync_app.upstream),
    ("async", async_app.main, async_app.upstream),
)

EACH = [
    pytest.param(main, client, id=f"{style}-{client}")
    for style, main, _ in TWINS
    for client in CLIENTS[BUILT_IN[style].app]
]


class Refusing(BaseHTTPRequestHandler):
    """Answers every GET with 501."""

    def log_message(self, *_: object) -> None:
        """Not to stderr."""


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    """The URL of a service that answers with errors."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(("main", "client"), EACH)
def test_every_client_calls_the_slow_service_and_its_failure_is_a_502(
    main: ModuleType, client: str, fresh: Opening, environment: ServingEnvironment, refusing: str
) -> None:
    async def status(knobs: Settings) -> tuple[int, int, dict[str, str]]:
        app = main.create_app(knobs)
        async with opened(app) as talking:
            paths = ("/upstream?seconds=0.001", "/fan-out?calls=3&seconds=0.001")
            one, many = [(await talking.get(path)).status_code for path in paths]
            return one, many, app.state.duel_in_force

    with fresh(Variant("async")) as plain:
        knobs = replace(plain, client=client, upstream=f"{environment.slow_url}/clients/")
        assert asyncio.run(status(knobs)) == (200, 200, {"client": client})
        # Nothing listens at the first.
        for broken in ("http://127.0.0.1:9/", refusing):
            assert asyncio.run(status(replace(knobs, upstream=broken)))[:2] == (502, 502)


@pytest.mark.parametrize(("main", "client"), EACH)
def test_no_client_goes_through_a_proxy_that_the_environment_names(
    main: ModuleType,
    client: str,
    fresh: Opening,
    environment: ServingEnvironment,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise the calls of one arm would, and those of another, whose client knows no such proxies, not."""

    async def statuses(knobs: Settings) -> list[int]:
        async with opened(main.create_app(knobs)) as talking:
            paths = ("/upstream?seconds=0.001", "/pitfalls/plain-client?seconds=0.001")
            return [(await talking.get(path)).status_code for path in paths]

    name_a_proxy(monkeypatch)
    with fresh(Variant("async")) as plain:
        knobs = replace(plain, client=client, upstream=f"{environment.slow_url}/clients/")
        assert asyncio.run(statuses(knobs)) == [200, 200]


@pytest.mark.parametrize(("style", "main", "upstream"), TWINS)
def test_the_usual_client_of_a_twin_is_its_first_and_an_unknown_one_is_refused(
    style: str, main: ModuleType, upstream: ModuleType
) -> None:
    assert CLIENTS[BUILT_IN[style].app][0] == upstream.USUAL
    with pytest.raises(ValueError, match="DUEL_APP_CLIENT='requests' is none of httpx, httpx2"):
        upstream.opening(Settings(), "requests")


def test_a_client_is_a_setting_of_the_twins() -> None:
    arm = parse_arm("x=async,client=httpx2", ".")
    assert arm.env == {"DUEL_APP_CLIENT": "httpx2"}
    arms = swept([BUILT_IN["async"]], ["client=httpx,httpx2,aiohttp"])
    assert [arm.name for arm in arms] == [
        "async-client-httpx", "async-client-httpx2", "async-client-aiohttp"
    ]  # fmt: skip
    assert [http_client(arm, "upstream") for arm in arms] == [
        "httpx.AsyncClient", "httpx2.AsyncClient", "aiohttp.ClientSession"
    ]  # fmt: skip
    assert http_client(parse_arm("x=sync,client=httpx2", "."), "fan-out") == "httpx2.Client"
    # The pitfall is about one client.
    assert http_client(arms[-1], "plain-client") == "httpx.AsyncClient"


@pytest.mark.parametrize("text", ["x=sync,client=aiohttp", "x=sync,env.DUEL_APP_CLIENT=aiohttp"])
def test_a_client_that_a_style_does_not_have_is_refused_with_those_that_it_has(text: str) -> None:
    with pytest.raises(
        PlanError, match=r"'x': sync_app\.main:create_app has no HTTP client 'aiohttp'"
    ) as found:
        parse_arm(text, ".")
    assert found.value.cause == "aiohttp is asynchronous only"
    assert "httpx and httpx2" in found.value.hint


def test_a_sweep_over_clients_of_which_a_style_lacks_one_is_refused() -> None:
    with pytest.raises(PlanError, match=r"'sync-client-aiohttp': sync_app\.main:create_app has no"):
        swept([BUILT_IN["sync"]], ["client=httpx,aiohttp"])


def test_other_apps_have_no_client_of_ours() -> None:
    with pytest.raises(PlanError, match="client is a setting of the built-in apps, and arm 'x' is another"):
        parse_arm("x=shop:app,client=httpx2", ".")
