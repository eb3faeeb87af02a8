"""A locustfile finds the world that it has under Locust: a fresh state, its options, its events, its rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from importlib.machinery import PathFinder
from pathlib import Path

import numpy as np
import pytest

from loadtests.measure.calibration import calibration_users
from loadtests.measure.generator import GeneratorOptions, generator, import_path, known_scenarios
from loadtests.measure.validity import loop_faults
from loadtests.plan.cells import Cell
from loadtests.plan.options import RunOptions, unrecorded
from loadtests.plan.plan import Ignored, LocustFile
from loadtests.plan.settings import settle
from loadtests.records import Fault
from loadtests.records.arrays import write_samples
from loadtests.records.directory import RunDirectory
from loadtests.records.run import Run
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from loadtests.system.processes import OWN_BOOT, ROOT, Child, family
from reports.advice.caveats import caveats
from reports.analysis.answers.shared_state import SharedState
from reports.analysis.names.endpoints import ALL
from reports.analysis.readings import Readings
from reports.analysis.verdicts import verdicts
from reports.wording.advice.caveats import caveat_text
from reports.wording.faults import fault_text
from reports.wording.plans import plan_text
from reports.wording.sentences import finding
from tests import scripted
from tests.conftest import APPS
from tests.scripted import Script, Scripted
from tests.serving import app, loaded, read_samples

LOAD = str(APPS / "world_load.py")


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journal") / "lines"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, journal: Path) -> Iterator[Child]:
    """A generator whose locustfile has a state."""
    words = ("--journal", str(journal), "--tenant=acme")
    chosen = GeneratorOptions(locustfile=LOAD, canary=None, locust_args=words)
    with generator(tmp_path_factory.mktemp("logs"), {}, chosen) as child:
        child.receive(OWN_BOOT)
        yield child


@pytest.fixture(scope="module")
def url(environment: ServingEnvironment) -> Iterator[str]:
    with Server(app("counting"), environment, "world") as server:
        yield server.url


BRIEF = {"warmup": 0.05, "window": 0.2, "warmup_turns": 1, "window_turns": 1}


def test_every_trial_finds_the_files_state_as_it_was_loaded(
    world: Child, url: str, journal: Path, tmp_path: Path
) -> None:
    """Two accounts serve two users, twice; listeners hear the events once a trial; the file draws something
    else in a trial with other names, and the same in one with the same."""
    for names in ("1", "2", "1"):
        facts = loaded(world, url, tmp_path / "s.npz", scenario="Account", users=2, names=names, **BRIEF)
        assert (facts["errors"], facts["left"], facts["endpoints"]) == ([], 0, ["look"])
    lines = journal.read_text().splitlines()
    assert [line.split()[:2] for line in lines] == 3 * [
        [name, "acme"] for name in ("init", "test_start", "test_stop", "quitting")
    ]
    assert lines[0] == "init acme True"
    assert lines[3] == lines[11] != lines[7]


def test_users_that_end_by_themselves_are_counted(world: Child, url: str, tmp_path: Path) -> None:
    facts = loaded(world, url, tmp_path / "s.npz", scenario="Ending", users=2, **BRIEF)
    assert facts["left"] == 2
    assert len(read_samples(tmp_path / "s.npz")) == 20


def test_rows_that_are_no_requests_are_kept_apart(world: Child, url: str, tmp_path: Path) -> None:
    facts = loaded(world, url, tmp_path / "s.npz", scenario="Rows", users=2, **BRIEF)
    rows = read_samples(tmp_path / "s.npz")
    assert facts["covering"] == ["transaction"]
    assert facts["untimed"]["pushed"] > 0
    assert facts["errors"] == []
    requests = rows.without(facts["covering"], facts["endpoints"])
    assert len(requests) == pytest.approx(2 * (len(rows) - len(requests)), abs=4)
    assert set(requests.status.tolist()) == {200}


def test_nested_transactions_and_rows_with_odd_values_keep_their_columns(
    world: Child, url: str, tmp_path: Path
) -> None:
    """Of a row that failed without a time, the failure counts; a length that is none is 0."""
    facts = loaded(world, url, tmp_path / "s.npz", scenario="OddRows", users=2, **BRIEF)
    rows, names = read_samples(tmp_path / "s.npz"), facts["endpoints"]
    assert facts["covering"] == ["inner", "outer"]
    assert facts["errors"] == ["ValueError: no time"]
    assert set(names) == {"step", "inner", "outer", "negative", "worded", "broken"}
    broken = rows.endpoint == names.index("broken")
    assert broken.any()
    assert np.array_equal(rows.error != 0, broken)
    odd = np.isin(rows.endpoint, [names.index(name) for name in ("negative", "worded")])
    assert set(rows.size[odd].tolist()) == {0}
    assert (rows.end >= rows.start).all()


def test_a_user_with_requests_at_once_is_no_bug_of_duel(world: Child, url: str, tmp_path: Path) -> None:
    facts = loaded(world, url, tmp_path / "s.npz", scenario="Browser", users=2, **BRIEF)
    assert facts["parallel"]
    assert facts["covering"] == []
    assert facts["errors"] == []


@pytest.mark.parametrize("scenario", ["Streaming", "StreamingWithin"])
def test_reading_a_stream_counts_as_waiting_for_it(
    world: Child, url: str, scenario: str, tmp_path: Path
) -> None:
    """Once: whether its row comes before the user reads or, in a `with` block, afterwards."""
    facts = loaded(world, url, tmp_path / "s.npz", scenario=scenario, users=2, **BRIEF)
    samples = read_samples(tmp_path / "s.npz")
    assert np.median(samples.service_time) > 0.005
    inside = np.clip(samples.end, 0, facts["window"]) - np.clip(samples.start, 0, facts["window"])
    assert inside.sum() == pytest.approx(2 * facts["window"], rel=0.1)


def test_what_a_file_asks_for_in_vain_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCUST_RUN_TIME", "10s")
    found = known_scenarios(LOAD)
    assert {(one["kind"], one["name"]) for one in found["ignored"]} >= {
        ("shape", "Stages"), ("weight", "Account"), ("fixed-count", "Ending"), ("option", "--run-time"),
    }  # fmt: skip
    kept = tuple(map(Ignored.model_validate, found["ignored"]))
    plan = scripted.plan().model_copy(update={"locustfile": LocustFile(file=LOAD, digest="0", ignored=kept)})
    assert "Stages (LoadTestShape): the load is that of -u or --rate" in plan_text(plan)


@pytest.mark.parametrize("words", ["--unknown=1", "--help", "--tenant"])
def test_an_option_that_the_file_does_not_have_is_one_clear_error(words: str, tmp_path: Path) -> None:
    chosen = GeneratorOptions(locustfile=LOAD, canary=None, locust_args=(words,))
    with generator(tmp_path, {}, chosen) as child:
        with pytest.raises(Exception, match="ended with exit code 1") as failure:
            child.receive(OWN_BOOT)
        assert "--locust-arg" in str(failure.value.cause)  # type: ignore[attr-defined]  # a ChildFailed


def test_a_locustfile_finds_what_it_finds_under_locust_and_shadows_nothing_of_ours(tmp_path: Path) -> None:
    """A repository with its own package `reports`, whose directory is on the path."""
    for name in ("reports.py", "loadtests.py"):
        (tmp_path / name).write_text("raise SystemExit('shadowed')\n")
    (tmp_path / "shop_data.py").write_text("NAMES = ['Ada']\n")
    found = import_path({"PYTHONPATH": str(tmp_path)})["PYTHONPATH"].split(os.pathsep)
    assert found == [str(ROOT), str(tmp_path)]
    finder = PathFinder.find_spec
    places = {name: finder(name, found) for name in ("reports", "loadtests", "shop_data")}
    assert [Path(str(one.origin)).is_relative_to(ROOT) for one in places.values() if one] == [
        True,
        True,
        False,
    ]
    assert import_path({})["PYTHONPATH"] == str(ROOT)


def test_words_for_the_file_are_not_recorded_and_not_shown() -> None:
    given = {"locust_arg": ["--tenant acme", "--password='a b'"]}
    settled = settle(given, {}, Path("/dev/null"))
    assert settled.settings.locust_arg == ("--tenant", "acme", "--password=a b")
    (line,) = [line for line in settled.lines() if line.startswith("locust-arg")]
    assert line.startswith("locust-arg = --tenant …, --password …  (flag")
    values = unrecorded(scripted.plan(), RunOptions(locust_args=settled.settings.locust_arg), {})
    assert values == {"--locust-arg": "--tenant\0acme\0--password=a b"}


@pytest.mark.parametrize("generators", [1, 2])
def test_words_for_the_file_are_on_no_command_line(tmp_path: Path, generators: int) -> None:
    """Every user of the machine can read those, and a word may be a password."""
    words = ("--journal", str(tmp_path / "lines"), "--tenant", "a secret one")
    chosen = GeneratorOptions(generators, LOAD, canary=None, locust_args=words)
    with generator(tmp_path, {}, chosen) as child:
        child.receive(OWN_BOOT)
        # None for a process that has just ended.
        seen = [
            word for process in family(child.pid)
            for word in process.as_dict(["cmdline"])["cmdline"] or ()
        ]  # fmt: skip
    assert LOAD in seen
    assert not [word for word in seen if "secret" in word]


def test_a_files_own_users_are_calibrated_with_no_more_than_the_plan_has() -> None:
    """It may hold accounts for that many."""
    plan = scripted.plan(cells=[("ping", 8)])
    own = plan.model_copy(update={"locustfile": LocustFile(file="load.py", digest="0")})
    assert calibration_users(plan) == (1, 40)
    assert calibration_users(own) == (1, 8)
    assert calibration_users(own.model_copy(update={"cells": scripted.plan().cells})) == (1, 40)
    alone = scripted.plan(cells=[("ping", 1)]).cells
    assert calibration_users(own.model_copy(update={"cells": alone})) == (1,)


def test_users_that_ended_are_the_fault_and_parallel_requests_are_none() -> None:
    plan = scripted.plan(cells=[("ping", 8)])
    told = Scripted(requests=400, latency=0.05)
    trial = scripted.trial(told, 1, 0, 0, plan.cells[0], "sync")
    samples = scripted.samples(told)
    assert [fault.kind for fault in loop_faults(trial, samples, 8)] == ["excess-in-flight"]
    assert loop_faults(trial.model_copy(update={"parallel": True}), samples, 8) == []
    (fault,) = loop_faults(trial.model_copy(update={"left": 3}), samples, 8)
    assert fault_text(fault).startswith("3 of 8 users ended by themselves (StopUser)")


def test_users_that_had_all_ended_before_the_window_have_failed_in_nothing(tmp_path: Path) -> None:
    """It was `failed requests: a 100%`, of no request at all."""
    run, directory = scripted.run(
        tmp_path, scripted.plan(cells=[("ping", 8)]), lambda *_: Scripted(requests=0)
    )
    ended = Fault(kind="users-ended", value=8.0, limit=0.0, whole=8.0)
    changes = {"left": 8, "faults": (ended,)}
    run = run.model_copy(update={"trials": tuple(one.model_copy(update=changes) for one in run.trials)})
    found = next(one for one in verdicts(run, Readings(directory)) if one.primary)
    assert found.verdict == "invalid"
    assert not any(found.failed.values())


def test_a_transaction_is_shown_and_not_counted(tmp_path: Path) -> None:
    told = Scripted(requests=300, endpoints=("cart", "order", "checkout"))
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: told)
    apart = {"covering": ("checkout",), "untimed": {"pushed": 7}}
    run = run.model_copy(update={"trials": tuple(one.model_copy(update=apart) for one in run.trials)})
    seen = Readings(directory).of(run.trials[0])
    assert set(seen) == {ALL, "cart", "order", "checkout"}
    assert seen[ALL].requests == seen["cart"].requests + seen["order"].requests == 200
    assert seen["checkout"].p50 is not None
    (text,) = [one for one in map(caveat_text, caveats(run, [])) if "checkout" in one]
    assert text.startswith("ping: checkout covers several requests each")
    assert f"pushed ({7 * len(run.trials)})" in text


# Shared state


def shared(tmp_path: Path, script: Script) -> tuple[list[SharedState], str]:
    """What is seen of it, and what the primary verdict says."""
    run, directory = scripted.run(tmp_path, scripted.plan(), script)
    run = with_statuses(run, directory)
    primary = next(one for one in verdicts(run, Readings(directory)) if one.primary)
    return [one for one in primary.reservations if isinstance(one, SharedState)], finding(primary)


def with_statuses(run: Run, directory: RunDirectory, status: int = 409) -> Run:
    """The run, whose failed requests were answered with this status."""
    files = {}
    for trial in run.trials:
        rows = directory.samples(trial)
        rows = replace(rows, status=np.where(rows.ok, 200, status).astype(np.uint16))
        files[trial.number] = {"samples": write_samples(directory.path / trial.files.samples, rows)}
    return scripted.with_files(run, directory, files)


def by_place(first: int, later: int) -> Script:
    """Failed requests of 400, by the place of the arm in its round."""
    plan = scripted.plan()

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(failures=later if plan.order(cell, round)[0].name != arm else first)

    return script


def test_an_arm_that_meets_what_the_other_has_left_is_not_to_blame(tmp_path: Path) -> None:
    (seen,), said = shared(tmp_path, by_place(0, 280))
    assert (seen.status, seen.later, seen.first) == (409, 0.7, 0.0)
    assert "they share state, such as a database: caused by the load, not by an arm" in said
    assert "--before-trial" in said


def test_names_that_every_trial_uses_again_conflict_in_all_arms(tmp_path: Path) -> None:
    (seen,), said = shared(tmp_path, by_place(200, 200))
    assert seen.first is None
    assert "all arms answered 50% of the requests with 409 (conflict)" in said


@pytest.mark.parametrize("failing", ["sync", "async", ""])
def test_an_arm_that_fails_alone_shares_no_state(tmp_path: Path, failing: str) -> None:
    found, _ = shared(tmp_path, lambda arm, *_: Scripted(failures=200 if arm == failing else 0))
    assert found == []
