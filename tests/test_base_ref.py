"""Base and head of a change as arms of one run, and the whole gate as GitHub runs it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from loadtests.plan.arms import Arm
from loadtests.plan.base.commit import resolve
from loadtests.plan.base.locks import with_packages
from loadtests.plan.base.pairs import paired
from loadtests.plan.plan import Plan
from loadtests.records.directory import RunDirectory
from loadtests.serving.checkout import PREFIX, checked_out
from loadtests.system.scratch import OWNER
from tests import scripted
from tests.commands import BRISK, brisk_here, carried_out, duel_here
from tests.conftest import APPS
from tests.rehearsal import Job

ROOT = APPS.parent.parent
SHORT = ("-s", "ping", "-u", "8", "-t", "0.4", "--warmup", "0.1", "--no-progress")
SHOP = '''
import asyncio
from random import Random
from time import perf_counter
from types import SimpleNamespace

GAP = 0.005
random = Random(1)
turn = 0.0


async def app(scope, receive, send):
    """Answers once every GAP seconds on average, regardless of the load."""
    global turn
    if scope["type"] != "http":
        return
    now = perf_counter()
    turn = max(turn, now) + GAP * random.uniform(0.9, 1.1)
    await asyncio.sleep(turn - now)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


app.routes = [SimpleNamespace(path="/ping", endpoint=app)]
'''


def git(repository: Path, *words: str) -> str:
    name = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *name, *words],  # any installed git
        cwd=repository, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit on main, and a directory that it does not contain."""
    return committed(tmp_path / "shop")


def committed(path: Path) -> Path:
    """A repository with two apps, equal except for their names, in one commit on main."""
    (path / "src").mkdir(parents=True)
    for name in ("shop", "till"):
        (path / "src" / f"{name}.py").write_text(SHOP)
    (path / ".gitignore").write_text("__pycache__/\n")
    git(path, "init", "-q", "-b", "main")
    git(path, "add", ".")
    git(path, "commit", "-q", "-m", "A shop")
    (path / "new").mkdir()
    return path


def change(repository: Path) -> None:
    """A pull request that makes the shop half as fast, and leaves the till as fast as it was."""
    git(repository, "switch", "-q", "-c", "change")
    (repository / "src" / "shop.py").write_text(SHOP.replace("GAP = 0.005", "GAP = 0.01"))
    (repository / "src" / "till.py").write_text(SHOP + "# nothing\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "A change")


BRISKLY = f'exec {shlex.join(BRISK)} "$@"'
"""In sh, a `duel run` that counts every trial: other tests run in parallel."""
INPUTS = {
    "python": sys.executable,
    "base-ref": "main",
    "app-dir": "src",
    "arms": "shop=shop:app\ntill=till:app",
    "arguments": "--scenario=ping\n--users=8\n--window=0.5\n--warmup=0.1\n--no-progress\n--seed=1",
    "comment": "false",
    "name": "shop",
}


def job(repository: Path, home: Path, run: str = BRISKLY) -> Job:
    """The job of a pull request, carried out, with `run` in place of `duel run`."""
    commands = home / "duel-environment" / "bin"
    commands.mkdir(parents=True)
    duel = commands / "duel"
    duel.write_text(f"""#!/bin/sh
export COLUMNS=120
if [ "$1" = run ]; then {run}; fi
exec {sys.executable} -P -m cli "$@"
""")
    # As the action calls it: isolated, by its path.
    python = commands / "python"
    python.write_text('#!/bin/sh\n[ "$1" = -I ] || exit 1\nshift\nexec "$@"\n')
    for command in (duel, python):
        command.chmod(0o755)
    done = Job(home, repository, "pull_request", {}, INPUTS, commands, patience=500.0)
    done.run()
    return done


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The job of a pull request that makes one of two apps slower."""
    repository = committed(tmp_path_factory.mktemp("measured") / "shop")
    change(repository)
    runner = repository.parent / "runner"
    return job(repository, runner)


@pytest.mark.calm
def test_a_change_that_makes_an_endpoint_half_as_fast_fails_the_job_and_is_named(measured: Job) -> None:
    said, outputs = measured.printed, measured.outputs["measure"]
    assert measured.steps["Judge"] == "3", said
    assert "gate breached: 1 worse, 1 not worse, of 2 cases" in said
    errors = [line for line in said.splitlines() if line.startswith("::error")]
    assert len(errors) == 1
    assert (
        "::error file=src/shop.py,line=12,title=regression%3A ping at 8 users::ping at 8 users, shop-head: "
        "worse than shop-base by more than 10%25" in errors[0]
    )
    assert outputs["outcome"] == "regression"
    path = Path(outputs["run"])
    assert "gate breached" in (measured.home / "summary").read_text()
    assert "### gate breached" in (path.parent / "comment.md").read_text()
    assert "<failure" in (path.parent / "junit.xml").read_text()
    run = RunDirectory(path).load()
    base, head = (git(measured.repository, "rev-parse", ref)[:12] for ref in ("main", "change"))
    assert {arm.name: arm.revision for arm in run.plan.arms} == {
        "shop-base": base, "shop-head": head, "till-base": base, "till-head": head,
    }  # fmt: skip


@pytest.mark.calm
def test_a_job_leaves_nothing_in_the_repository(measured: Job) -> None:
    assert worktrees(measured.repository) == 1
    assert git(measured.repository, "status", "--porcelain") == ""


@pytest.mark.calm
def test_a_change_without_effect_passes_the_job(measured: Job, tmp_path: Path) -> None:
    """The other app of the same measurement, as if it were the only one."""
    only = tmp_path / "only"
    shutil.copytree(measured.outputs["measure"]["run"], only)
    run = RunDirectory(only).load()
    arms = tuple(arm for arm in run.plan.arms if arm.name.startswith("till"))
    names = {arm.name for arm in arms}
    against = {head: base for head, base in run.plan.against.items() if head in names}
    plan = run.plan.model_copy(update={"arms": arms, "against": against})
    trials = tuple(trial for trial in run.trials if trial.arm in names)
    RunDirectory(only).save(run.model_copy(update={"plan": plan, "trials": trials}))
    out = tmp_path / "runner" / "duel" / measured.inputs["name"]
    copied = f"mkdir -p {out}; cp -r {only} {out}; exec {sys.executable} -P -m cli report {out}/only"
    done = job(measured.repository, tmp_path / "runner", copied)
    assert done.steps["Judge"] == "0", done.printed
    assert "gate passed: 1 not worse, of 1 case" in done.printed
    assert "::error" not in done.printed
    assert done.outputs["measure"]["outcome"] == "pass"


def test_uncommitted_changes_are_the_head_and_marked_as_changed(repository: Path) -> None:
    (repository / "src" / "shop.py").write_text(SHOP + "# more\n")
    plan = gate(repository)
    assert plan.base is not None
    assert plan.base.head.startswith(f"{plan.base.revision}+changes-")
    assert plan.against == {"shop-head": "shop-base"}
    assert [arm.name for arm in plan.arms] == ["shop-base", "shop-head"]
    with checked_out(plan) as checkout:
        assert checkout is not None
        before, after = map(checkout.located, plan.arms)
        assert Path(before.app_dir or "", "shop.py").read_text() == SHOP
        assert Path(before.cwd or "").samefile(checkout.path)
        assert Path(after.app_dir or "", "shop.py").read_text() == SHOP + "# more\n"
        assert after == plan.arms[1]
    assert not checkout.path.exists()
    assert worktrees(repository) == 1


def test_a_gate_is_resumed_with_a_new_checkout_unless_the_head_has_changed(
    repository: Path, unprepared: None, unseeded: None
) -> None:
    where = ["--base-ref", "main", "--app-dir", "src", "--arm", "shop=shop:app"]
    begun = brisk_here("run", *where, *SHORT, "--rounds", "1", cwd=repository)
    carried_out(begun.returncode, begun.stderr)
    (path,) = (repository / "runs").iterdir()
    run = RunDirectory(path).load()
    assert run.plan.base is not None
    assert {arm.app_dir for arm in run.plan.arms} == {str(repository / "src")}
    # One round is still missing.
    longer = run.plan.model_copy(update={"min_rounds": 2, "max_rounds": 2})
    RunDirectory(path).save(run.model_copy(update={"plan": longer}))
    resumed = brisk_here("resume", str(path), "--no-progress", cwd=repository)
    carried_out(resumed.returncode, resumed.stderr)
    assert len(RunDirectory(path).load().trials) > len(run.trials)
    assert worktrees(repository) == 1
    (repository / "src" / "shop.py").write_text(SHOP + "# more\n")
    changed = duel_here("resume", str(path), cwd=repository)
    assert changed.returncode == 2
    assert f"the working tree was at {run.plan.base.head}, and is now at" in changed.stderr


def gate(repository: Path) -> Plan:
    """The plan of a run of the shop against main."""
    shop = Arm(name="shop", app="shop:app", app_dir=str(repository / "src"), cwd=str(repository))
    base = with_packages(resolve("main", repository / "src"), [shop], None)
    arms, against = paired([shop], base, None)
    return scripted.plan().model_copy(update={"arms": arms, "against": against, "base": base, "gate": True})


def worktrees(repository: Path) -> int:
    return len(git(repository, "worktree", "list").splitlines())


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "--dry-run"], 0),
        (["config"], 0),
        (["run", "--window", "soon"], 2),
        (["run", "--rounds", "21"], 2),
        (["run", "-s", "posts.red"], 2),
        (["run", "--config", "nowhere.toml"], 2),
    ],
)
def test_nothing_is_created_before_a_run_starts(
    repository: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int
) -> None:
    """No worktree, no environment and no process except git, even if the base locks other packages."""
    (repository / "requirements.txt").write_text("# the base's\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "A lock")
    (repository / "requirements.txt").write_text("# the head's\n")
    started: list[list[str]] = []
    start = subprocess.Popen.__init__

    def noting(process: Any, command: list[Any], **options: Any) -> None:
        started.append([str(word) for word in command])
        start(process, command, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", noting)
    gate = ["--base-ref", "main", "--app-dir", "src", "--arm", "shop=shop:app", "-s", "ping"]
    done = duel_here(*words, *gate, cwd=repository)
    assert done.returncode == code, done.stderr
    assert {Path(command[0]).name for command in started} <= {"git"}
    assert not any("worktree" in command for command in started)
    assert worktrees(repository) == 1
    assert not (repository / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--base-ref", "no-such-branch"], "'no-such-branch' is no commit of "),
        (["--base-ref", "--output=/tmp/x"], "takes a branch, a tag or a commit"),
        (["--base-ref", "main", "--arm", "sync"], "not in the repository"),
        (["--base-ref", "main", "--arm", "a=http://127.0.0.1:9"], "has no base"),
        (["--base-ref", "main", "--arm", "a=shop:app", "--app-dir", "new"], "no directory new"),
        (["--base-ref", "main", "--arm", "a=shop:app", "--arm", "b=shop:app", "--arm", "c=shop:app",
          "--arm", "d=shop:app"], "at most 6 are possible"),
    ],
)  # fmt: skip
def test_an_unavailable_base_is_one_clear_error(repository: Path, words: list[str], message: str) -> None:
    done = duel_here("run", *words, *SHORT, cwd=repository)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert worktrees(repository) == 1
    assert not (repository / "runs").exists()


def test_outside_a_repository_there_is_no_base(tmp_path: Path) -> None:
    done = duel_here("run", "--base-ref", "main", *SHORT, cwd=tmp_path)
    assert done.returncode == 2
    assert "git rev-parse failed" in done.stderr


def test_a_base_with_other_packages_gets_its_own_environment(
    repository: Path, tmp_path: Path, downloads: None
) -> None:
    """Arms with one lock share it."""
    lock = repository / "requirements.txt"
    lock.write_text("# the base's\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "A lock")
    unchanged = gate(repository).base
    assert unchanged is not None
    assert unchanged.packages == {}
    lock.write_text("# the head's\n")
    plan = gate(repository)
    assert plan.base is not None
    assert plan.base.packages == {"shop-base": "requirements.txt"}
    with checked_out(plan) as checkout:
        assert checkout is not None
        before, after = map(checkout.located, plan.arms)
        assert after.python is None
        command = [
            str(before.python),
            "-c",
            "import uvicorn, anyio, sys; print(uvicorn.__file__, sys.prefix)",
        ]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
        assert all(Path(one).is_relative_to(checkout.path.parent) for one in told.stdout.split())
    assert worktrees(repository) == 1


def test_the_checkout_of_a_run_that_was_killed_is_removed_by_the_next_one(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its environments stayed, and so did its registration with the user's repository."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"{PREFIX}left"
    git(repository, "worktree", "add", "--detach", "--quiet", str(left / "base"), "main")
    (left / OWNER).write_text("4194305")  # no system has as many processes
    assert worktrees(repository) == 2
    with checked_out(gate(repository)):
        assert not left.exists()
    assert worktrees(repository) == 1
