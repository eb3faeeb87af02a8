"""A resumed run is the same run: what records do not hold is given again, or the run is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure import opening, rounds
from loadtests.measure.answers.equality import check_resumable
from loadtests.measure.bench import DEFAULT_OPTIONS, Bench
from loadtests.measure.opening import still_refused
from loadtests.measure.planning import planned
from loadtests.measure.runs import begin, check_given, resume, sealed, with_secrets
from loadtests.measure.trials import servers
from loadtests.plan.arms import HIDDEN, Arm
from loadtests.plan.base.repository import git
from loadtests.plan.options import WORK as COST
from loadtests.plan.options import Hooks, RunOptions, Sealed
from loadtests.plan.plan import Plan
from loadtests.plan.workers.access import MasterAddress
from loadtests.records.directory import RunDirectory
from loadtests.records.files import digest
from loadtests.records.refusals import Refusal
from loadtests.records.run import Run, WorkerHost
from loadtests.records.trial import ServerEnd
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.external import DidNotStart
from loadtests.serving.server import serve
from loadtests.serving.versions import Sources
from tests import scripted
from tests.commands import duel_here
from tests.test_base_world import BASE
from tests.test_bottlenecks import trial

SECRET = "hunter2"  # noqa: S105  # no password of anything
URL = f"postgresql://ada:{SECRET}@127.0.0.1:1/shop"
HOST = WorkerHost(host="far", cpus=2, offset=0.1, error=0.001)
HOOKS = Hooks(("sh", "reset.sh", SECRET), ())


def interrupt(*_: object) -> NoReturn:
    raise InterruptedError


@pytest.fixture(autouse=True)
def digests_are_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A digest takes a tenth of a second, so that it is slow to guess from; most tests make a dozen."""
    monkeypatch.setattr("loadtests.plan.options.WORK", 2**4)


def interrupted(parent: Path, plan: Plan, options: RunOptions = DEFAULT_OPTIONS) -> Path:
    """The directory of a run of this machine that has one trial."""
    run, directory = begin(plan, parent)
    cell, arm = plan.cells[0], plan.arms[0].name
    trial = scripted.trial(scripted.Scripted(), 1, 0, 0, cell, arm)
    directory.save(sealed(run, options).with_trial(trial, 1.0))
    return directory.path


def with_secret(value: str = SECRET) -> Plan:
    arms = tuple(
        Arm(name=name, app="odd:counting", app_dir=str(Path(__file__).parent / "apps"), env={"TOKEN": value})
        for name in ("a", "b")
    )
    return scripted.plan().model_copy(update={"arms": arms})


def arms(value: str) -> Sequence[Arm]:
    return with_secret(value).arms


def test_a_secret_is_given_again_and_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An arm got the text "(not recorded)" as its setting."""
    path = interrupted(tmp_path, with_secret())
    assert SECRET not in (path / "run.json").read_text()
    with pytest.raises(PlanError, match=r"env.TOKEN of arm 'a' is not recorded"):
        resume(path, None)
    run, _ = resume(path, None, lambda: arms(SECRET))
    assert [arm.env["TOKEN"] for arm in run.plan.arms] == [SECRET, SECRET]
    assert sealed(run, RunOptions()) == run
    other, _ = resume(path, None, lambda: arms("hunter3"))
    with pytest.raises(PlanError, match=r"TOKEN of arm 'a' has another value"):
        sealed(other, RunOptions())
    monkeypatch.setenv("TOKEN", SECRET)
    assert sealed(resume(path, None)[0], RunOptions()).plan.arms == run.plan.arms
    # Not by way of Python either.
    with pytest.raises(PlanError, match="is not recorded"):
        sealed(RunDirectory(path).load(), RunOptions())


def test_an_arm_of_a_gate_is_passed_again_by_the_name_that_it_was_given(tmp_path: Path) -> None:
    run, _ = scripted.run(tmp_path, scripted.plan(), lambda *_: scripted.Scripted())
    gate = run.model_copy(update={"plan": run.plan.model_copy(update={"base": BASE})})
    arm = Arm(name="shop-base", app="shop:app", env={"TOKEN": HIDDEN})
    with pytest.raises(PlanError) as caught:
        with_secrets(arm, gate, lambda: ())
    assert "--arm shop=…,env.TOKEN=…" in caught.value.hint


def test_a_secret_that_cannot_be_verified_is_not_taken_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record of the first release holds no digests."""
    path = interrupted(tmp_path, with_secret())
    RunDirectory(path).save(RunDirectory(path).load().model_copy(update={"sealed": None}))
    monkeypatch.setenv("TOKEN", SECRET)
    with pytest.raises(PlanError, match="is not recorded"):
        resume(path, None)
    run, _ = resume(path, None, lambda: arms("any"))
    assert sealed(run, RunOptions()) == run


def test_an_arm_given_again_is_the_one_that_was_measured(tmp_path: Path) -> None:
    path = interrupted(tmp_path, with_secret())
    other = [arm.model_copy(update={"app": "odd:slow"}) for arm in arms(SECRET)]
    with pytest.raises(PlanError, match="is not the one that run"):
        resume(path, None, lambda: other)


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (RunOptions(URL), RunOptions(), "its database is postgresql"),
        (RunOptions(), RunOptions(URL), "its database is sqlite"),
        (RunOptions(URL), RunOptions("postgresql"), "--database has another value"),
        (RunOptions(URL), RunOptions(URL.replace("/shop", "/other")), "--database has another value"),
        (RunOptions(hooks=HOOKS), RunOptions(), "--before-trial is not given"),
        (RunOptions(), RunOptions(hooks=HOOKS), "--before-trial was not given"),
        (RunOptions(hooks=HOOKS), RunOptions(hooks=Hooks(("sh", "reset.sh"), ())), "has another value"),
    ],
)
def test_options_are_those_of_the_run(
    tmp_path: Path, first: RunOptions, then: RunOptions, message: str
) -> None:
    """The last round of a run on PostgreSQL was measured on SQLite."""
    plan = scripted.plan().model_copy(update={"database": "postgresql" if first.database else "sqlite"})
    path = interrupted(tmp_path, plan, first)
    run, _ = resume(path, None)
    assert sealed(run, first) == run
    with pytest.raises(PlanError, match=message) as refused:
        sealed(run, then)
    assert SECRET not in str(refused.value)
    assert SECRET not in (path / "run.json").read_text()


def test_a_run_that_was_interrupted_before_its_first_trial_keeps_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was started on PostgreSQL was measured on SQLite, and reported as on PostgreSQL."""
    plan = scripted.plan().model_copy(update={"database": "postgresql"})
    monkeypatch.setattr(opening, "measurement_lock", interrupt)
    with pytest.raises(InterruptedError):
        rounds.carry_out(*begin(plan, tmp_path), lambda _: set(), options=RunOptions(URL, HOOKS))
    (path,) = tmp_path.iterdir()
    run, directory = resume(path, None)
    for other, message in (
        (RunOptions(), "its database is postgresql"),
        (RunOptions(URL), "--before-trial is not given"),
    ):
        with pytest.raises(PlanError, match=message):
            rounds.carry_out(run, directory, lambda _: set(), options=other)


def test_code_that_changes_while_a_run_waits_for_its_turn_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was compared when the command began, which may be hours before."""
    app = tmp_path / "app.py"
    app.write_text("PRICE = 1\n")
    path = interrupted(tmp_path, scripted.plan())
    run = RunDirectory(path).load().model_copy(update={"sources": {str(app): digest(app)}})
    RunDirectory(path).save(run)
    run, directory = resume(path, None)

    @contextmanager
    def waits(*_: object) -> Iterator[None]:
        app.write_text("PRICE = 2\n")
        yield

    monkeypatch.setattr(opening, "measurement_lock", waits)
    with pytest.raises(PlanError, match=r"app\.py has changed"):
        rounds.carry_out(run, directory, lambda _: set())


def test_the_environment_of_every_server_is_that_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("DUEL_APP_POOL_SIZE", "5")
    run, _ = resume(interrupted(tmp_path, scripted.plan()), None)
    assert sealed(run, RunOptions()) == run
    monkeypatch.setenv("DUEL_APP_POOL_SIZE", "40")
    with pytest.raises(PlanError, match="DUEL_APP_POOL_SIZE has another value"):
        sealed(run, RunOptions())
    monkeypatch.delenv("DUEL_APP_POOL_SIZE")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    with pytest.raises(PlanError, match="DUEL_APP_POOL_SIZE is not given"):
        sealed(run, RunOptions())


def test_the_command_refuses_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one clear error, and before anything is started."""
    monkeypatch.chdir(tmp_path)
    path = interrupted(tmp_path, with_secret(), RunOptions(hooks=HOOKS))
    before = (path / "run.json").read_bytes()
    text = f"=odd:counting,env.TOKEN={SECRET}"
    again = ["--app-dir", str(Path(__file__).parent / "apps"), "--arm", f"a{text}", "--arm", f"b{text}"]
    for words, message in (
        ([], "the value of env.TOKEN of arm 'a' is not recorded"),
        (again, "--before-trial is not given"),
        ([*again, "--before-trial", "sh other.sh"], "--before-trial has another value"),
        ([*again, "--database", "postgresql"], "its database is sqlite"),
    ):
        done = duel_here("resume", str(path), *words, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert SECRET not in done.stderr
    assert (path / "run.json").read_bytes() == before


def test_a_digest_shows_a_change_and_not_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes too long for guesses, and is too short to tell which guess is right."""
    assert COST >= 2**15
    monkeypatch.setattr("loadtests.plan.options.WORK", COST)
    one, other = Sealed.of({"a": SECRET, "b": SECRET}), Sealed.of({"a": SECRET, "b": SECRET})
    digests = [*one.digests.values(), *other.digests.values()]
    assert len(set(digests)) == 4
    assert {len(digest) for digest in digests} == {6}
    assert one.changed({"a": SECRET, "c": ""}) == (["b"], ["c"], [])
    assert one.changed({"a": "", "b": SECRET}) == ([], [], ["a"])


@pytest.mark.parametrize(
    ("gone", "gate", "refused"),
    [("async", True, False), ("sync", True, True), ("async", False, True)],
    ids=["a head", "a base", "an arm of no gate"],
)
def test_that_a_gates_head_no_longer_starts_is_left_to_the_rounds_as_its_result(
    monkeypatch: pytest.MonkeyPatch, environment: ServingEnvironment, gone: str, gate: bool, refused: bool
) -> None:
    """Resuming was an error, after which the action took the first part of the run for all of it: neutral."""

    def only_some_start(arm: Arm, *_: Any) -> Any:
        if arm.name == gone:
            raise DidNotStart("no", cause="", hint="", end=ServerEnd(during="start"))
        done = {name: lambda: None for name in ("check_sources", "ask_to_end", "stop")}
        return SimpleNamespace(url="http://127.0.0.1:1", arm=arm, pid=None, **done)

    monkeypatch.setattr(servers, "serve", only_some_start)
    against = {"gate": True, "against": {"async": "sync"}} if gate else {}
    plan = scripted.plan().model_copy(update=against)
    with pytest.raises(DidNotStart) if refused else nullcontext():
        check_resumable(plan, environment, ())


def test_arms_whose_servers_did_not_fit_the_memory_together_stay_apart(tmp_path: Path) -> None:
    """A resumed run calibrates nothing, and started all of them side by side."""
    bench = Bench(tmp_path)
    bench.recall([trial()])
    assert bench.apart is None
    bench.recall([trial(), trial().model_copy(update={"apart": "memory"})])
    assert bench.apart == "memory"


def test_code_that_has_changed_is_refused_and_named(tmp_path: Path, environment: ServingEnvironment) -> None:
    """Between two parts of a run, and within one."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "entry.py").write_text("from shop import prices\nfrom odd import counting\n")
    (tmp_path / "shop" / "prices.py").write_text("PRICE = 1\n")
    (tmp_path / "odd.py").write_text((Path(__file__).parent / "apps" / "odd.py").read_text())
    arm = Arm(name="a", app="entry:counting", app_dir=str(tmp_path))
    environment.sources = Sources()
    with serve(arm, environment, "1.first"):
        pass
    found = environment.sources.digests
    assert {str(tmp_path / name) for name in ("entry.py", "odd.py", "shop/prices.py")} == set(found)
    path = interrupted(tmp_path / "runs", scripted.plan())
    run: Run = RunDirectory(path).load().model_copy(update={"sources": found})
    RunDirectory(path).save(run)
    assert resume(path, None)[0].sources == found
    (tmp_path / "shop" / "prices.py").write_text("PRICE = 2\n")
    with pytest.raises(PlanError, match=r"shop/prices\.py has changed"):
        resume(path, None)
    with pytest.raises(ChildFailed, match="changed while it was measured"), serve(arm, environment, "1.next"):
        pass
    (tmp_path / "shop" / "prices.py").unlink()
    with pytest.raises(PlanError, match=r"shop/prices\.py is gone"):
        resume(path, None)


def commit(directory: Path) -> None:
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    git(directory, *author, "commit", "-qm", "Work", "--allow-empty")


def shop(directory: Path, **more: Any) -> Plan:
    """A plan for an app in a repository with templates, data and prose."""
    directory.mkdir()
    for name in ("shop.py", "templates/page.html", "README.md", "tests/test_shop.py"):
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text("# as committed\n")
    for words in (
        ("init", "-q"),
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"),
    ):
        git(directory, *words)
    arms = tuple(Arm(name=name, app="shop:app", app_dir=str(directory), **more) for name in ("a", "b"))
    return scripted.plan().model_copy(update={"arms": arms})


@pytest.mark.parametrize("name", ["templates/page.html", "shop.py"])
def test_a_tracked_file_of_an_app_that_changed_is_refused_by_name(tmp_path: Path, name: str) -> None:
    plan = shop(tmp_path / "shop")
    path = interrupted(tmp_path, plan)
    resume(path, None)
    (tmp_path / "shop" / name).write_text("# changed\n")
    with pytest.raises(PlanError, match=f"{name}: not as it was"):
        resume(path, None)
    (tmp_path / "shop" / name).write_text("# as committed\n")
    resume(path, None)


def test_a_file_that_was_changed_before_the_run_may_stay_so_and_not_change_again(tmp_path: Path) -> None:
    plan = shop(tmp_path / "shop")
    page = tmp_path / "shop" / "templates" / "page.html"
    page.write_text("# edited\n")
    path = interrupted(tmp_path, plan)
    resume(path, None)
    page.write_text("# as committed\n")
    with pytest.raises(PlanError, match="not as it was"):
        resume(path, None)


def test_what_an_app_writes_and_what_people_read_does_not_hinder(tmp_path: Path) -> None:
    plan = shop(tmp_path / "shop")
    path = interrupted(tmp_path, plan)
    (tmp_path / "shop" / "notes.db").write_text("a row")
    (tmp_path / "shop" / "README.md").write_text("Better words")
    (tmp_path / "shop" / "tests" / "test_shop.py").write_text("assert True")
    resume(path, None)


def test_a_commit_since_that_changes_no_file_of_the_app_does_not_hinder(tmp_path: Path) -> None:
    plan = shop(tmp_path / "shop")
    path = interrupted(tmp_path, plan)
    commit(tmp_path / "shop")
    resume(path, None)


def test_an_upgraded_package_of_the_interpreter_that_serves_is_refused_by_name(tmp_path: Path) -> None:
    python, found = tmp_path / "python", tmp_path / "found.json"
    python.write_text(f"#!/bin/sh\ncat {found}\n")
    python.chmod(0o755)
    found.write_text('{"starlette": "1.0", "fastapi": "0.115"}')
    path = interrupted(tmp_path, shop(tmp_path / "shop", python=str(python)))
    resume(path, None)
    found.write_text('{"starlette": "1.0", "fastapi": "0.116"}')
    with pytest.raises(PlanError, match=r"fastapi of .*python was 0.115, and is now 0.116"):
        resume(path, None)


def test_an_app_is_served_in_the_directory_where_its_run_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = interrupted(tmp_path, shop(tmp_path / "shop"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PlanError, match=r"it began in .*resume it there"):
        resume(path, None)


def test_a_changed_helper_of_a_locustfile_is_refused_by_name(tmp_path: Path) -> None:
    """The file itself is as it was; it is loaded again for every trial."""
    helper = tmp_path / "accounts.py"
    helper.write_text("PATH = '/ping'\n")
    (tmp_path / "load.py").write_text(
        "from accounts import PATH\nfrom locust import HttpUser, task\n\nclass Reader(HttpUser):\n"
        "    @task\n    def read(self):\n        self.client.get(PATH)\n"
    )
    plan = planned(locustfile=str(tmp_path / "load.py"), users=[1])
    path = interrupted(tmp_path, plan)
    resume(path, None)
    helper.write_text("PATH = '/sleep'\n")
    with pytest.raises(PlanError, match=r"accounts\.py has changed"):
        resume(path, None)


def test_load_from_other_machines_is_not_continued_from_this_one(tmp_path: Path) -> None:
    run = RunDirectory(interrupted(tmp_path, scripted.plan())).load()
    joined = run.model_copy(update={"workers": (HOST,)})
    listening = RunOptions(listen=MasterAddress("127.0.0.1", 5557))
    assert sealed(joined, listening).workers == (HOST,)
    for resumed, options in ((joined, RunOptions()), (run, listening)):
        with pytest.raises(PlanError, match="its load came from"):
            sealed(resumed, options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Arm(name="c", app="odd:ok"), "has no arm 'c'"),
        (Arm(name="a", app="odd:slow"), "is not the one that run"),
        (Arm(name="a", app="odd:ok", env={"DUEL_APP_POOL_SIZE": "5"}), "is not the one that run"),
    ],
)
def test_other_arms_than_those_of_the_run_are_refused_and_not_ignored(
    tmp_path: Path, given: Arm, message: str
) -> None:
    mine = tuple(Arm(name=name, app="odd:ok", env={"DUEL_APP_POOL_SIZE": "20"}) for name in "ab")
    run = RunDirectory(interrupted(tmp_path, scripted.plan().model_copy(update={"arms": mine}))).load()
    check_given(run, mine)
    with pytest.raises(PlanError, match=message):
        check_given(run, [given])


def test_cells_that_did_not_fit_the_time_are_measured_with_more_of_it(
    tmp_path: Path,
) -> None:
    long = Refusal(kind="trials-too-long", needed=9.0, limit=60.0, trials=8, turns=5)
    short = Refusal(kind="window-too-long", needed=90.0, limit=30.0, trials=8, turns=5)
    run = RunDirectory(interrupted(tmp_path, scripted.plan())).load()
    run = run.model_copy(update={"refused": {"report@64": long, "blocking@64": short}})
    assert still_refused(run, {"blocking@64": short}) == {"blocking@64": short}
    # A shorter limit takes nothing away.
    assert still_refused(run, {**run.refused, "ping@64": long}) == run.refused
