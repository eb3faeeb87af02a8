"""How other people's apps are started: what is an app, what is a factory, and why one does not start."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import socketio  # type: ignore[import-untyped]  # it ships no types
import websocket

from loadtests.errors import ChildFailed, Exit
from loadtests.plan.arms import BUILT_IN
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.external import DidNotStart
from loadtests.serving.server import Server
from loadtests.system.processes import ROOT
from loadtests.system.tracebacks import why
from tests.commands import duel_here
from tests.conftest import APPS
from tests.serving import app, get

INSIDE = Path(__file__).parent.parent / "loadtests" / "serving" / "inside"


def beside(name: str) -> ModuleType:
    """A module of the server's own process, as serve.py loads it."""
    spec = importlib.util.spec_from_file_location(f"duel_{name}", INSIDE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(APPS))
    return beside("loading")


@pytest.mark.parametrize(
    ("name", "interface"),
    [
        ("app", "asgi3"),
        ("plain", "asgi3"),
        ("wrapped", "asgi3"),
        ("Second", "asgi2"),
        ("Whole", "asgi3"),
        ("create_app", "asgi3"),
        ("bound", "asgi3"),
    ],
)
def test_apps_and_factories_without_arguments_are_told_apart(loading: Any, name: str, interface: str) -> None:
    made = loading.load(f"starting:{name}")
    assert type(made).__name__ == (
        "Whole" if name in ("Whole", "create_app", "bound") else type(made).__name__
    )
    assert loading.interface(made) == interface


def test_an_app_below_a_wrapper_is_served_through_it(loading: Any) -> None:
    """As Socket.IO wraps FastAPI, and as frameworks other than Starlette make their apps."""
    wrapper = socketio.ASGIApp(socketio.AsyncServer(async_mode="asgi"), loading.load("starting:app"))
    assert loading.checked(wrapper, "it is") is wrapper
    assert loading.interface(wrapper) == "asgi3"


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("build_app", "needs an argument: settings", "def create_app(): return build_app(settings=…)"),
        ("build_with_keyword", "needs an argument: settings", "build_with_keyword(settings=…)"),
        ("build_later", "needs an argument: settings", "build_later"),
        ("create_later", "is an `async def` without scope", "a plain function that returns the app"),
        ("create_nothing", "returned None, not an ASGI app", "a function that returns it"),
        ("settings", "is an object of type dict, not an ASGI app", "name the app itself"),
        ("wsgi", "is an object of type Flask, a WSGI app", "a2wsgi"),
        ("nowhere", "has no attribute 'nowhere'", "name the app"),
        ("crate_nothing", "has no attribute 'crate_nothing'", "did you mean 'create_nothing'?"),
    ],
)
def test_what_is_no_app_is_refused_with_the_way_out(loading: Any, name: str, message: str, hint: str) -> None:
    with pytest.raises(loading.UnusableApp) as caught:
        loading.load(f"starting:{name}")
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_module_that_is_not_there_is_told_from_one_that_lacks_a_package(loading: Any) -> None:
    with pytest.raises(loading.UnusableApp, match="there is no module 'nosuch'") as caught:
        loading.load("nosuch.main:app")
    assert "--app-dir" in caught.value.hint
    with pytest.raises(ModuleNotFoundError, match="a_package_that_nobody_has"):
        loading.load("broken:app")


def test_a_factory_reads_what_its_environment_holds_commas_included(
    loading: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STARTING_ORIGINS", "http://localhost,http://127.0.0.1:5173")
    assert type(loading.load("starting:needs_variable")).__name__ == "Whole"


def test_a_factory_with_an_argument_is_refused_before_any_load(environment: ServingEnvironment) -> None:
    with pytest.raises(ChildFailed, match="did not start") as caught:
        Server(app("build_app", "starting"), environment, "st.1").become_ready()
    assert "starting:build_app needs an argument: settings" in caught.value.cause
    assert "def create_app(): return build_app(settings=…)" in caught.value.hint
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize(
    ("name", "key", "line"),
    [
        ("needs_variable", "STARTING_ORIGINS", "starting.py:"),
        ("needs_variable_late", "STARTING_TOKEN", "starting.py:"),
    ],
)
def test_what_an_app_needs_in_its_environment_is_said(
    environment: ServingEnvironment, name: str, key: str, line: str
) -> None:
    """Whether it reads it while it is imported or in its lifespan."""
    with pytest.raises(ChildFailed) as caught:
        Server(app(name, "starting"), environment, "st.2").become_ready()
    assert key in caught.value.cause
    assert line in caught.value.cause
    assert f"env.{key}=VALUE" in caught.value.hint
    assert len(caught.value.cause.splitlines()) <= 3
    assert caught.value.exit_code == Exit.USAGE


def test_a_failed_lifespan_is_not_announced_as_ready_by_older_versions_of_uvicorn(
    environment: ServingEnvironment,
) -> None:
    with pytest.raises(DidNotStart, match="ended with exit code 3") as caught:
        Server(app("OlderUvicorn", "starting"), environment, "st.4").become_ready()
    assert "AssertionError: no token" in caught.value.cause


def test_a_twin_under_another_interpreter_gets_the_packages_of_that_one(
    environment: ServingEnvironment, tmp_path: Path
) -> None:
    """Where duel is installed, the twins lie among the packages of its own environment."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    for name in ("sync_app", "shared_models"):
        (packages / name).symlink_to(ROOT / name)
    (packages / "fastapi.py").write_text("raise RuntimeError('the one of duel')\n")
    arm = BUILT_IN["sync"].model_copy(update={"app_dir": str(packages)})
    with Server(arm, environment, "st.5") as server:
        assert get(f"{server.url}/ping")


def test_advise_says_the_same_in_a_few_lines(tmp_path: Path) -> None:
    done = duel_here("advise", "starting:needs_variable", "--app-dir", str(APPS), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "env.STARTING_ORIGINS=VALUE" in done.stderr
    assert len(done.stderr.splitlines()) <= 5


PYDANTIC = """\
Traceback (most recent call last):
  File "/duel/loadtests/serving/inside/serve.py", line 280, in main
    app = loading.load(options.app)
  File "/app/shop/settings.py", line 9, in <module>
    settings = Settings()
               ^^^^^^^^^^
  File "/app/.venv/lib/python3.12/site-packages/pydantic_settings/main.py", line 194, in __init__
    super().__init__(
pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings
database_url
  Field required [type=missing, input_value={}, input_type=dict]
    For further information visit https://errors.pydantic.dev/2.12/v/missing
a worker did not start
"""

CHAINED = """\
ERROR:    Traceback (most recent call last):
  File "/app/shop/main.py", line 3, in lifespan
    connect()
OSError: refused

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/usr/lib/python3.11/contextlib.py", line 210, in __aenter__
    return await anext(self.gen)
  File "/app/shop/main.py", line 5, in lifespan
    raise NoDatabase("gone") from None
shop.NoDatabase: gone

ERROR:    Application startup failed. Exiting.
"""

EXITING = "warming up\nset DATABASE_URL first\n"

SYNTAX = """\
Traceback (most recent call last):
  File "<frozen importlib._bootstrap>", line 241, in _call_with_frames_removed
  File "/app/shop/main.py", line 7
    def home(:
             ^
SyntaxError: invalid syntax
"""


@pytest.mark.parametrize(
    ("text", "cause", "hint"),
    [
        (
            PYDANTIC,
            "pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings database_url "
            "Field required [type=missing, input_value={}, input_type=dict]\n"
            "shop/settings.py:9: settings = Settings()",
            "env.KEY=VALUE",
        ),
        (
            CHAINED,
            'shop.NoDatabase: gone\nshop/main.py:5, in lifespan: raise NoDatabase("gone") from None',
            "",
        ),
        (EXITING, "warming up\nset DATABASE_URL first", ""),
        (SYNTAX, "SyntaxError: invalid syntax\nshop/main.py:7: def home(:", ""),
        ("UnusableApp: no\nhint: this way", "UnusableApp: no", "this way"),
        ("", "", ""),
    ],
)  # fmt: skip
def test_a_cause_is_the_exception_and_the_last_line_that_is_the_apps_own(
    text: str, cause: str, hint: str
) -> None:
    found = why(text, "/app")
    assert found.cause == cause
    assert hint in found.hint
    assert bool(hint) == bool(found.hint)


def test_web_sockets_are_served(environment: ServingEnvironment) -> None:
    with Server(app("echoing", "starting"), environment, "st.3") as server:
        talk = websocket.create_connection(f"ws://127.0.0.1:{server.port}/", timeout=20)
        talk.send("hello")
        assert talk.recv() == "hello"
        talk.close()


def test_an_environment_without_a_library_for_web_sockets_is_named_in_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Transport:
        sent = b""

        def write(self, data: bytes) -> None:
            self.sent += data

        def close(self) -> None: ...

    sockets = beside("sockets")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    refusing, transport = sockets.protocols(lambda _: None)(), Transport()
    refusing.connection_made(transport)
    refusing.data_received(b"GET / HTTP/1.1\r\n\r\n")
    head, _, body = transport.sent.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 501 WebSockets are not served: install wsproto")
    assert body == sockets.NONE
