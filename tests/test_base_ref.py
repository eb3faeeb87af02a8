"""Base and head of a change as arms of one run, and the whole gate as a job on GitHub runs it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from loadtests.plan import Arm, PlanError
from loadtests.records import RunDirectory
from loadtests.worktree import Worktree
from tests.conftest import APPS
from tests.test_cli import PLAIN, TRIES, duel, spoilt

ROOT = APPS.parent.parent
SHORT = ("-s", "ping", "-u", "8", "-t", "1", "--warmup", "0.3", "--no-progress")
SHOP = '''
import asyncio
from random import Random
from time import perf_counter

GAP = 0.0025
random = Random(1)
turn = 0.0


async def app(scope, receive, send):
    """Answers once every GAP seconds in the mean, whoever asks."""
    global turn
    if scope["type"] != "http":
        return
    now = perf_counter()
    turn = max(turn, now) + GAP * random.uniform(0.5, 1.5)
    await asyncio.sleep(turn - now)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
'''


def git(repository: Path, *words: str) -> str:
    name = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *name, *words],  # whichever git there is
        cwd=repository, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of somebody's, with one app and one commit on main."""
    path = tmp_path / "shop"
    (path / "src").mkdir(parents=True)
    (path / "src" / "shop.py").write_text(SHOP)
    git(path, "init", "-q", "-b", "main")
    git(path, "add", ".")
    git(path, "commit", "-q", "-m", "A shop")
    return path


def change(repository: Path, text: str) -> None:
    """A pull request."""
    git(repository, "switch", "-q", "-c", "change")
    (repository / "src" / "shop.py").write_text(text)
    (repository / "README").write_text("A change.\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "A change")


def steps() -> list[dict[str, Any]]:
    """The shell steps of our action."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    found: list[dict[str, Any]] = [step for step in action["runs"]["steps"] if "run" in step]
    return found


def filled(text: str, values: dict[str, str]) -> str:
    """A text with its expressions evaluated."""
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda found: values.get(found[1], ""), text)


def job(repository: Path, runner: Path, **inputs: str) -> tuple[int, str, dict[str, str]]:
    """A job's exit code, what it said, its outputs; again where the host was too noisy for it to count."""
    for _ in range(TRIES):
        shutil.rmtree(runner, ignore_errors=True)
        code, said, outputs = done_once(repository, runner, **inputs)
        if not spoilt(code, said):
            break
    return code, said, outputs


def done_once(repository: Path, runner: Path, **inputs: str) -> tuple[int, str, dict[str, str]]:
    """Run the steps of action.yml as GitHub does, but for the comment."""
    runner.mkdir()
    files = {name: runner / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    told = {"RUNNER_TEMP": str(runner), **{name: str(path) for name, path in files.items()}}
    outputs: dict[str, str] = {}
    said, code = "", 0
    for step in steps():
        if step["name"] == "Comment":
            continue
        values = {"github.action_path": str(ROOT), "inputs.python": sys.executable, "inputs.app-dir": "src"}
        values |= {f"inputs.{key.replace('_', '-')}": value for key, value in inputs.items()}
        values |= {f"steps.measure.outputs.{key}": value for key, value in outputs.items()}
        env = {key: filled(str(value), values) for key, value in step["env"].items()}
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("DUEL_", "GITHUB_"))}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],  # as GitHub does
            cwd=repository, capture_output=True, text=True, check=False, timeout=500,
            env={**clean, **PLAIN, **told, **env},
        )  # fmt: skip
        said += done.stdout + done.stderr
        if files["GITHUB_OUTPUT"].exists():
            lines = files["GITHUB_OUTPUT"].read_text().splitlines()
            outputs = dict(line.split("=", 1) for line in lines)
        code = done.returncode
        if code:
            break
    return code, said, outputs


ARGUMENTS = "--scenario=ping\n--users=8\n--window=1\n--warmup=0.3\n--no-progress\n--seed=1"


@pytest.mark.alone
def test_a_change_that_makes_an_endpoint_half_as_fast_fails_the_job_and_is_named(
    repository: Path, tmp_path: Path
) -> None:
    change(repository, SHOP.replace("GAP = 0.0025", "GAP = 0.005"))
    code, said, outputs = job(
        repository, tmp_path / "runner", base_ref="main", arms="shop=shop:app", arguments=ARGUMENTS
    )
    assert code == 3, said
    assert "gate breached: 1 worse, of 1 case" in said
    assert (
        "::error file=src/shop.py,line=1,title=regression%3A ping at 8 users::ping at 8 users, shop-head: "
        "worse than shop-base by more than 10%25" in said
    )
    assert outputs["outcome"] == "regression"
    assert "gate breached" in (tmp_path / "runner" / "GITHUB_STEP_SUMMARY").read_text()
    assert "### gate breached" in (tmp_path / "runner" / "duel-comment.md").read_text()
    assert "<failure" in (tmp_path / "runner" / "duel-junit.xml").read_text()
    run = RunDirectory(Path(outputs["run"])).load()
    revisions = [arm.revision for arm in run.plan.arms]
    assert revisions == [git(repository, "rev-parse", ref)[:12] for ref in ("main", "change")]
    # Nothing is left in the repository.
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.alone
def test_a_change_that_changes_nothing_passes_the_job(repository: Path, tmp_path: Path) -> None:
    change(repository, SHOP + "# nothing\n")
    code, said, outputs = job(
        repository, tmp_path / "runner", base_ref="main", arms="shop=shop:app", arguments=ARGUMENTS
    )
    assert code == 0, said
    assert "gate passed: 1 not worse, of 1 case" in said
    assert "::error" not in said
    assert outputs["outcome"] == "pass"


def test_what_is_not_committed_is_the_head_and_said_to_be_changed(repository: Path) -> None:
    (repository / "src" / "shop.py").write_text(SHOP + "# more\n")
    with Worktree("main", repository / "src") as base:
        assert base.head == base.base + "+changes"
        arms, against = base.doubled([Arm(name="shop", app="shop:app", app_dir=str(repository / "src"))])
        assert against == {"shop-head": "shop-base"}
        assert [arm.name for arm in arms] == ["shop-base", "shop-head"]
        assert Path(arms[0].app_dir or "", "shop.py").read_text() == SHOP
        assert Path(arms[1].app_dir or "", "shop.py").read_text() == SHOP + "# more\n"
        there = base.path
    assert not there.exists()


def test_a_base_that_is_imported_from_the_head_is_an_error_and_no_comparison(repository: Path) -> None:
    done = duel(
        "run", "--base-ref", "main", "--arm", "shop=shop:app", *SHORT, cwd=repository,
        PYTHONPATH=str(repository / "src"),
    )  # fmt: skip
    assert done.returncode == 5
    assert "not from" in done.stderr
    assert "--app-dir src" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--base-ref", "no-such-branch"], "takes a branch, a tag or a commit"),
        (["--base-ref", "--output=/tmp/x"], "takes a branch, a tag or a commit"),
        (["--base-ref", "main", "--arm", "sync"], "not in the repository"),
        (["--base-ref", "main", "--arm", "a=http://127.0.0.1:9"], "has no base"),
        (["--base-ref", "main", "--arm", "a=shop:app", "--arm", "b=shop:app", "--arm", "c=shop:app",
          "--arm", "d=shop:app"], "6 are the most"),
    ],
)  # fmt: skip
def test_a_base_that_cannot_be_had_is_one_clear_error(
    repository: Path, words: list[str], message: str
) -> None:
    done = duel("run", *words, *SHORT, cwd=repository)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_outside_a_repository_there_is_no_base(tmp_path: Path) -> None:
    done = duel("run", "--base-ref", "main", *SHORT, cwd=tmp_path)
    assert done.returncode == 2
    assert "git rev-parse failed" in done.stderr


def test_a_base_with_other_packages_gets_an_environment_of_its_own(repository: Path) -> None:
    (repository / "requirements.txt").write_text("# the head's\n")
    with Worktree("main", repository) as base:
        # Not locked there: nothing to install from.
        with pytest.raises(PlanError, match="locks other packages"):
            base.environment()
        (base.path / "requirements.txt").write_text("# the head's\n")
        assert base.environment() is None
        (base.path / "requirements.txt").write_text("# the base's\n")
        python = base.environment()
        assert python is not None
        assert Path(python).is_relative_to(base.path.parent)
        command = [python, "-c", "import uvicorn, anyio; print(uvicorn.__file__)"]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
        assert str(base.path.parent) in told.stdout
