"""The action and the workflows, checked against GitHub's schemas."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from loadtests.errors import PlanError
from loadtests.plan.base.jobs import NO_COMMIT, base_of_event, base_of_job
from loadtests.plan.settings import DECLARED, RENEWABLE
from loadtests.records import Cell, Plan
from reports.analysis.readings import Readings
from reports.conclusions import conclude
from reports.export import formats
from tests import scripted
from tests.rehearsal import Job
from tests.scripted import Script, Scripted

ROOT = Path(__file__).parent.parent
CHECK = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema"]
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def check(schema: str, path: Path) -> None:
    done = subprocess.run([*CHECK, schema, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_action_follows_githubs_schema() -> None:
    check("vendor.github-actions", ROOT / "action.yml")


@pytest.mark.parametrize("path", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda p: p.name)
def test_workflows_follow_githubs_schema(path: Path) -> None:
    check("vendor.github-workflows", path)


@pytest.mark.parametrize(
    ("number", "schema"), [(0, "vendor.github-workflows"), (2, "vendor.gitlab-ci")], ids=["github", "gitlab"]
)
def test_the_workflows_of_the_docs_are_complete(tmp_path: Path, number: int, schema: str) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "ci.md").read_text())
    path = tmp_path / "workflow.yml"
    path.write_text(blocks[number])
    check(schema, path)


def shell_lines(number: int) -> list[str]:
    """The commands of a block of docs/ci.md: a job of GitLab, or steps of GitHub."""
    block = yaml.safe_load(BLOCK.findall((ROOT / "docs" / "ci.md").read_text())[number])
    if isinstance(block, dict):
        return [line for job in block.values() for line in job["script"]]
    return [step["run"] for step in block if "run" in step]


@pytest.mark.parametrize("number", [2, 4], ids=["gitlab", "advise"])
def test_a_job_of_the_docs_leaves_the_apps_packages_as_they_are(number: int) -> None:
    """In one environment, duel's requirements would move the app's, or conflict with its lock."""
    lines = shell_lines(number)
    ours = [line for line in lines if "fastapi-duel" in line]
    assert ours
    assert {line.split()[0] for line in ours} <= {"pipx", "/opt/duel/bin/pip"}
    assert {line.partition("install ")[2] for line in ours} == {"fastapi-duel"}
    reading = [line for line in lines if re.search(r"\bduel (run|advise)\b", line)]
    assert reading
    assert all('--python "$(command -v python)"' in line for line in reading)


def test_findings_are_uploaded_before_a_step_fails_for_them() -> None:
    lines = shell_lines(4)
    assert lines[-1].endswith("--format github")
    assert "--format sarif > duel.sarif || [ $? -eq 3 ]" in lines[-2]


def test_the_schema_refuses_an_invalid_action(tmp_path: Path) -> None:
    """Proof that the tests above can fail."""
    path = tmp_path / "action.yml"
    path.write_text((ROOT / "action.yml").read_text().replace("using: composite", "using: magic"))
    done = subprocess.run([*CHECK, "vendor.github-actions", str(path)], capture_output=True, check=False)
    assert done.returncode != 0


def test_workflows_use_only_inputs_of_the_action() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    texts = [
        (ROOT / ".github" / "workflows" / "ci.yml").read_text(),
        BLOCK.findall((ROOT / "docs" / "ci.md").read_text())[0],
    ]
    for text in texts:
        steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
        ours = [step for step in steps if step.get("uses", "").startswith(("./", "fastapi-duel/"))]
        assert len(ours) == 1
        assert set(ours[0]["with"]) <= set(action["inputs"])


def test_no_shell_step_contains_an_expression() -> None:
    """A branch name would be executed there; values are passed through the environment."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    scripts = [step["run"] for step in action["runs"]["steps"] if "run" in step]
    assert scripts
    assert not any("${{" in script for script in scripts)


SHA = "a" * 40

EVENTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "pull_request": ("pull_request", {"number": 7, "pull_request": {"number": 7, "base": {"sha": SHA}}}),
    "fork": ("pull_request", {"number": 7, "pull_request": {"number": 7, "base": {"sha": SHA}}}),
    "push": ("push", {"before": SHA, "repository": {"default_branch": "main"}}),
    "merge_group": ("merge_group", {"merge_group": {"base_sha": SHA}}),
}  # fmt: skip
"""As GitHub writes them, as far as a gate reads them."""

FORCED = {"before": SHA, "forced": True, "repository": {"default_branch": "main"}}

FAKE_DUEL = """
import os, shutil, sys
from pathlib import Path
home = Path(__file__).parent
with (home / "calls").open("a") as calls:
    print(*sys.argv[1:], sep="\\n", end="\\n\\n", file=calls)
match sys.argv[1]:
    case "--version":
        print("duel 0")
    case "run":
        out = Path(sys.argv[sys.argv.index("--out") + 1])
        if (home / "scripted").exists():
            shutil.copytree(home / "scripted", out / "scripted")
        sys.exit(int((home / "code").read_text()))
    case "advise":
        print("::error file=shop/main.py,line=3,title=blocks-loop::time.sleep")
        sys.exit(3)
    case "resume":
        sys.exit(int((home / "code-again").read_text()))
    case "export" if (home / "exports").exists():
        words = sys.argv[3:]
        for format, file in zip(words[1::4], words[3::4]):
            text = (home / "exports" / format).read_text()
            print(text) if file == "-" else Path(file).write_text(text)
    case "export":
        os.execv(sys.executable, [sys.executable, "-P", "-m", "cli", *sys.argv[1:]])
"""

FAKE_GH = """#!/bin/sh
echo "$@" >> {calls}
[ -e {readonly} ] && exit 1
case "$*" in *--paginate*) cat {comments} 2> /dev/null;; esac
exit 0
"""


@dataclass
class Rehearsal:
    """A repository with a workflow that uses the action, and the replacement of its measurement."""

    home: Path
    duel: Path
    """The directory of the command."""

    def job(self, event: str, code: int = 0, again: int = 0, **inputs: str) -> Job:
        (self.duel / "code").write_text(str(code))
        (self.duel / "code-again").write_text(str(again))
        name, payload = EVENTS[event]
        repository = self.home / "repository"
        repository.mkdir(exist_ok=True)
        asked = {key.replace("_", "-"): value for key, value in inputs.items()}
        return Job(
            self.home, repository, name, payload, {"python": sys.executable, **asked}, self.home / "bin"
        )

    @property
    def calls(self) -> list[list[str]]:
        """The arguments of every call of duel."""
        return [call.split("\n") for call in (self.duel / "calls").read_text().strip().split("\n\n")]

    @property
    def posted(self) -> str:
        calls = self.home / "gh-calls"
        return calls.read_text() if calls.exists() else ""


@pytest.fixture
def rehearsal(tmp_path: Path) -> Rehearsal:
    home = tmp_path / "runner"
    for directory in ("bin", "duel-environment/bin"):
        (home / directory).mkdir(parents=True)
    duel, gh = home / "duel-environment" / "bin" / "duel", home / "bin" / "gh"
    python = duel.with_name("python")
    duel.write_text(FAKE_DUEL)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    gh.write_text(
        FAKE_GH.format(calls=home / "gh-calls", readonly=home / "readonly", comments=home / "comments")
    )
    for program in (duel, gh, python):
        program.chmod(0o755)
    return Rehearsal(home, duel.parent)


def gate() -> Plan:
    against = {"gate": True, "against": {"shop-head": "shop-base"}}
    return scripted.plan(["shop-base", "shop-head"]).model_copy(update=against)


def measured(rehearsal: Rehearsal, script: Script) -> None:
    """What the measurement leaves, and what `duel export` would write of it."""
    run, directory = scripted.run(rehearsal.duel, gate(), script)
    found = conclude(run, Readings(directory))
    (rehearsal.duel / "exports").mkdir()
    for name in ("github-annotations", "github-summary", "github-outputs", "comment", "junit"):
        (rehearsal.duel / "exports" / name).write_text(formats.write(name, found))


def even(arm: str, _: Cell, round: int) -> Scripted:
    return Scripted(requests=1000 + round)


def slower(arm: str, _: Cell, round: int) -> Scripted:
    return Scripted(requests=(600 if arm == "shop-head" else 1000) + round)


def starved(arm: str, _: Cell, round: int) -> Scripted:
    return Scripted(generator_cpu=0.97)


@pytest.mark.parametrize("event", ["pull_request", "push"])
def test_the_action_passes_a_change_that_costs_nothing(rehearsal: Rehearsal, event: str) -> None:
    measured(rehearsal, even)
    job = rehearsal.job(
        event, arms="shop=shop.main:app", comment="true", arguments="--users=8\n--max-time=9m",
        advise="shop.main:app",
    )  # fmt: skip
    assert job.run() == 0, job.printed
    assert (job.home / "summary").read_text()
    run = next(call for call in rehearsal.calls if call[0] == "run")
    assert run[run.index("--arm") : run.index("--arm") + 2] == ["--arm", "shop=shop.main:app"]
    assert {"--users=8", "--max-time=9m", "--python", "ci"} <= set(run)
    assert job.steps["Comment"] == ("0" if "pull_request" in job.payload else "skipped")
    assert job.outputs["measure"]["outcome"] == "pass"
    advised = next(call for call in rehearsal.calls if call[0] == "advise")
    assert advised[1:] == [
        "shop.main:app", "--app-dir", ".", "--format", "github", "--python", sys.executable
    ]  # fmt: skip
    assert job.steps["Advise"] == "0", "findings are annotations and do not fail the job"
    assert "::error file=shop/main.py" in job.printed


def test_the_action_fails_a_change_that_makes_a_route_slower(rehearsal: Rehearsal) -> None:
    measured(rehearsal, slower)
    job = rehearsal.job("pull_request", code=3)
    assert job.run() == 3
    assert job.steps["Judge"] == "3"
    assert job.steps["Advise"] == "skipped"
    assert "::error" in job.printed
    assert job.outputs["measure"]["regressions"] == "1"


def test_a_pull_request_from_a_fork_gets_a_summary_and_no_failure_for_its_comment(
    rehearsal: Rehearsal,
) -> None:
    measured(rehearsal, even)
    (rehearsal.home / "readonly").touch()
    job = rehearsal.job("fork", comment="true")
    assert job.run() == 0, job.printed
    assert "::notice::No comment" in job.printed
    assert (job.home / "summary").read_text()


@pytest.mark.parametrize(("invalid", "code"), [("neutral", 0), ("fail", 5)])
def test_an_invalid_measurement_is_repeated_once_and_then_neutral_unless_it_shall_fail(
    rehearsal: Rehearsal, invalid: str, code: int
) -> None:
    measured(rehearsal, starved)
    job = rehearsal.job("push", code=5, again=5, invalid=invalid, arguments="--database=postgresql")
    assert job.run() == code, job.printed
    resumed = next(call for call in rehearsal.calls if call[0] == "resume")
    assert "--database=postgresql" in resumed
    assert ("::warning::The measurement failed twice" in job.printed) == (code == 0)


def test_a_disturbance_that_passes_leaves_no_trace_in_the_result(rehearsal: Rehearsal) -> None:
    measured(rehearsal, even)
    assert rehearsal.job("push", code=5, again=0).run() == 0


@pytest.mark.parametrize("started", [True, False])
def test_an_app_that_does_not_start_fails_the_job_although_invalid_is_neutral(
    rehearsal: Rehearsal, started: bool
) -> None:
    if started:
        scripted.run(rehearsal.duel, gate(), even, rounds=0)
    job = rehearsal.job("pull_request", code=5, again=5)
    assert job.run() == 5
    assert job.steps["Judge"] == "5"


def test_a_wrong_argument_fails_the_job_and_is_no_verdict(rehearsal: Rehearsal) -> None:
    job = rehearsal.job("push", code=2)
    assert job.run() == 2
    assert "::error::duel ended without a verdict" in job.printed
    measured(rehearsal, slower)
    regressed = rehearsal.job("push", code=3)
    assert regressed.run() == 3
    assert "without a verdict" not in regressed.printed


@pytest.mark.parametrize("key", [*RENEWABLE, "allow-remote"])
def test_a_repeated_measurement_gets_all_that_is_not_recorded_again(rehearsal: Rehearsal, key: str) -> None:
    """Else it is refused."""
    measured(rehearsal, even)
    takes = DECLARED[key].metavar if key in DECLARED else ""
    word = f"--{key}=x" if takes else f"--{key}"
    assert rehearsal.job("push", code=5, arguments=f"--users=8\n{word}").run() == 0
    asked = {call[0]: call for call in rehearsal.calls}
    assert word in asked["run"]
    assert word in asked["resume"]
    assert "--users=8" not in asked["resume"]


def test_a_gate_that_waits_for_others_waits_when_it_is_repeated_too(rehearsal: Rehearsal) -> None:
    """Several runners may share a machine, where one measurement runs at a time."""
    measured(rehearsal, even)
    assert rehearsal.job("push", code=5, arguments="--users=8\n--wait").run() == 0
    asked = {call[0]: call for call in rehearsal.calls}
    assert "--wait" in asked["run"]
    assert "--wait" in asked["resume"]


def test_two_gates_of_one_pull_request_keep_their_own_comments(rehearsal: Rehearsal) -> None:
    measured(rehearsal, even)
    (rehearsal.home / "comments").write_text("41\n")
    job = rehearsal.job("pull_request", comment="true", name="orders 3.13")
    assert job.run() == 0, job.printed
    body = (rehearsal.home / "duel-comment-orders 3.13.md").read_text()
    assert body.startswith("<!-- fastapi-duel orders 3.13 -->\n### orders 3.13: gate passed")
    assert "-X PATCH repos/shop/shop/issues/comments/41" in rehearsal.posted


def test_duel_is_installed_into_an_environment_of_its_own(rehearsal: Rehearsal) -> None:
    (rehearsal.duel / "duel").unlink()
    python = rehearsal.home / "bin" / "python"
    python.write_text(
        f'#!/bin/sh\necho "$@" >> {rehearsal.home}/python-calls\n'
        f'case "$*" in *venv*) ln -sf "$0" {rehearsal.duel}/python;; esac\n'
    )
    python.chmod(0o755)
    job = rehearsal.job("push")
    job.run()
    calls = (rehearsal.home / "python-calls").read_text()
    environment = rehearsal.duel.parent
    assert f"-I -m venv --clear {environment}" in calls
    assert f"-I -m pip install --quiet --constraint {environment}/versions.txt {ROOT}" in calls
    assert job.steps["Install duel"] == "0"
    # In the versions that we test with, and their conditions: some are locked for each Python.
    pinned = [Requirement(line) for line in (environment / "versions.txt").read_text().splitlines()]
    assert "fastapi" in {one.name for one in pinned}
    assert all(one.specifier for one in pinned)
    assert any(one.marker for one in pinned)


def test_neither_the_jobs_directory_nor_its_python_path_shadows_a_module_of_duel(
    rehearsal: Rehearsal,
) -> None:
    """A repository may have a cli.py or a package called reports, and put its directory on the path."""
    (rehearsal.duel / "duel").write_text("from cli import main\nmain()\n")
    job = replace(rehearsal.job("push", arguments="--rounds=0"), variables={"PYTHONPATH": "."})
    for name in ("cli.py", "reports.py", "loadtests.py", "venv.py", "pip.py"):
        (job.repository / name).write_text("raise SystemExit('shadowed')\n")
    assert job.run() == 2, job.printed
    assert "--rounds" in job.printed
    assert job.steps["Install duel"] == "0"
    assert "shadowed" not in job.printed


def test_an_interpreter_that_is_named_comes_before_one_that_is_found(rehearsal: Rehearsal) -> None:
    (rehearsal.home / "repository" / ".venv").mkdir(parents=True)
    for named in ("/opt/app/bin/python", ""):
        rehearsal.job("push", code=2, python=named).run()
        run = [call for call in rehearsal.calls if call[0] == "run"][-1]
        assert run[1:5] == (
            ["--app-dir", ".", "--python", named] if named else ["--app-dir", ".", "--base-ref", "ci"]
        )


def test_a_step_after_a_failed_one_is_skipped_in_the_rehearsal(rehearsal: Rehearsal) -> None:
    """Proof that the runner skips as GitHub does: the judge says always()."""
    (rehearsal.duel / "duel").unlink()
    python = rehearsal.home / "bin" / "python"
    python.write_text('#!/bin/sh\n[ "$3" != venv ]\n')
    python.chmod(0o755)
    job = rehearsal.job("push")
    assert job.run() != 0
    assert job.steps["Measure base and head"] == "skipped"
    assert job.steps["Judge"] == "1"


@pytest.mark.parametrize(
    ("name", "event", "base"),
    [
        *((name, event, SHA) for name, event in EVENTS.values()),
        ("push", {"before": NO_COMMIT, "repository": {"default_branch": "trunk"}}, "origin/trunk"),
        ("push", {**FORCED, "ref": "refs/heads/topic"}, "origin/main"),
        ("push", {**FORCED, "ref": "refs/heads/main"}, None),
        ("workflow_dispatch", {}, None),
        ("pull_request", {"pull_request": "hostile"}, None),
        ("push", {}, None),
    ],
)
def test_the_base_of_an_event(name: str, event: Mapping[str, Any], base: str | None) -> None:
    assert base_of_event(name, event) == base


def test_a_pull_request_is_compared_with_what_it_was_merged_with() -> None:
    """Main may have moved on since the event; a branch that is checked out as it is has no such merge."""
    event = {"pull_request": {"base": {"sha": SHA}, "head": {"sha": "head"}}}
    assert base_of_event("pull_request", event, ["main-now", "head"]) == "main-now"
    assert base_of_event("pull_request", event, ["head^", "another"]) == SHA


def test_a_merge_request_is_compared_with_what_gitlab_has_merged_it_with() -> None:
    """In pipelines for merged results and merge trains; elsewhere the variable is empty, or missing."""
    request = {"CI_MERGE_REQUEST_DIFF_BASE_SHA": SHA, "CI_COMMIT_BEFORE_SHA": NO_COMMIT}
    assert base_of_job({**request, "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": "b" * 40}, ROOT) == "b" * 40
    assert base_of_job({**request, "CI_MERGE_REQUEST_TARGET_BRANCH_SHA": ""}, ROOT) == SHA


def test_a_job_without_a_base_is_told_to_name_one(tmp_path: Path) -> None:
    event = tmp_path / "event.json"
    event.write_text("{}")
    assert base_of_job({"CI_MERGE_REQUEST_DIFF_BASE_SHA": SHA}, ROOT) == SHA
    for variables in (
        {},
        {"GITHUB_EVENT_NAME": "schedule", "GITHUB_EVENT_PATH": str(event)},
        {"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": "/nowhere"},
    ):
        with pytest.raises(PlanError) as refused:
            base_of_job(variables, ROOT)
        assert "--base-ref COMMIT" in refused.value.hint


def test_a_name_that_no_artifact_can_have_is_refused_before_anything_is_installed(
    rehearsal: Rehearsal,
) -> None:
    job = rehearsal.job("push", name="services/api")
    assert job.run() == 2
    assert "is no name of an artifact" in job.printed
    assert job.steps["Install duel"] == "skipped"
