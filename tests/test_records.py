"""Run directories: whole ones load as they were saved, others are refused with one clear error."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from benchmarks.merged import merged
from loadtests.plan import Arm
from loadtests.records import RecordError, Run, RunDirectory, read_samples
from reports.estimates import Readings
from tests import scripted
from tests.scripted import Told


def script(arm: str, cell: object, round: int) -> Told:
    return Told()


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return scripted.run(tmp_path, scripted.plan(), script)[1]


def test_a_run_loads_as_it_was_saved(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), script)
    assert directory.load() == run
    assert len(directory.samples(run.trials[0])) == 400


def test_a_copy_with_other_trials_knows_its_own_alone(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), script)
    cell = run.plan.cells[0]
    assert [trial.round for trial in run.of(cell, "async")] == [0, 1, 2, 3]
    shorter = run.model_copy(update={"trials": run.trials[:2]})
    assert [trial.round for trial in shorter.of(cell, "async")] == [0]
    assert run.of(cell, "nobody") == ()
    # What was looked up is no part of the run.
    assert directory.load() == run


def test_runs_are_merged_cell_by_cell_the_later_one_first(tmp_path: Path) -> None:
    """What docs/findings.md is made of: rounds of a cell stay together, and its samples come along."""
    cells = [("ping", 8), ("ping", 64)]
    whole, _ = scripted.run(tmp_path / "a", scripted.plan(cells=cells), lambda *_: Told(requests=100))
    scripted.run(tmp_path / "b", scripted.plan(cells=cells[1:]), lambda *_: Told(requests=300))
    paths = [tmp_path / "a" / "scripted", tmp_path / "b" / "scripted"]
    both = merged(paths, (), tmp_path / "both")
    run, readings = both.load(), Readings(both)
    for cell, requests in zip(whole.plan.cells, (100, 300), strict=True):
        assert {readings.whole(trial).ended for trial in run.of(cell, "async")} == {requests}
        assert [trial.round for trial in run.of(cell, "async")] == [0, 1, 2, 3]
    only = merged(paths, ("ping@64",), tmp_path / "only").load()
    assert [cell.load.users for cell in only.plan.cells] == [8]


def test_a_run_file_follows_its_published_schema(directory: RunDirectory) -> None:
    content = json.loads((directory.path / "run.json").read_text())
    jsonschema.validate(content, Run.model_json_schema(by_alias=True, mode="serialization"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"schema": "duel-run/2"}',
        b'{"schema": "duel-run/1"}',
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"schema": NaN}',
    ],
)
def test_a_damaged_run_file_is_refused_with_its_name(directory: RunDirectory, content: bytes) -> None:
    (directory.path / "run.json").write_bytes(content)
    with pytest.raises(RecordError, match=r"run\.json"):
        directory.load()


def test_a_missing_run_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="No such file") as caught:
        RunDirectory(tmp_path / "nowhere").load()
    assert "run directory" in caught.value.hint


def test_damaged_samples_are_refused(directory: RunDirectory) -> None:
    trial = directory.load().trials[0]
    path = directory.path / trial.samples_file
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[: len(whole) // 2], whole[:100] + b"\0" * 200 + whole[300:]):
        path.write_bytes(content)
        with pytest.raises(RecordError, match="samples"):
            directory.samples(trial)
    path.unlink()
    with pytest.raises(RecordError, match="samples"):
        directory.samples(trial)


def test_samples_of_a_wrong_type_or_with_objects_in_them_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "0001.npz"
    np.savez(path, endpoint=np.zeros(3), start=np.zeros(3))
    with pytest.raises((ValueError, KeyError)):
        read_samples(path)
    np.savez(path, allow_pickle=True, endpoint=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="endpoint is not a list of uint16"):
        read_samples(path)


def test_environment_values_that_may_be_secret_are_not_recorded() -> None:
    arm = Arm(name="a", app="m:a", env={"TOKEN": "hunter2", "DUEL_APP_POOL_SIZE": "5"})
    text = arm.model_dump_json()
    assert "hunter2" not in text
    assert '"DUEL_APP_POOL_SIZE":"5"' in text


def test_saving_replaces_the_file_whole(directory: RunDirectory) -> None:
    """Nothing partial is left beside it."""
    directory.save(directory.load())
    assert not list(directory.path.rglob("*.partial"))
