"""The base of a gate is a world of its own: its commit, its packages, its files; what it lacks is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from loadtests.errors import PlanError
from loadtests.plan import building
from loadtests.plan.arms import Arm
from loadtests.plan.base import repository as repositories
from loadtests.plan.base.commit import BaseCommit, resolve
from loadtests.plan.base.locks import Tree, compared
from loadtests.plan.base.pairs import left_behind, paired
from loadtests.plan.settings import settle
from loadtests.serving import checkout
from loadtests.serving.checkout import ABSENT, environment
from loadtests.serving.environment import ServingEnvironment
from reports.analysis.readings import Readings
from reports.conclusions import conclude
from reports.render import markdown
from reports.wording.gates.bases import base_lines
from tests import scripted
from tests.commands import duel_here
from tests.shapes import even
from tests.test_base_modules import answers, sides
from tests.test_base_ref import committed, gate, git

PLACE = "/nowhere/repository"
BASE = BaseCommit(commit="1" * 40, repository=PLACE, head="2" * 12, ref="main", lacks=0)
PROJECT = """
[project]
name = "shop"
version = "1"
requires-python = ">=3.11"
dependencies = ["tally"]
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[tool.uv.sources]
tally = { path = "libs/tally" }
"""
LIBRARY = """
[project]
name = "tally"
version = "1"
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
"""
UV, PIP, DEV = "uv.lock", "requirements.txt", "requirements-dev.txt"


def tree(files: Mapping[str, str]) -> Tree:
    return Tree(frozenset(files), files.__getitem__)


def settled(
    before: Mapping[str, str],
    after: Mapping[str, str],
    where: str = "backend",
    python: str | None = None,
    uv: bool = False,
) -> BaseCommit:
    arm = Arm(name="api", app="app.main:app", app_dir=f"{PLACE}/{where}")
    return compared(tree(before), tree(after), BASE, [arm], python, uv=uv)


@pytest.mark.parametrize(
    ("before", "after", "where", "packages", "unlike"),
    [
        # The nearest lock counts, in any directory above the app.
        ({"backend/requirements.txt": "a"}, {"backend/requirements.txt": "b"}, "backend/src/shop",
         "backend/requirements.txt", ()),
        ({PIP: "a", "backend/requirements.txt": "c"}, {PIP: "b", "backend/requirements.txt": "c"}, "backend",
         None, ()),
        # Of an app beside it, no word.
        ({"worker/uv.lock": "a", PIP: "c"}, {"worker/uv.lock": "b", PIP: "c"}, "backend", None, ()),
        # A workspace: one lock at the top.
        ({PIP: "a"}, {PIP: "b"}, "packages/api", PIP, ()),
        # Moved, and otherwise the same.
        ({UV: "a"}, {"backend/uv.lock": "a\r\n"}, "backend", None, ()),
        # pip-tools: several files, of which one includes what has changed.
        ({"requirements/prod.txt": "-r base.txt\nx", "requirements/base.txt": "a"},
         {"requirements/prod.txt": "-r base.txt\ny", "requirements/base.txt": "a"}, "",
         "requirements/prod.txt", ()),
        ({"requirements/prod.txt": "-r base.txt\nx", "requirements/base.txt": "a"},
         {"requirements/prod.txt": "-r base.txt\nx", "requirements/base.txt": "b"}, "",
         "requirements/prod.txt", ()),
        ({PIP: "-r common/base.txt", "common/base.txt": "a"},
         {PIP: "-r common/base.txt", "common/base.txt": "b"},
         "backend", PIP, ()),
        # What only tests and documentation need is said and not installed.
        ({PIP: "a", DEV: "a"}, {PIP: "a", DEV: "b"}, "", None, (DEV,)),
        ({DEV: "a", "app/docs/requirements.txt": "a"}, {DEV: "b", "app/docs/requirements.txt": "b"}, "app",
         None, ()),
        # Nothing is locked, and other packages are asked for.
        ({"pyproject.toml": "[project]\ndependencies = ['a']"},
         {"pyproject.toml": "[project]\ndependencies = ['b']"},
         "app", None, ("pyproject.toml",)),
        ({"pyproject.toml": "[project]\ndependencies = ['a']"},
         {"pyproject.toml": "[project]\ndependencies = ['a']\nname = 'b'"}, "app", None, ()),
        # Two kinds, of which pip reads one.
        ({UV: "a", PIP: "a"}, {UV: "b", PIP: "b"}, "", PIP, (UV,)),
        ({PIP: "a"}, {UV: "b"}, "", PIP, (UV,)),
    ],
)  # fmt: skip
def test_the_packages_of_the_base_are_those_of_its_nearest_lock(
    before: Mapping[str, str], after: Mapping[str, str], where: str, packages: str | None, unlike: tuple[str]
) -> None:
    found = settled(before, after, where)
    assert found.packages == ({} if packages is None else {"api-base": packages})
    assert found.unlike == unlike


CONSTRAINTS = "constraints.txt"


@pytest.mark.parametrize(
    ("before", "after", "lock", "beside"),
    [
        ({PIP: "a", CONSTRAINTS: "a==1"}, {PIP: "a", CONSTRAINTS: "a==2"}, PIP, (CONSTRAINTS,)),
        ({PIP: "a", CONSTRAINTS: "a==1"}, {PIP: "b", CONSTRAINTS: "a==1"}, PIP, (CONSTRAINTS,)),
        ({"requirements/web.txt": "a", "requirements/constraints.txt": "a==1"},
         {"requirements/web.txt": "a", "requirements/constraints.txt": "a==2"},
         "requirements/web.txt", ("requirements/constraints.txt",)),
        # Named in the other file, they are used already.
        ({PIP: "-c constraints.txt\na", CONSTRAINTS: "a==1"},
         {PIP: "-c constraints.txt\na", CONSTRAINTS: "a==2"}, PIP, ()),
        # Nothing says what is needed: all that is named.
        ({CONSTRAINTS: "a==1"}, {CONSTRAINTS: "a==2"}, CONSTRAINTS, ()),
    ],
)  # fmt: skip
def test_files_that_only_limit_versions_are_not_all_that_the_base_gets(
    before: Mapping[str, str], after: Mapping[str, str], lock: str, beside: tuple[str, ...]
) -> None:
    found = settled(before, after)
    assert found.packages == {"api-base": lock}
    assert found.constraints == ({"api-base": beside} if beside else {})
    assert found.unlike == ()


def test_pip_is_told_which_versions_the_base_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(checkout, "do", lambda command, *_: commands.append(list(command)))
    python = tmp_path / "home" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    limits = tmp_path / CONSTRAINTS
    environment(tmp_path / PIP, tmp_path / "home", constraints=[limits])
    assert commands[-1][-4:] == ["-r", PIP, "-c", str(limits)]


@pytest.mark.parametrize(
    ("before", "after", "said", "remedy"),
    [
        ({"backend/uv.lock": "a"}, {"backend/uv.lock": "b"}, "that pip does not read: backend/uv.lock",
         "uv sync --active --frozen --no-install-workspace --project ../base/backend);"),
        ({"poetry.lock": "a"}, {"poetry.lock": "b"}, "poetry.lock", "poetry install --no-root"),
        ({"pdm.lock": "a"}, {"pdm.lock": "b"}, "pdm.lock", "pdm sync --no-self"),
        ({"Pipfile.lock": "a"}, {"Pipfile.lock": "b"}, "Pipfile.lock", "cd ../base && pipenv sync"),
        # uv is not installed.
        ({"pylock.toml": "a"}, {"pylock.toml": "b"}, "pylock.toml", "uv pip sync ../base/pylock.toml"),
        # The bump is in uv.lock alone: installed from the other file, it would be measured against itself.
        ({UV: "a", PIP: "c"}, {UV: "b", PIP: "c"}, "uv.lock", "uv sync"),
        ({"requirements/a.txt": "a", "requirements/b.txt": "a"},
         {"requirements/a.txt": "b", "requirements/b.txt": "b"}, "in several files",
         "pip install -r ../base/requirements/a.txt -r ../base/requirements/b.txt);"),
        # The app may need what is in the other file as well.
        ({PIP: "a", "requirements-jobs.txt": "a"}, {PIP: "a", "requirements-jobs.txt": "b"},
         "in several files: requirements-jobs.txt, requirements.txt",
         "pip install -r ../base/requirements-jobs.txt -r ../base/requirements.txt);"),
        # Another tool took over: the base has no lock of the new one.
        ({"backend/poetry.lock": "a"}, {"backend/pdm.lock": "b"}, "backend/pdm.lock, backend/poetry.lock",
         "poetry install --no-root --directory ../base/backend);"),
        ({"backend/poetry.lock": "a"}, {"backend/poetry.lock": "a", "backend/uv.lock": "b"},
         "backend/uv.lock", "poetry install --no-root --directory ../base/backend);"),
        ({}, {UV: "b"}, "the base locks no packages", "install those of the base"),
    ],
)  # fmt: skip
def test_packages_that_cannot_be_installed_are_an_error_with_a_way_out(
    before: Mapping[str, str], after: Mapping[str, str], said: str, remedy: str
) -> None:
    with pytest.raises(PlanError) as refused:
        settled(before, after)
    assert said in str(refused.value)
    assert remedy in refused.value.hint
    assert "--base-python" in refused.value.hint
    # An interpreter settles it, and the difference is said.
    found = settled(before, after, python="/usr/bin/python3")
    assert found.packages == {}
    assert found.unlike


@pytest.mark.parametrize(
    ("project", "readable"),
    [
        ("[project]\nname = 'shop'", True),
        ("[project.optional-dependencies]\ntest = ['pytest']\n[dependency-groups]\ndev = ['ruff']", True),
        # The head may have been installed with them, or without.
        ("[project.optional-dependencies]\nfast = ['orjson']", False),
        ("[project]\n[dependency-groups]\nserver = ['uvicorn']", False),
        # Of which member is the app?
        ("[project]\n[tool.uv.workspace]\nmembers = ['packages/*']", False),
        ("[tool.uv]", False),
        ("not TOML", False),
    ],
)
def test_a_lock_of_uvs_is_installed_where_there_is_one_way_to_do_so(project: str, readable: bool) -> None:
    before, after = ({UV: lock, PIP: "c", "pyproject.toml": project} for lock in "ab")
    if readable:
        assert settled(before, after, uv=True).packages == {"api-base": UV}
    else:
        with pytest.raises(PlanError):
            settled(before, after, uv=True)


@pytest.mark.parametrize(
    ("before", "packages"),
    [
        ({"pylock.toml": "a"}, "pylock.toml"),
        ({"pylock.toml": "a", "poetry.lock": "a"}, "pylock.toml"),
        ({"backend/pylock.web.toml": "a"}, "backend/pylock.web.toml"),
        ({"pylock.toml": "a", "pylock.dev.toml": "a"}, "pylock.toml"),
    ],
)
def test_a_lock_of_the_standard_is_installed_by_uv(before: Mapping[str, str], packages: str) -> None:
    assert settled(before, dict.fromkeys(before, "b"), uv=True).packages == {"api-base": packages}


def test_a_base_is_served_by_an_environment_that_uv_makes_from_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, downloads: None
) -> None:
    """Its own lock, or one of the standard. The project itself is not installed: its code is the checkout."""
    project = tmp_path / "backend"
    library = project / "libs" / "tally"
    library.mkdir(parents=True)
    (library / "pyproject.toml").write_text(LIBRARY)
    (library / "tally.py").write_text("")
    (project / "shop.py").write_text("")
    (project / "pyproject.toml").write_text(PROJECT)
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # uv does not read pip's configuration.
    if pip.stdout.strip():
        monkeypatch.setenv("UV_DEFAULT_INDEX", pip.stdout.strip())
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    subprocess.run(["uv", "lock", "-q"], cwd=project, check=True)  # the tests' own
    python = environment(project / "uv.lock", tmp_path / "environment")
    absent = subprocess.run(
        [python, "-P", "-c", ABSENT, "tally", "uvicorn", "shop"], capture_output=True, text=True, check=True
    )
    assert absent.stdout.split() == ["shop"]
    assert Path(python) == tmp_path / "environment" / "bin" / "python"
    export = ["uv", "export", "-q", "--format", "pylock.toml", "--no-emit-project", "-o", "pylock.toml"]
    subprocess.run(export, cwd=project, check=True)
    python = environment(project / "pylock.toml", tmp_path / "other")
    absent = subprocess.run(
        [python, "-P", "-c", ABSENT, "tally", "uvicorn", "shop"], capture_output=True, text=True, check=True
    )
    assert absent.stdout.split() == ["shop"]


def test_what_a_reader_must_know_of_a_base_is_said() -> None:
    arms, against = paired_arms()
    plan = scripted.plan().model_copy(update={"arms": arms, "against": against, "gate": True})

    def said(**known: object) -> str:
        return "\n".join(base_lines(plan.model_copy(update={"base": BASE.model_copy(update=known)})))

    assert said() == ""
    assert base_lines(scripted.plan()) == []
    assert "where the branch left main; main has 3 commits that the branch lacks" in said(
        lacks=3, point="merge-base"
    )
    assert "as if the change had undone them" in said(lacks=3, point="ref")
    assert "the same commit" in said(head="1" * 12)
    assert "backend/requirements.txt differs" in said(packages={"api-base": "backend/requirements.txt"})
    assert (
        "uv.lock differs in the base, where it is not installed: it is served with the packages of the head"
        in (said(unlike=("uv.lock",)))
    )
    assert "git does not track .env, a, b, c, d and 1 more" in said(untracked=(".env", *"abcde"))


def test_reports_say_it_too(tmp_path: Path) -> None:
    base = BASE.model_copy(update={"lacks": 3, "point": "merge-base"})
    plan = scripted.plan().model_copy(update={"against": {"async": "sync"}, "gate": True, "base": base})
    run, directory = scripted.run(tmp_path, plan, even)
    assert "main has 3 commits that the branch lacks" in markdown.report(conclude(run, Readings(directory)))


def paired_arms() -> tuple[tuple[Arm, ...], dict[str, str]]:
    arms = tuple(Arm(name=f"api-{side}", app="app.main:app", app_dir=PLACE) for side in ("base", "head"))
    return arms, {"api-head": "api-base"}


@pytest.fixture
def monorepo(tmp_path: Path) -> Path:
    """An app in backend/ with its lock; branch `bump` changes the lock alone, and main has moved on."""
    path = tmp_path / "mono"
    for file in ("backend/app/__init__.py", "backend/app/main.py", "frontend/package.json"):
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).write_text("")
    lock = path / "backend" / "uv.lock"
    lock.write_text('[[package]]\nname = "orjson"\nversion = "3.10.0"\n')
    git(path, "init", "-q", "-b", "main")
    git(path, "add", ".")
    git(path, "commit", "-q", "-m", "An app")
    git(path, "branch", "bump")
    for n in range(2):
        (path / "frontend" / "package.json").write_text(f"{n}")
        git(path, "commit", "-q", "-a", "-m", "On main")
    git(path, "switch", "-q", "bump")
    lock.write_text(lock.read_text().replace("3.10.0", "3.11.0"))
    git(path, "commit", "-q", "-a", "-m", "Bump orjson")
    return path


def test_a_bump_in_a_monorepo_is_not_measured_against_itself(
    monorepo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git_alone = monorepo.parent / "bin"
    git_alone.mkdir()
    (git_alone / "git").symlink_to(shutil.which("git") or "git")
    monkeypatch.setenv("PATH", str(git_alone))
    words = ["run", "--base-ref", "main", "--arm", "api=app.main:app", "-s", "ping", "-u", "8", "--dry-run"]
    for where, more in ((monorepo, ["--app-dir", "backend"]), (monorepo / "backend", [])):
        refused = duel_here(*words, *more, cwd=where)
        assert refused.returncode == 2
        assert "locks other packages than the working tree" in refused.stderr
        assert "backend/uv.lock" in refused.stderr
        assert "--base-python ../base-env/bin/python" in refused.stderr
    done = duel_here(*words, "--base-python", sys.executable, cwd=monorepo / "backend")
    assert done.returncode == 0, done.stderr
    assert "note: backend/uv.lock differs" in done.stdout


def test_a_branch_is_compared_with_the_commit_where_it_left_the_other(monorepo: Path) -> None:
    left = git(monorepo, "rev-parse", "bump~1")
    base = resolve("main", monorepo)
    assert (base.commit, base.lacks, base.point) == (left, 2, "merge-base")
    as_it_is = resolve("main", monorepo, "ref")
    assert (as_it_is.commit, as_it_is.lacks) == (git(monorepo, "rev-parse", "main"), 2)
    # An ancestor is its own merge base; ahead of the branch, there is no change.
    assert resolve("bump~1", monorepo).lacks == 0
    git(monorepo, "switch", "-q", "-d", left)
    assert resolve("bump", monorepo).unchanged
    git(monorepo, "switch", "-q", "--orphan", "other")
    git(monorepo, "commit", "-q", "--allow-empty", "-m", "Nothing in common")
    with pytest.raises(PlanError, match="no commit in common") as refused:
        resolve("main", monorepo)
    assert "fetch-depth: 0" in refused.value.hint


READING = """
import os
from pathlib import Path


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    files = [Path("page.html"), Path(os.environ["TEMPLATES"].rpartition(":")[2], "page.html")]
    files += [Path(os.environ["URL"].partition("///")[2]), Path(os.environ["PWD"], "page.html")]
    body = " ".join(file.read_text() for file in files).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


def test_files_are_those_of_the_base_however_the_app_finds_them(
    tmp_path: Path, environment: ServingEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the working directory, and by absolute paths in variables."""
    project = tmp_path / "project"
    (project / "deploy").mkdir(parents=True)
    (project / "deploy" / "reading.py").write_text(READING)
    (project / "page.html").write_text("base")
    git(project, "init", "-q", "-b", "main")
    git(project, "add", ".")
    git(project, "commit", "-q", "-m", "A page")
    (project / "page.html").write_text("head")
    monkeypatch.chdir(project)
    monkeypatch.setenv("PWD", str(project))
    monkeypatch.setenv("TEMPLATES", f"{project}/.venv{os.pathsep}{project}")
    with sides(project, environment, "reading:app", URL=f"file:///{project}/page.html") as arms:
        assert answers(arms, environment) == [b"base base base base", b"head head head head"]


def test_a_working_directory_that_the_base_lacks_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the base would read the files of the head's."""
    repository = committed(tmp_path / "shop")
    monkeypatch.chdir(repository / "new")
    shop = Arm(name="shop", app="shop:app", app_dir=str(repository / "src"))
    with pytest.raises(PlanError, match="no working directory new"):
        paired([shop], resolve("main", repository), None)


def test_an_interpreter_for_the_base_goes_before_that_of_its_arm(tmp_path: Path) -> None:
    repository = committed(tmp_path / "shop")
    shop = Arm(name="shop", app="shop:app", app_dir=str(repository / "src"), python="/of/the/head")
    for given, expected in (("/of/the/base", "/of/the/base"), (None, "/of/the/head")):
        (before, after), _ = paired([shop], resolve("main", repository), given)
        assert (before.python, after.python) == (expected, "/of/the/head")


def test_a_path_of_an_interpreter_for_the_base_is_found_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its servers work in the checkout."""
    repository = committed(tmp_path / "shop")
    (tmp_path / "python").symlink_to(sys.executable)
    monkeypatch.chdir(repository)
    given = {"arm": ["shop=shop:app"], "app-dir": "src", "base-ref": "main", "base-python": "../python"}
    before, _ = building.sides(settle(given, {}, Path(os.devnull)).settings, allow_remote=False)["arms"]
    assert before.python == str(tmp_path / "python")


def test_files_that_git_does_not_track_are_said_to_be_missing(tmp_path: Path) -> None:
    repository = committed(tmp_path / "shop")
    (repository / ".env").write_text("DEBUG=1")
    for directory in (".venv", "runs", "uploads"):
        (repository / directory).mkdir()
        (repository / directory / "file").write_text("")
    where = ["--base-ref", "main", "--app-dir", "src", "--arm", "shop=shop:app"]
    done = duel_here("run", *where, "-s", "ping", "-u", "8", "--dry-run", cwd=repository)
    assert done.returncode == 0, done.stderr
    assert "git does not track .env, uploads/, so the base is served without" in done.stdout


def test_the_files_of_submodules_are_said_to_be_missing(tmp_path: Path) -> None:
    library = committed(tmp_path / "library")
    repository = committed(tmp_path / "shop")
    local = ("-c", "protocol.file.allow=always")
    git(repository, *local, "submodule", "--quiet", "add", str(library), "src/lib")
    git(repository, "commit", "-q", "-m", "A submodule")
    shop = Arm(name="shop", app="shop:app", app_dir=str(repository / "src"), cwd=str(repository))
    assert left_behind([shop], resolve("main", repository)) == ("src/lib/",)


def test_a_checkout_that_cannot_be_removed_costs_no_run_its_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An app may have written files there as another user."""
    plan = gate(committed(tmp_path / "shop"))

    def refusing(directory: Path, *words: str) -> str:
        if "remove" in words:
            raise PlanError("git worktree failed", cause="Permission denied")
        return repositories.git(directory, *words)

    monkeypatch.setattr(checkout, "git", refusing)
    with checkout.checked_out(plan) as found:
        assert found is not None
    with pytest.raises(KeyboardInterrupt), checkout.checked_out(plan):
        raise KeyboardInterrupt
