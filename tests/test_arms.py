"""Each arm is what it claims: its code comes from where it says, and its data is its own if asked for."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from loadtests.errors import PlanError
from loadtests.plan import building
from loadtests.plan.arms import Arm, parse_arm
from loadtests.plan.options import Hooks
from loadtests.plan.plan import Plan
from loadtests.plan.settings import settle
from loadtests.records.run import Run
from loadtests.serving.command import variables
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from loadtests.serving.versions import Sources
from reports.wording.plans import arm_text, plan_text
from tests import scripted
from tests.serving import get

APP = """
import os
import sqlite3
from contextlib import closing
from pathlib import Path

WORD = {word!r}

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = WORD
    if "NOTES" in os.environ:
        with closing(sqlite3.connect(os.environ["NOTES"].removeprefix("sqlite:///"))) as notes, notes:
            notes.execute("insert into notes values ('more')")
            body = str(notes.execute("select count(*) from notes").fetchone()[0])
    elif "DUEL_COPY" in os.environ:
        body = Path(os.environ["DUEL_COPY"], "deep", "word.txt").read_text()
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": body.encode()}})
"""


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[ServingEnvironment]:
    """Of one run: it remembers where the arms' code came from."""
    (tmp_path / "logs").mkdir()
    with ServingEnvironment(tmp_path / "logs", {}) as environment:
        yield environment


@pytest.fixture
def old_and_new(tmp_path: Path) -> tuple[Path, Path]:
    for word in ("old", "new"):
        (tmp_path / word).mkdir()
        (tmp_path / word / "shop.py").write_text(APP.format(word=word))
    return tmp_path / "old", tmp_path / "new"


def test_a_working_directory_is_where_its_app_is_imported_from(
    old_and_new: tuple[Path, Path], shared: ServingEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both arms ran the same code: a route that allows 30 requests per second served 465 and 463."""
    old, new = old_and_new
    monkeypatch.chdir(new)
    arms = [parse_arm(f"before=shop:app,cwd={old}", "."), parse_arm("after=shop:app", ".")]
    answers = []
    for place, arm in enumerate(arms):
        with Server(arm, shared, f"1.{place}") as server:
            answers.append(get(f"{server.url}/"))
    assert answers == [b"old", b"new"]
    assert shared.sources.origins == {"before": str(old / "shop.py"), "after": str(new / "shop.py")}


def test_the_directory_of_all_apps_is_below_each_working_directory(tmp_path: Path) -> None:
    assert parse_arm(f"a=shop:app,cwd={tmp_path}", "src").app_dir == str(tmp_path / "src")
    assert parse_arm(f"a=shop:app,cwd={tmp_path}", "/elsewhere").app_dir == "/elsewhere"
    assert parse_arm(f"a=shop:app,cwd={tmp_path},app-dir=/other", "src").app_dir == "/other"


def test_working_directories_that_an_absolute_app_dir_overrules_are_refused_unless_meant(
    old_and_new: tuple[Path, Path],
) -> None:
    old, new = old_and_new
    both = [f"before=shop:app,cwd={old}", "after=shop:app"]

    def described(*texts: str, app_dir: str = str(new)) -> tuple[Arm, ...]:
        return building.arms(settle({"app-dir": app_dir}, {}, Path(os.devnull)).settings, texts)

    with pytest.raises(PlanError, match="serve the same code") as refused:
        described(*both)
    assert f"imported from {new}, whatever cwd= says" in refused.value.cause
    for meant in (
        [f"{text},app-dir={new}" for text in both],
        [f"{text},cwd={old}" for text in ("before=shop:app", "after=shop:app")],
        [both[0], "after=other:app"],
        both[:1],
    ):
        assert described(*meant)
    assert len({arm.app_dir for arm in described(*both, app_dir=".")}) == 2


def test_arms_of_different_directories_that_import_the_same_file_are_refused(
    old_and_new: tuple[Path, Path], shared: ServingEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with an editable install, which comes first."""
    old, new = old_and_new
    (new / "shop.py").unlink()
    monkeypatch.setenv("PYTHONPATH", str(old))
    with Server(parse_arm(f"before=shop:app,app-dir={old}", "."), shared, "1.0"):
        pass
    server = Server(parse_arm(f"after=shop:app,app-dir={new}", "."), shared, "1.1").__enter__()
    with pytest.raises(PlanError, match="serve the same code") as refused:
        server.__exit__(None, None, None)
    assert str(old / "shop.py") in refused.value.cause


def test_a_thin_module_over_a_package_that_both_arms_share_is_refused_as_well(
    tmp_path: Path, shared: ServingEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with an editable install of one of them: each arm has its own entry module, and one package."""
    for side in ("before", "after"):
        (tmp_path / side / "src").mkdir(parents=True)
        (tmp_path / side / "main.py").write_text("from notes import app\n")
    (tmp_path / "before" / "src" / "notes.py").write_text(APP.format(word="old"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "before" / "src"))
    arms = [parse_arm(f"{side}=main:app,app-dir={tmp_path / side}", ".") for side in ("before", "after")]
    with Server(arms[0], shared, "1.0"):
        pass
    server = Server(arms[1], shared, "1.1").__enter__()
    with pytest.raises(PlanError, match="serve the same code") as refused:
        server.__exit__(None, None, None)
    assert "before/src/notes.py" in refused.value.cause


def test_arms_described_alike_are_measured_and_called_noise() -> None:
    arms = tuple(Arm(name=name, app="shop:app", app_dir="/shop") for name in ("a", "b"))
    plan = scripted.plan().model_copy(update={"arms": arms})
    assert "a and b are the same app with the same settings: their difference is noise." in plan_text(plan)


def test_every_server_gets_its_own_copy_of_a_database(
    tmp_path: Path, old_and_new: tuple[Path, Path], shared: ServingEnvironment
) -> None:
    """A table grew from 500 to 1,044 rows during a run."""
    notes = tmp_path / "notes.db"
    with closing(sqlite3.connect(notes)) as database:
        database.execute("create table notes (text)")
    before = notes.read_bytes()
    text = f"shop=shop:app,app-dir={old_and_new[0]},copy={notes},env.NOTES=sqlite:///{{copy}}"
    arm = parse_arm(text, ".")
    copies = []
    for place in range(2):
        with Server(arm, shared, f"1.{place}") as server:
            assert [get(f"{server.url}/") for _ in range(2)] == [b"1", b"2"]
            copies.append(next(server.data.glob("copy/notes.db")))
    assert notes.read_bytes() == before
    assert not any(copy.exists() for copy in copies)
    assert "fresh server and copy of its data" in plan_text(of(arm))


def test_a_directory_is_copied_whole_and_its_place_is_in_a_variable(
    tmp_path: Path, old_and_new: tuple[Path, Path], shared: ServingEnvironment
) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "word.txt").write_text("deep")
    arm = parse_arm(f"shop=shop:app,app-dir={old_and_new[0]},copy={tmp_path / 'data'}", ".")
    with Server(arm, shared, "1.0") as server:
        assert get(f"{server.url}/") == b"deep"


def test_the_copy_of_a_database_holds_what_sqlite_has_not_merged_yet(tmp_path: Path) -> None:
    """The rows of a transaction are in notes.db-wal until a checkpoint."""
    with closing(sqlite3.connect(tmp_path / "notes.db")) as database:
        database.execute("pragma journal_mode = wal")
        database.execute("create table notes (text)")
        database.execute("insert into notes values ('one')")
        database.commit()
        (tmp_path / "data").mkdir()
        arm = Arm(name="shop", app="shop:app", copied=str(tmp_path / "notes.db"))
        copy = variables(arm, tmp_path / "data")["DUEL_COPY"]
    with closing(sqlite3.connect(copy)) as copied:
        assert copied.execute("select text from notes").fetchall() == [("one",)]


def test_the_commands_around_a_server_find_its_copy(
    tmp_path: Path, old_and_new: tuple[Path, Path], shared: ServingEnvironment
) -> None:
    """So that a command can migrate it before the server starts."""
    (tmp_path / "data" / "deep").mkdir(parents=True)
    write = 'printf migrated > "$DUEL_COPY/deep/word.txt"'
    shared.hooks = Hooks(
        ("sh", "-c", write), ("sh", "-c", 'test "$(cat "$DUEL_COPY/deep/word.txt")" = migrated')
    )
    arm = parse_arm(f"shop=shop:app,app-dir={old_and_new[0]},copy={tmp_path / 'data'}", ".")
    with Server(arm, shared, "1.0") as server:
        assert get(f"{server.url}/") == b"migrated"
    assert not (tmp_path / "data" / "deep" / "word.txt").exists()


def test_a_link_to_the_directory_of_another_arm_is_no_other_code(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    sources = Sources()
    real, link = (Arm(name=n, app="shop:app", app_dir=str(tmp_path / n)) for n in ("real", "link"))
    sources.note_origin(real, {"shop": [f"{real.app_dir}/shop.py"]})
    with pytest.raises(PlanError, match="serve the same code"):
        sources.note_origin(link, {"shop": [f"{link.app_dir}/shop.py"]})


def of(arm: Arm) -> Plan:
    return scripted.plan().model_copy(update={"arms": (arm,)})


def test_data_that_stays_between_trials_is_said_and_only_of_apps_other_than_the_twins() -> None:
    own = Arm(name="shop", app="shop:app", app_dir="/shop")
    assert "the app's data stays" in plan_text(of(own))
    assert "fresh server and database" in plan_text(scripted.plan())


def test_the_line_of_an_arm_names_its_file_its_interpreter_and_the_packages_that_differ(
    tmp_path: Path,
) -> None:
    pair = [Arm(name=name, app="shop:app", app_dir="/s", python=f"/{name}/python") for name in ("a", "b")]
    plan = scripted.plan().model_copy(update={"arms": tuple(pair)})
    run, _ = scripted.run(tmp_path, plan, lambda *_: scripted.Scripted())
    versions = {"/a/python": "0.115", "/b/python": "0.116"}
    packages = {python: {"fastapi": version, "anyio": "4"} for python, version in versions.items()}
    more = {"inputs": {"directory": "/", "packages": packages}, "origins": {"b": "/s/shop.py"}}
    text = arm_text(Run.model_validate(run.model_dump(by_alias=True) | more), pair[1])
    assert text.startswith("shop:app (/s/shop.py), by /b/python, ")
    assert text.endswith("packages: fastapi 0.116 instead of 0.115")
