"""Every module of a gate's arms comes from the arm's own version, wherever the path leads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtests.errors import ChildFailed
from loadtests.plan.arms import Arm, Serving
from loadtests.plan.base.commit import resolve
from loadtests.plan.base.pairs import paired
from loadtests.serving.checkout import checked_out
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import serve
from loadtests.serving.versions import Version
from tests import scripted
from tests.serving import get
from tests.test_base_ref import git

ENTRY = """
import asyncio

def version():
    {load}
    return pricing.VERSION

{first}

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = version().encode()
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": body}})
"""
AT_START = ENTRY.format(load="from shop import pricing", first="version()")
LAZY = ENTRY.format(load="from shop import pricing", first="")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a thin entry module and its code in src/shop, and a change of it."""
    path = tmp_path / "project"
    (path / "deploy").mkdir(parents=True)
    (path / "src" / "shop").mkdir(parents=True)
    (path / "src" / "shop" / "__init__.py").write_text("")
    (path / "src" / "shop" / "pricing.py").write_text("VERSION = 'base'\n")
    (path / "deploy" / "entry.py").write_text(AT_START)
    (path / "deploy" / "lazy.py").write_text(LAZY)
    git(path, "init", "-q", "-b", "main")
    git(path, "add", ".")
    git(path, "commit", "-q", "-m", "A shop")
    (path / "src" / "shop" / "pricing.py").write_text("VERSION = 'head'\n")
    return path


@contextmanager
def sides(project: Path, environment: ServingEnvironment, app: str, **env: str) -> Iterator[tuple[Arm, ...]]:
    """The arms of a gate of `app`, with the base checked out."""
    shop = Arm(name="shop", app=app, app_dir=str(project / "deploy"), env=env)
    base = resolve("main", project)
    arms, against = paired([shop], base, None)
    plan = scripted.plan().model_copy(update={"arms": arms, "against": against, "base": base, "gate": True})
    with checked_out(plan) as checkout:
        environment.checkout = checkout
        try:
            yield arms
        finally:
            environment.checkout = None


def answers(arms: tuple[Arm, ...], environment: ServingEnvironment) -> list[bytes]:
    found = []
    for arm in arms:
        with serve(arm, environment, "1.version") as server:
            found.append(get(server.url))
    return found


FINDER = """
import importlib.util, sys

class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "shop":
            return importlib.util.spec_from_file_location(
                "shop", {package!r} + "/__init__.py", submodule_search_locations=[{package!r}]
            )

sys.meta_path.append(Finder)
"""
"""What an editable install of setuptools or hatch does at start."""


@pytest.mark.parametrize("app", ["entry:app", "lazy:app"])
@pytest.mark.parametrize("way", ["path", "finder"])
def test_code_in_src_is_that_of_the_base(
    project: Path, tmp_path: Path, environment: ServingEnvironment, way: str, app: str
) -> None:
    """By a path entry and by an editable install's finder, at start and at the first request."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(FINDER.format(package=str(project / "src" / "shop")))
    where = project / "src" if way == "path" else site
    with sides(project, environment, app, PYTHONPATH=str(where)) as arms:
        assert answers(arms, environment) == [b"base", b"head"]


def test_a_namespace_package_on_a_path_that_the_app_adds_is_that_of_the_base(
    project: Path, environment: ServingEnvironment
) -> None:
    """And one on a path of every worker."""
    (project / "src" / "shop" / "__init__.py").unlink()
    (project / "deploy" / "entry.py").write_text(
        'import os, sys\nsys.path.append(os.environ["SRC"])\n' + AT_START
    )
    git(project, "commit", "-q", "-a", "-m", "A namespace")
    (project / "src" / "shop" / "pricing.py").write_text("VERSION = 'later'\n")
    with sides(project, environment, "entry:app", SRC=str(project / "src")) as arms:
        before = arms[0].model_copy(update={"serving": Serving(workers=2)})
        assert answers((before, arms[1]), environment) == [b"head", b"later"]


def tree(parent: Path, *files: str) -> Path:
    for file in files:
        path = parent / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return parent


HERE = "src/shop/__init__.py"


@pytest.mark.parametrize(
    ("name", "file", "remedy"),
    [
        ("shop", f"base/{HERE}", None),
        ("shop", f"head/{HERE}", "--app-dir src"),
        ("new", "head/src/new.py", "git tracks no such module"),
        # A library, in an environment inside of the repository or not.
        ("fastapi", "head/.venv/lib/site-packages/fastapi/__init__.py", None),
        ("fastapi", "lib/site-packages/fastapi/__init__.py", None),
        # A copy, and another working tree that an editable install leads to.
        ("shop", "head/.venv/lib/site-packages/shop/__init__.py", "--app-dir src"),
        ("shop", "lib/site-packages/shop/__init__.py", "--app-dir src"),
        ("shop", f"elsewhere/{HERE}", "--app-dir src"),
        # Migrations and a tool's configuration have the names of libraries.
        ("alembic", "lib/site-packages/alembic/__init__.py", None),
        ("click", "lib/site-packages/click.py", None),
        ("logging", "lib/logging/__init__.py", None),
        # The app itself must be the repository's.
        ("entry", "lib/site-packages/entry.py", "git tracks no such module"),
    ],
)
def test_only_modules_of_the_arms_own_version_pass(
    tmp_path: Path, name: str, file: str, remedy: str | None
) -> None:
    places = (HERE, "alembic/env.py", "click.py", "src/logging/__init__.py", "deploy/main.py")
    base, head = tree(tmp_path / "base", *places), tree(tmp_path / "head", *places, "src/new.py")
    tree(tmp_path, file)
    arm = Arm(name="shop-base", app="entry:app", app_dir=str(base / "deploy"))
    version = Version(base, head, base / "deploy")
    if remedy is None:
        version.check(arm, {name: [str(tmp_path / file)]})
        return
    with pytest.raises(ChildFailed, match="another version") as refused:
        version.check(arm, {name: [str(tmp_path / file)]})
    assert f"module {name} was imported from {tmp_path / file}" in refused.value.cause
    assert remedy in refused.value.hint


@pytest.mark.parametrize("app", ["entry:app", "lazy:app"])
def test_a_module_of_another_version_is_an_error_that_names_it(
    project: Path, tmp_path: Path, environment: ServingEnvironment, app: str
) -> None:
    """An installed copy runs on both sides; loaded at start, or by the first request."""
    copy = tmp_path / "lib" / "site-packages" / "shop"
    copy.mkdir(parents=True)
    (copy / "__init__.py").write_text("")
    (copy / "pricing.py").write_text("VERSION = 'installed'\n")
    with (
        sides(project, environment, app, PYTHONPATH=str(copy.parent)) as arms,
        pytest.raises(ChildFailed, match="another version") as refused,
    ):
        answers(arms, environment)
    assert "shop" in refused.value.cause
    assert str(copy) in refused.value.cause
    assert "--app-dir src" in refused.value.hint
