"""A resumed run is the same program: files beside an app's code, which git need not track."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure.runs import resume, sealed
from loadtests.plan import options
from loadtests.plan.arms import Arm
from loadtests.plan.options import RunOptions
from loadtests.records.directory import RunDirectory
from loadtests.serving.used import files
from loadtests.serving.used.changes import data_changed
from loadtests.serving.used.files import UsedFiles
from reports.wording.plans import resumed_lines
from tests import scripted
from tests.commands import brisk_here, carried_out, duel_here
from tests.conftest import APPS
from tests.test_resume import interrupted

SHORT = ("-u", "2", "--rounds", "1", "-t", "0.3", "--warmup", "0.1", "--no-progress")

APP = {
    "entry.py": "app = None\n",
    "templates/page.html": "<p>1</p>",
    "static/logo.svg": "<svg/>",
    "README.md": "An app.",
    ".env": "TOKEN=hunter2\n",
    "notes.db": "1",
    "docs/index.html": "1",
    "state.json": "{}",
}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with an app and what lies beside it, in which duel runs; its digests are quick."""
    monkeypatch.setattr(options, "WORK", 2**4)
    place = tmp_path / "shop"
    for name, text in APP.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(place)
    return place


def tracked(place: Path) -> None:
    """Make a repository of all but the database and the settings."""
    (place / ".gitignore").write_text("*.db\n.env\n")
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *words], cwd=place, check=True)


def arms(place: Path) -> Sequence[Arm]:
    return tuple(Arm(name=name, app="entry:app", app_dir=str(place)) for name in ("old", "new"))


def surveyed(place: Path, parent: Path) -> tuple[Path, UsedFiles]:
    """The directory of an interrupted run of the app, and what is known of its files."""
    path = interrupted(parent / "runs", scripted.plan().model_copy(update={"arms": arms(place)}))
    run, used = sealed(RunDirectory(path).load(), RunOptions()), UsedFiles()
    assert run.sealed is not None
    used.survey(run.plan.arms, run.sealed.salt, path)
    RunDirectory(path).save(run.model_copy(update={"files": used.record}))
    return path, used


def test_a_changed_file_of_the_program_is_refused_with_its_name_and_its_arms(
    shop: Path, tmp_path: Path
) -> None:
    """Templates, static files and settings, although nothing imports them and git ignores the last."""
    tracked(shop)
    path, _ = surveyed(shop, tmp_path)
    resume(path, None)
    for name in ("templates/page.html", "static/logo.svg", ".env"):
        (shop / name).write_text("2")
        has_changed = rf"{name} has changed \(a file of arms 'old' and 'new'\)"
        with pytest.raises(PlanError, match=has_changed) as refused:
            resume(path, None)
        assert "restore it, or start a new one" in (refused.value.hint or "")
        (shop / name).write_text(APP[name])
    resume(path, None)
    for name in ("templates/page.html", "static/logo.svg", ".env"):
        (shop / name).unlink()
        with pytest.raises(PlanError, match=rf"{name} is gone"):
            resume(path, None)
        (shop / name).write_text(APP[name])


def test_a_template_is_refused_without_a_repository_too(shop: Path, tmp_path: Path) -> None:
    path, _ = surveyed(shop, tmp_path)
    (shop / "templates" / "page.html").write_text("<p>2</p>")
    with pytest.raises(PlanError, match=r"page\.html has changed"):
        resume(path, None)


@pytest.mark.parametrize("repository", [True, False])
def test_a_database_and_a_readme_are_noted_and_not_refused(
    shop: Path, tmp_path: Path, repository: bool
) -> None:
    if repository:
        tracked(shop)
        subprocess.run(["git", "add", "--force", "notes.db"], cwd=shop, check=True)
    path, _ = surveyed(shop, tmp_path)
    changed = [shop / name for name in ("README.md", "docs/index.html", "notes.db")]
    for file in changed:
        file.write_text("2")
    run, _ = resume(path, None)
    assert sorted(data_changed(run)) == [str(file) for file in changed]
    assert any("notes.db" in line for line in resumed_lines(run, data_changed(run)))


def test_what_the_app_writes_while_it_serves_does_not_block_the_run(shop: Path, tmp_path: Path) -> None:
    """Even where git tracks it."""
    tracked(shop)
    path, used = surveyed(shop, tmp_path)
    (shop / "state.json").write_text('{"visits": 1}')
    with pytest.raises(PlanError, match=r"state\.json has changed"):
        resume(path, None)
    used.check(arms(shop))
    run = RunDirectory(path).load()
    RunDirectory(path).save(run.model_copy(update={"files": used.record}))
    (shop / "state.json").write_text('{"visits": 2}')
    assert data_changed(resume(path, None)[0]) == [str(shop / "state.json")]


def test_a_template_that_is_edited_between_two_trials_stops_the_run(shop: Path, tmp_path: Path) -> None:
    _, used = surveyed(shop, tmp_path)
    used.check(arms(shop))
    (shop / "templates" / "page.html").write_text("<p>other</p>")
    with pytest.raises(ChildFailed, match="arms 'old' and 'new' changed while it was measured"):
        used.check(arms(shop))


def test_a_template_that_a_command_makes_for_every_arm_does_not_stop_the_run(
    shop: Path, tmp_path: Path
) -> None:
    """`--before-trial` may write what an arm reads."""
    path, used = surveyed(shop, tmp_path)
    (shop / "templates" / "page.html").write_text("<p>of arm old</p>")
    used.check(arms(shop), commands=True)
    run = RunDirectory(path).load()
    RunDirectory(path).save(run.model_copy(update={"files": used.record}))
    assert data_changed(resume(path, None)[0]) == [str(shop / "templates" / "page.html")]


def test_a_secret_setting_is_not_in_the_record(shop: Path, tmp_path: Path) -> None:
    """Its digest is salted, and too short and too slow to guess it from."""
    one, other = (surveyed(shop, tmp_path / name)[1].record for name in "ab")
    assert one is not None
    assert other is not None
    found = one.program[str(shop / ".env")]
    assert len(found) == 6
    assert found != other.program[str(shop / ".env")]


def test_a_directory_with_too_many_files_is_said(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_FILES", 2)
    path, _ = surveyed(shop, tmp_path)
    run, _ = resume(path, None)
    assert run.files is not None
    assert len(run.files.program) + len(run.files.data) == 2
    assert resumed_lines(run, [])[-1] == f"note: not all files are compared: {shop} holds too many."
    two = run.files.model_copy(update={"cut": (str(shop), "/lib")})
    (*_, said) = resumed_lines(run.model_copy(update={"files": two}), [])
    assert said == f"note: not all files are compared: {shop}, /lib hold too many."


def test_it_is_said_what_an_old_record_does_not_know(shop: Path, tmp_path: Path) -> None:
    path, _ = surveyed(shop, tmp_path)
    RunDirectory(path).save(RunDirectory(path).load().model_copy(update={"files": None}))
    run, _ = resume(path, None)
    (line,) = resumed_lines(run, [])
    assert line.endswith("whether they have changed is not known.")


def test_a_real_run_records_what_its_apps_are_made_of(shop: Path, unprepared: None, unseeded: None) -> None:
    """The command refuses another module or template, and continues after a note."""
    shutil.copy(APPS / "odd.py", shop / "odd.py")
    arms = ["--arm", "old=odd:counting", "--arm", "new=odd:counting"]
    begun = brisk_here("run", "-s", "ping", *SHORT, *arms, cwd=shop)
    carried_out(begun.returncode, begun.stderr)
    (path,) = (shop / "runs").iterdir()
    run = RunDirectory(path).load()
    assert run.files is not None
    # One round is still missing.
    longer = run.plan.model_copy(update={"min_rounds": 2, "max_rounds": 2})
    run = run.model_copy(update={"plan": longer})
    RunDirectory(path).save(run)
    for name in ("odd.py", "templates/page.html"):
        before = (shop / name).read_text()
        (shop / name).write_text(f"{before}\n")
        refused = duel_here("resume", str(path), cwd=shop)
        assert refused.returncode == 2
        assert f"{shop / name} has changed" in refused.stderr
        (shop / name).write_text(before)
    for name in ("notes.db", "README.md"):
        (shop / name).write_text("2")
    resumed = brisk_here("resume", str(path), cwd=shop)
    carried_out(resumed.returncode, resumed.stderr)
    assert "not part of the program" in resumed.stderr
    assert len(RunDirectory(path).load().trials) > len(run.trials)
