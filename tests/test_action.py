"""The action, rehearsed: its steps run in a scratch repository with events as GitHub writes them, and with a
scripted run in place of a measurement."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

import cli
from loadtests.errors import Exit, PlanError
from loadtests.plan.base.events import base_of_event
from reports.analysis.readings import Readings
from reports.exit_codes import exit_code
from reports.export import github
from tests import scripted
from tests.commands import duel_here
from tests.rehearsal import ROOT, Rehearsal
from tests.scripted import Scripted
from tests.test_base_ref import git

ZEROS = "0" * 40
READ_ONLY = "echo 'gh: Resource not accessible by integration (HTTP 403)' >&2; exit 1"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A pull request's merge with main, which has moved on since, checked out as GitHub does."""
    path = tmp_path / "shop"
    (path / "services" / "shop").mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    commit(path, "first")
    git(path, "switch", "-q", "-c", "change")
    commit(path, "change")
    git(path, "switch", "-q", "main")
    commit(path, "others")
    git(path, "switch", "-q", "--detach", "main")
    git(path, "merge", "-q", "--no-ff", "-m", "Merge change into main", "change")
    return path


def commit(repository: Path, name: str) -> None:
    (repository / "services" / "shop" / name).touch()
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", name)


def sha(repository: Path, ref: str) -> str:
    return git(repository, "rev-parse", ref)


def pull_request(repository: Path, fork: bool) -> dict[str, Any]:
    """The event as it was when the pull request was opened: main has moved since."""
    owner = "stranger" if fork else "ada"
    return {
        "action": "synchronize",
        "number": 7,
        "pull_request": {
            "number": 7,
            "base": {"ref": "main", "sha": sha(repository, "change^"), "repo": {"full_name": "ada/shop"}},
            "head": {
                "ref": "change",
                "sha": sha(repository, "change"),
                "repo": {"full_name": f"{owner}/shop", "fork": fork},
            },
        },
        "repository": {"full_name": "ada/shop", "default_branch": "main"},
    }


def measured(tmp_path: Path, code: int, slower: float = 1.0, generator_cpu: float = 0.2) -> str:
    """In sh, a `duel run` that notes its base, leaves a run and exits with `code`."""
    plan = scripted.plan().model_copy(update={"gate": True, "against": {"async": "sync"}})

    def script(arm: str, cell: object, round: int) -> Scripted:
        requests = int(2_000 * (slower if arm == "async" else 1.0)) + 3 * round
        return Scripted(requests=requests, generator_cpu=generator_cpu)

    _, directory = scripted.run(tmp_path / "measured", plan, script)
    resolve = (
        "import sys; from pathlib import Path; from loadtests.plan.base.commit import resolve; "
        "print(resolve(sys.argv[1], Path.cwd()).commit)"
    )
    return f"""
echo "$*" > {tmp_path}/words
pwd -P > {tmp_path}/where
{sys.executable} -c '{resolve}' "$6" > {tmp_path}/base
mkdir "$out"; cp -r {directory.path} "$out"/one
exit {code}"""


def test_a_fork_with_a_read_only_token_gets_a_summary_and_no_red_comment(
    tmp_path: Path, repository: Path
) -> None:
    """It is slower than its base, and only the judge says so; the base is main as it was merged."""
    job = Rehearsal(
        repository, tmp_path / "runner", "pull_request", pull_request(repository, fork=True),
        inputs={"comment": "true"}, run=measured(tmp_path, Exit.GATE, slower=0.5), gh={"write": READ_ONLY},
    ).go()  # fmt: skip
    assert (job.failed, job.code) == (["Judge"], Exit.GATE), job.said
    assert "gate breached" in job.summary
    assert "::notice title=fastapi-duel::No comment" in job.said
    assert (tmp_path / "base").read_text().strip() == sha(repository, "main")
    assert "--invalid neutral --retries 1" in (tmp_path / "words").read_text()
    assert job.used["actions/upload-artifact"]["name"] == "duel"
    assert Path(job.used["actions/upload-artifact"]["path"], "junit.xml").exists()


def test_a_service_of_several_keeps_its_own_comment_and_artifact(tmp_path: Path, repository: Path) -> None:
    """It runs in its directory, and a measurement that stayed invalid is a warning in a green job."""
    marker = "<!-- fastapi-duel shop, 3.12 -->"
    job = Rehearsal(
        repository, tmp_path / "runner", "pull_request", pull_request(repository, fork=False),
        inputs={"comment": "true", "name": "shop, 3.12", "working-directory": "services/shop"},
        run=measured(tmp_path, Exit.DONE, generator_cpu=0.95),
        gh={"read": f'[ "$MARKER" = "{marker}" ] && printf "41\\n42\\n"'},
    ).go()  # fmt: skip
    assert (job.failed, job.code) == ([], 0), job.said
    assert job.outputs["outcome"] == "invalid"
    assert "::warning title=invalid" in job.said
    assert "::error" not in job.said
    assert (tmp_path / "where").read_text().strip() == str((repository / "services" / "shop").resolve())
    assert len(job.calls) == 2
    assert "-X PATCH repos/ada/shop/issues/comments/41 " in job.calls[1]
    comment = Path(job.outputs["out"], "comment.md").read_text()
    assert comment.startswith(f"{marker}\n### shop, 3.12: ")
    assert job.used["actions/upload-artifact"]["name"] == "shop, 3.12"


@pytest.mark.parametrize("event", ["push", "merge_group"])
def test_a_push_and_a_merge_group_are_compared_with_the_commit_before_them(
    tmp_path: Path, repository: Path, event: str
) -> None:
    before = sha(repository, "main")
    after, name = sha(repository, "HEAD"), {"full_name": "ada/shop", "default_branch": "main"}
    payloads: dict[str, dict[str, Any]] = {
        "push": {
            "ref": "refs/heads/main", "before": before, "after": after, "forced": False, "created": False,
            "repository": name,
        },
        "merge_group": {
            "action": "checks_requested", "repository": name,
            "merge_group": {
                "base_ref": "refs/heads/main", "base_sha": before, "head_sha": after,
                "head_ref": f"refs/heads/gh-readonly-queue/main/pr-7-{before}",
            },
        },
    }  # fmt: skip
    payload = payloads[event]
    job = Rehearsal(
        repository, tmp_path / "runner", event, payload, {"comment": "true"}, measured(tmp_path, Exit.DONE)
    ).go()
    assert (job.failed, job.code) == ([], 0), job.said
    assert (tmp_path / "base").read_text().strip() == before
    assert "Comment" not in job.ran
    assert job.outputs["outcome"] == "pass"


def test_the_judge_runs_when_nothing_was_measured(tmp_path: Path, repository: Path) -> None:
    payload = pull_request(repository, fork=True)
    job = Rehearsal(repository, tmp_path / "runner", "pull_request", payload, run="exit 2").go()
    assert job.failed == ["Measure base and head", "Judge"]
    assert job.code == Exit.USAGE
    assert "Keep the report" not in job.ran


def test_duel_is_installed_into_an_environment_of_its_own(tmp_path: Path) -> None:
    """In the versions of our lock; a restored environment is used as it is."""
    home = tmp_path / "home"
    python = tmp_path / "python"
    python.write_text(f"""#!/bin/sh
echo "$*" >> {tmp_path}/calls
[ "$2" != venv ] || {{ mkdir -p {home}/bin; cp "$0" {home}/bin/python; }}
""")
    python.chmod(0o755)
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    (step,) = [step for step in action["runs"]["steps"] if step["name"] == "Install duel"]
    for _ in range(2):
        subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],  # as GitHub does
            check=True, env={**os.environ, "PYTHON": str(python), "OWN": str(home), "ACTION": str(ROOT)},
        )  # fmt: skip
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"-m venv --clear {home}",
        f"-I -m pip install --quiet --constraint {home}/versions.txt {ROOT}",
    ]
    pinned = (home / "versions.txt").read_text().splitlines()
    locked = (ROOT / "requirements.lock").read_text().splitlines()
    assert len(pinned) == len([line for line in locked if line[:1].isalnum()])
    # With its conditions: a package may be locked in a version for each Python.
    assert all(Requirement(line).specifier for line in pinned)
    assert any(Requirement(line).marker for line in pinned)


PULL = {"pull_request": {"base": {"sha": "b"}, "head": {"sha": "h"}}}
PUSH = {"ref": "refs/heads/new", "before": "p", "forced": False, "repository": {"default_branch": "main"}}


@pytest.mark.parametrize(
    ("event", "payload", "parents", "base"),
    [
        # The merge that GitHub makes: main as it is now.
        ("pull_request", PULL, ["m", "h"], "m"),
        # The branch itself is checked out, and ends in a merge of its own.
        ("pull_request", PULL, ["h1", "x"], "b"),
        ("pull_request", PULL, [], "b"),
        ("push", PUSH, ["x"], "p"),
        ("push", {**PUSH, "before": ZEROS}, ["x"], "origin/main"),
        ("push", {**PUSH, "forced": True}, ["x"], "origin/main"),
        ("merge_group", {"merge_group": {"base_sha": "q"}}, ["q", "h"], "q"),
    ],
)
def test_the_base_of_each_event(event: str, payload: Any, parents: list[str], base: str) -> None:
    assert base_of_event(event, payload, parents) == base


@pytest.mark.parametrize(
    ("event", "payload"),
    [("schedule", {}), ("push", {**PUSH, "before": ZEROS, "ref": "refs/heads/main"}), ("pull_request", {})],
)
def test_an_event_without_a_base_asks_for_one(event: str, payload: Any) -> None:
    with pytest.raises(PlanError) as refused:
        base_of_event(event, payload, [])
    assert "base-ref" in refused.value.hint


def test_outside_of_a_job_there_is_no_event(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_EVENT_NAME", raising=False)
    done = duel_here("run", "--base-ref", "github:event", "--arm", "a=x:app", "-s", "ping", cwd=repository)
    assert done.returncode == Exit.USAGE
    assert "needs a job of GitHub Actions" in done.stderr


@pytest.mark.parametrize(
    ("words", "measurements", "code"),
    [
        ([], 1, Exit.INVALID),
        (["--invalid", "neutral"], 1, Exit.DONE),
        (["--retries", "1"], 2, Exit.INVALID),
        (["--retries", "3", "--invalid", "neutral"], 3, Exit.DONE),
    ],
)
def test_an_invalid_measurement_is_repeated_until_one_is_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], measurements: int, code: Exit
) -> None:
    """The third one is valid."""
    carried: list[object] = []

    def carry_on(started: object, *_: object) -> tuple[object, object]:
        carried.append(started)
        busy = 0.95 if len(carried) < 3 else 0.2
        run, directory = scripted.run(
            tmp_path / str(len(carried)),
            scripted.plan(),
            lambda *_: Scripted(requests=2_000, generator_cpu=busy),
        )
        return run, Readings(directory)

    monkeypatch.setattr(cli, "carry_on", carry_on)
    done = duel_here("run", "--quick", "-s", "ping", "-u", "8", "--no-progress", *words, cwd=tmp_path)
    assert (len(carried), done.returncode) == (measurements, code), done.stderr
    assert done.stderr.count("measuring again") == measurements - 1


def test_neutral_hides_no_regression_and_strict_fails_what_is_not_decided() -> None:
    assert exit_code({"regression", "invalid"}, neutral=True) is Exit.GATE
    assert exit_code({"invalid", "pass"}, neutral=True) is Exit.DONE
    assert exit_code({"invalid", "pass"}, strict=True, neutral=True) is Exit.INCONCLUSIVE


@pytest.mark.parametrize("name", ["a --> b", "a\nb", "<b>"])
def test_a_name_cannot_end_the_marker_of_a_comment(name: str) -> None:
    with pytest.raises(PlanError, match="no name for a comment"):
        github.marker(name)
