"""Run directories: complete ones load as they were saved, others are refused with one clear error."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from benchmarks.merged import merged
from loadtests.errors import RecordError
from loadtests.plan.arms import Arm
from loadtests.records.arrays import read_samples, write_delays
from loadtests.records.directory import RunDirectory
from loadtests.records.run import Run
from loadtests.records.samples import SAMPLE_ROW
from loadtests.records.trial import ArrayFile, Trial
from loadtests.system.processes import OUR_PACKAGES
from reports.analysis.readings import Readings
from tests import scripted
from tests.scripted import Scripted


def script(arm: str, cell: object, round: int) -> Scripted:
    return Scripted()


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return scripted.run(tmp_path, scripted.plan(), script)[1]


def test_a_run_loads_as_it_was_saved(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), script)
    assert directory.load() == run
    assert len(directory.samples(run.trials[0])) == 400


def test_a_copy_with_other_trials_finds_only_its_own(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), script)
    cell = run.plan.cells[0]
    assert [trial.round for trial in run.of(cell, "async")] == [0, 1, 2, 3]
    shorter = run.model_copy(update={"trials": run.trials[:2]})
    assert [trial.round for trial in shorter.of(cell, "async")] == [0]
    assert run.of(cell, "no-such-arm") == ()
    # The lookup cache is not part of the run.
    assert directory.load() == run


def test_runs_are_merged_cell_by_cell_the_later_one_first(tmp_path: Path) -> None:
    """The source of docs/findings.md: rounds of a cell stay together, and its samples are copied."""
    cells = [("ping", 8), ("ping", 64)]
    whole, _ = scripted.run(tmp_path / "a", scripted.plan(cells=cells), lambda *_: Scripted(requests=100))
    scripted.run(tmp_path / "b", scripted.plan(cells=cells[1:]), lambda *_: Scripted(requests=300))
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
        b'{"schema": "duel-run/1"}',
        b'{"schema": "duel-run/2"}',
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
    path = directory.path / trial.files.samples
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[: len(whole) // 2], whole[:100] + b"\0" * 200 + whole[300:]):
        path.write_bytes(content)
        with pytest.raises(RecordError, match="samples"):
            directory.samples(trial)
    path.unlink()
    with pytest.raises(RecordError, match="samples"):
        directory.samples(trial)


def file_at(path: Path, rows: int) -> ArrayFile:
    """A file as a record names it, with a right digest: the author of a run can write that as well."""
    return ArrayFile(rows=rows, digest=hashlib.sha256(path.read_bytes()).hexdigest())


def test_samples_of_a_wrong_type_or_with_objects_in_them_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "0001.npz"
    np.savez(path, end=np.zeros(3), start=np.zeros(3))
    with pytest.raises(KeyError, match=r"rows\.npy"):
        read_samples(path, file_at(path, 3))
    for rows in (
        np.zeros(3 * 5),
        np.zeros(3, dtype=[*SAMPLE_ROW.descr[:-1], ("last", "<u2")]),
        np.zeros((3, 1), dtype=SAMPLE_ROW),
        np.zeros(3, dtype=SAMPLE_ROW.newbyteorder()),
    ):
        np.savez(path, rows=rows)
        with pytest.raises(ValueError, match="it is not a table of due, start, end"):
            read_samples(path, file_at(path, 3))
    np.savez(path, allow_pickle=True, rows=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="it is not a table of due, start, end"):
        read_samples(path, file_at(path, 1))


def test_delays_are_read_as_they_were_written_and_negative_ones_are_refused(directory: RunDirectory) -> None:
    trial = directory.load().trials[0]
    assert directory.delays(trial) is None
    path = directory.path / trial.files.delays

    def written(delays: list[float]) -> Trial:
        files = {trial.number: {"delays": write_delays(path, delays)}}
        return scripted.with_files(directory.load(), directory, files).trials[0]

    found = directory.delays(written([0.02, 0.03]))
    assert found is not None
    assert found.tolist() == [0.02, 0.03]
    with pytest.raises(RecordError, match="delays"):
        directory.delays(written([0.02, -1.0]))


def test_environment_values_that_may_be_secret_are_not_recorded() -> None:
    arm = Arm(name="a", app="m:a", env={"TOKEN": "hunter2", "DUEL_APP_POOL_SIZE": "5"})
    text = arm.model_dump_json()
    assert "hunter2" not in text
    assert '"DUEL_APP_POOL_SIZE":"5"' in text


def test_what_a_killed_writer_leaves_is_removed_and_nothing_else(directory: RunDirectory) -> None:
    """A load generator ends with its run, whatever it is writing."""
    killed = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from loadtests.records.files import write_whole\n"
        "os.fsync = lambda _: os._exit(9)\n"
        "write_whole(Path(sys.argv[1]), b'half')\n"
    )
    samples = directory.path / "samples"
    before = {path for path in directory.path.rglob("*") if path.is_file()}
    subprocess.run([sys.executable, "-P", "-c", killed, samples / "0001.npz"], env=OUR_PACKAGES, check=False)
    assert len(list(samples.glob(".0001.npz.*.partial"))) == 1
    own = samples / ".mine.partial"
    own.touch()
    directory.sweep()
    assert {path for path in directory.path.rglob("*") if path.is_file()} == {*before, own}


def test_saving_replaces_the_file_atomically(directory: RunDirectory) -> None:
    """No partial file is left."""
    directory.save(directory.load())
    assert not list(directory.path.rglob("*.partial"))
