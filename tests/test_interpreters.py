"""An app is served by its own project's interpreter, with what that has installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from loadtests.errors import Exit, PlanError
from loadtests.measure.planning import arms_of, planned
from loadtests.plan.arms import Serving, parse_arm
from loadtests.plan.interpreter import project_python
from loadtests.plan.settings import RunSettings
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from tests.commands import duel_here
from tests.serving import get
from tests.test_base_ref import git

PLAIN = ("uvicorn", "anyio", "click", "h11", "idna", "sniffio", "typing_extensions", "starlette")
"""What `pip install uvicorn` installs, and an app framework: no uvloop, no httptools."""


def environment_in(home: Path, packages: tuple[str, ...] = ()) -> Path:
    """A virtual environment with a few of our packages; its interpreter."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = home / "lib" / version / "site-packages"
    (home / "bin").mkdir(parents=True)
    site.mkdir(parents=True)
    base = Path(sys.base_prefix) / "bin"
    (home / "pyvenv.cfg").write_text(f"home = {base}\ninclude-system-site-packages = false\n")
    (home / "bin" / "python").symlink_to(Path(sys.executable).resolve())
    for name in packages:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            found = origin.parent if origin.name == "__init__.py" else origin
            (site / found.name).symlink_to(found)
    return home / "bin" / "python"


def test_the_activated_environment_comes_first_then_the_nearest_up_to_the_project(tmp_path: Path) -> None:
    source = tmp_path / "shop" / "src" / "shop"
    source.mkdir(parents=True)
    above = environment_in(tmp_path / ".venv")
    assert project_python(source, {}) is None
    (tmp_path / "shop" / ".git").mkdir()
    own = environment_in(tmp_path / "shop" / ".venv")
    assert project_python(source, {}) == str(own)
    assert project_python(source, {"VIRTUAL_ENV": str(tmp_path / ".venv")}) == str(above)
    assert project_python(source, {"VIRTUAL_ENV": "/nowhere"}) == str(own)


def test_our_own_environment_is_no_projects(tmp_path: Path) -> None:
    assert project_python(tmp_path, {"VIRTUAL_ENV": sys.prefix}) is None


def test_what_names_its_interpreter_gets_it_and_the_twins_get_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(environment_in(tmp_path / "venv").parents[1]))
    assert parse_arm("own=shop:app", "/").python == str(tmp_path / "venv" / "bin" / "python")
    assert parse_arm(f"own=shop:app,python={sys.executable}", "/").python == sys.executable
    monkeypatch.delenv("VIRTUAL_ENV")
    assert parse_arm(f"own=shop:app,app-dir={tmp_path}", "/").python == str(
        tmp_path / "venv" / "bin" / "python"
    )
    assert parse_arm("sync", "/").python is None
    assert parse_arm("there=http://127.0.0.1:8000", "/").python is None


def test_an_interpreter_without_uvicorn_is_refused_before_load_with_the_way_out(tmp_path: Path) -> None:
    python = environment_in(tmp_path / ".venv")
    done = duel_here("run", "shop:app", "-s", "ping", "--dry-run", cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert "not installed there: uvicorn, anyio" in done.stderr
    assert f"hint: {python} -m pip install uvicorn anyio" in done.stderr


def test_where_one_arm_has_no_uvloop_no_arm_uses_it_unless_it_asks_for_it(tmp_path: Path) -> None:
    python = environment_in(tmp_path / ".venv", PLAIN)
    plain, ours, asked = arms_of(
        RunSettings(), [f"plain=shop:app,python={python}", "ours=shop:app", "asked=shop:app,loop=uvloop"]
    )
    assert (plain.serving.loop, plain.serving.http) == ("asyncio", "h11")
    assert ours.serving == plain.serving
    assert (asked.serving.loop, asked.serving.http) == ("uvloop", "h11")
    with pytest.raises(PlanError, match="cannot be served"):
        arms_of(RunSettings(), [f"plain=shop:app,python={python},loop=uvloop"])
    assert arms_of(RunSettings(), ["ours=shop:app"])[0].serving == Serving()


def test_an_app_without_an_environment_is_served_by_that_of_the_other_arm(tmp_path: Path) -> None:
    """As in a worktree beside the checkout; unless it names one, or the other arm's is named."""
    python = environment_in(tmp_path / "new" / ".venv", PLAIN)
    (tmp_path / "old").mkdir()
    old, new = f"old=shop:app,cwd={tmp_path / 'old'}", f"new=shop:app,cwd={tmp_path / 'new'}"
    assert [arm.python for arm in arms_of(RunSettings(), [old, new, "sync"])] == [str(python)] * 2 + [None]
    named = arms_of(RunSettings(), [f"{old},python={sys.executable}", new])
    assert [arm.python for arm in named] == [sys.executable, str(python)]
    assert arms_of(RunSettings(), [old, f"{new},python={python}"])[0].python is None


@pytest.mark.parametrize(
    "chosen", [{"base_ref": "HEAD"}, {"sweep": ["threads=10,40"]}], ids=["base and head", "a sweep"]
)
def test_arms_made_of_an_arm_ask_for_no_more_than_it_does(tmp_path: Path, chosen: dict[str, Any]) -> None:
    """Both sides of a gate, and the arms of a sweep, where the project has plain uvicorn."""
    (tmp_path / "shop.py").write_text(APP)
    python = environment_in(tmp_path.parent / f"{tmp_path.name}-env", PLAIN)
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "app"]):
        git(tmp_path, *words)
    plan = planned(
        arm=[f"own=shop:app,python={python}"], app_dir=str(tmp_path), scenario=["ping"], users=[1], **chosen
    )
    assert [(arm.serving.loop, arm.serving.http) for arm in plan.arms] == [("asyncio", "h11")] * 2


def test_an_app_of_a_project_with_plain_uvicorn_is_served_by_it_and_the_plan_says_so(
    tmp_path: Path, environment: ServingEnvironment
) -> None:
    (tmp_path / "shop.py").write_text(APP)
    python = environment_in(tmp_path / ".venv", PLAIN)
    plan = planned(arm=["own=shop:app"], app_dir=str(tmp_path), scenario=["ping"], users=[1])
    with Server(plan.arms[0], environment, "1.plain") as server:
        assert get(f"{server.url}/").decode() == f"{python} asyncio"
    said = duel_here("run", "shop:app", "-s", "ping", "--dry-run", cwd=tmp_path)
    assert f"app: served by {python}, with asyncio and h11." in said.stdout


APP = """
import asyncio
import sys

async def app(scope, receive, send):
    if scope["type"] == "http":
        text = f"{sys.executable} {type(asyncio.get_running_loop()).__module__.split('.')[0]}"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})
"""
