"""The pulse: a path in front of any app, and what reports say of it. Real loads are in test_heartbeat.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from loadtests.measure.trials.underway import has_pulse
from loadtests.plan.cells import Cell, Load
from loadtests.records.directory import RunDirectory
from loadtests.serving.inside import loading, serve
from loadtests.serving.inside.pulse import with_pulse
from loadtests.serving.server import Target
from reports.analysis.readings import Readings
from reports.conclusions import Conclusions, conclude
from reports.render import html, markdown
from reports.render.summary import summary
from reports.wording.advice.cards import card_figures
from reports.wording.advice.portraits import portrait_lines
from tests import scripted
from tests.scripted import Scripted

GOLDEN = Path(__file__).parent / "golden"
PULSE = "/0123456789abcdef0123456789abcdef"


async def here(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.scope["root_path"] + " is here")


fast = FastAPI()
fast.add_route("/here", here)
routes = [Route("/here", here), Mount("/below", routes=[Route("/here", here)])]
star = Starlette(routes=routes)


class Second:
    """An app of ASGI 2."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        await star(self.scope, receive, send)


def asked(app: Any, *questions: tuple[str, str], flags: tuple[str, ...] = ()) -> list[tuple[int, str]]:
    """Status and body of each answer, of an app that serve.py has handed to uvicorn."""
    kind = loading.interface(app)
    fronted = serve.fronted(app, kind, serve.parsed(["a:b", *flags]))
    config = uvicorn.Config(fronted, interface=kind, log_config=None)
    config.load()

    async def ask() -> list[tuple[int, str]]:
        transport = httpx.ASGITransport(cast(Any, config.loaded_app))
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            answers = [await client.request(method, path) for method, path in questions]
        return [(one.status_code, one.text) for one in answers]

    return asyncio.run(ask())


@pytest.mark.parametrize("app", [fast, star, Second], ids=["FastAPI", "Starlette", "ASGI2"])
def test_one_path_is_answered_before_the_app_and_all_others_by_it(app: Any) -> None:
    questions = [("GET", path) for path in ("/here", "/below/here", "/nowhere", f"{PULSE}/", "/openapi.json")]
    pulse, *others = asked(app, ("GET", PULSE), *questions, flags=("--pulse", PULSE))
    assert pulse == (200, "")
    assert others == asked(app, *questions)
    assert [status for status, _ in others[2:4]] == [404, 404]


def test_an_app_that_must_change_nothing_has_a_pulse() -> None:
    flags = ("--reads-only", "--pulse", PULSE)
    answers = asked(star, ("GET", PULSE), ("POST", "/here"), ("GET", "/here"), flags=flags)
    assert [status for status, _ in answers] == [200, 405, 200]


@pytest.mark.parametrize("interface", ["asgi2", "asgi3"])
@pytest.mark.parametrize("scope", [{"type": "lifespan"}, {"type": "websocket", "path": PULSE}])
def test_other_scopes_get_the_very_awaitable_of_the_app(interface: str, scope: Mapping[str, Any]) -> None:
    """No coroutine of ours is around it."""
    rest = () if interface == "asgi2" else ("receive", "send")
    answer = object()
    seen = []

    def app(*given: Any) -> object:
        seen.append(given)
        return answer

    assert with_pulse(app, interface, PULSE)(scope, *rest) is answer
    assert seen == [(scope, *rest)]


def test_the_pulse_runs_beside_all_loads_of_our_servers_but_one_user() -> None:
    """Whatever the scenario, and whether or not there is a canary."""
    ours, external = (cast(Target, SimpleNamespace(pulse=path)) for path in (PULSE, None))
    many, one = Cell(scenario="ping", load=Load(users=64)), Cell(scenario="ping", load=Load(users=1))
    assert has_pulse(ours, many)
    assert has_pulse(ours, Cell(scenario="ping", load=Load(rate=100.0, arrivals="poisson")))
    assert not has_pulse(ours, one)
    assert not has_pulse(external, many)


def seen(parent: Path, arms: tuple[str, ...], told: Mapping[str, Scripted]) -> Conclusions:
    run, directory = scripted.run(parent, scripted.plan(arms), lambda arm, *_: told[arm])
    return conclude(run, Readings(directory))


def test_every_report_shows_what_an_async_and_the_apps_own_neighbour_wait(tmp_path: Path) -> None:
    told = {"sync": Scripted(canary=0.182, pulse=0.035), "async": Scripted(canary=0.255, pulse=0.25)}
    found = seen(tmp_path, ("sync", "async"), told)
    (card,) = found.cards
    waits = card_figures(card, ["sync", "async"])[1:3]
    assert waits == ("38.2 ms / 273 ms (p95)", "199 ms / 278 ms (p95)")
    page = html.page(found, [], summary(found))
    for text in waits:
        assert text in markdown.report(found)
        assert text in page
    assert "an async def neighbour waits (pulse), sync / async" in page
    (listed,) = json.loads(json.dumps(summary(found)))["cards"]
    assert listed["pulses"]["sync"]["response_time"] < listed["neighbours"]["sync"]["response_time"]


@pytest.mark.parametrize(
    ("pulse", "said"),
    [
        (0.035, "an `async def` neighbour waits 38.2 ms (p95, pulse); the app's own light route waits "),
        (None, "the app's own light route waits "),
    ],
    ids=["ours", "external"],
)
def test_an_only_arm_says_what_is_known_of_both_neighbours(
    tmp_path: Path, pulse: float | None, said: str
) -> None:
    found = seen(tmp_path, ("app",), {"app": Scripted(canary=0.182, pulse=pulse)})
    (portrait,) = found.portraits
    lines = portrait_lines(portrait, found.explanations)
    assert f"{said}199 ms (p95, canary)" in lines


@pytest.mark.parametrize("name", ["duel-run-2-closed", "duel-run-2-open"])
def test_runs_of_earlier_versions_have_no_pulse_and_are_read(name: str) -> None:
    directory = RunDirectory(GOLDEN / name)
    found = conclude(directory.load(), Readings(directory))
    assert found.cards
    for card in found.cards:
        assert not any(card.pulses.values())
    assert "neighbour waits (pulse)" not in html.page(found, [], summary(found))
