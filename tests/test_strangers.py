"""Runs from strangers: what they plant in a run directory is not followed, not waited for, not believed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.errors import CannotWrite, RecordError
from loadtests.measure.runs import change_since
from loadtests.plan.plan import LocustFile
from loadtests.records.arrays import packed, unpacked
from loadtests.records.directory import RunDirectory
from loadtests.records.files import open_log, write_whole, writing
from loadtests.records.samples import SAMPLE_ROW
from loadtests.system.processes import Child
from reports.analysis.readings import Readings
from reports.conclusions import conclude
from reports.export import formats
from reports.gate import baseline
from reports.render import report_directory
from tests import scripted
from tests.commands import duel_here
from tests.scripted import Scripted

Change = Callable[[dict[str, Any]], None]


def script(arm: str, cell: object, round: int) -> Scripted:
    return Scripted(requests=800 if arm == "async" else 400, canary=0.001, pulse=0.001)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which async is faster; read-only."""
    return scripted.run(tmp_path_factory.mktemp("whole"), scripted.plan(), script)[1].path


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> RunDirectory:
    """A copy of it."""
    shutil.copytree(whole, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


@pytest.fixture(autouse=True)
def uncharted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take most of a report's time."""
    monkeypatch.setattr(report_directory, "charts", lambda _: ())


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the reader, outside of the run."""
    path = tmp_path / "victim"
    path.write_text("mine")
    return path


def read_all(directory: RunDirectory) -> None:
    conclude(directory.load(), Readings(directory))


def changed(directory: RunDirectory, change: Change) -> None:
    path = directory.path / "run.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# Writing


def test_nothing_that_a_report_or_a_resumed_run_writes_goes_through_a_planted_link(
    run: RunDirectory, victim: Path
) -> None:
    """A link at summary.json.partial had its target overwritten."""
    recorded = run.load()
    report_directory.write(conclude(recorded, Readings(run)))
    written = [run.path / "run.json", *run.report.iterdir(), *(run.path / "samples").iterdir()]
    for path in written:
        content = path.read_bytes()
        path.unlink()
        for name in (path.name, f"{path.name}.partial", f".{path.name}.partial"):
            path.with_name(name).symlink_to(victim)
        write_whole(path, content)
        assert path.read_bytes() == content
        assert not path.is_symlink()
    run.save(recorded)
    report_directory.write(conclude(run.load(), Readings(run)))
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("part", ["samples", "report", "logs"])
def test_a_directory_that_becomes_a_link_is_not_written_through(
    run: RunDirectory, tmp_path: Path, part: str
) -> None:
    """Between the check and the writing."""
    outside = tmp_path / "outside"
    outside.mkdir()
    shutil.rmtree(run.path / part, ignore_errors=True)
    (run.path / part).symlink_to(outside)
    for write in (lambda path: write_whole(path, b""), open_log):
        with pytest.raises(OSError, match="it is a link"):
            write(run.path / part / "file")
    assert not list(outside.iterdir())


def test_a_run_that_the_user_names_by_a_link_is_read_and_written(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(run.path)
    done = duel_here("report", "latest", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (run.report / "report.html").is_file()


def test_a_log_is_only_continued_where_it_is_a_file_of_the_run(run: RunDirectory, victim: Path) -> None:
    logs = run.logs
    (logs / "soft.log").symlink_to(victim)
    os.link(victim, logs / "hard.log")
    os.mkfifo(logs / "pipe.log")
    for path in logs.iterdir():
        with pytest.raises(CannotWrite, match=path.name):
            Child("nothing", ["-c", ""], path)
    with open_log(logs / "own.log") as first:
        first.write(b"one\n")
    with open_log(logs / "own.log") as second:
        second.write(b"two\n")
    assert (logs / "own.log").read_text() == "one\ntwo\n"
    assert victim.read_text() == "mine"


# Reading


@pytest.mark.parametrize(
    "name", ["run.json", "samples/0001.npz", "samples/0002.canary.npz", "samples/0002.pulse.npz"]
)
@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir], ids=["pipe", "directory"])
def test_what_is_not_a_regular_file_is_refused_without_waiting(
    run: RunDirectory, name: str, plant: Callable[[Path], None]
) -> None:
    path = run.path / name
    path.unlink()
    plant(path)
    with pytest.raises(RecordError, match="not a regular file"):
        read_all(run)


def test_a_pipe_in_the_place_of_a_baseline_or_a_locustfile_is_refused_without_waiting(
    run: RunDirectory, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(RecordError, match="not a regular file"):
        baseline.read(pipe)
    recorded = run.load()
    plan = recorded.plan.model_copy(update={"locustfile": LocustFile(file=str(pipe), digest="0")})
    assert "not a regular file" in (change_since(recorded.model_copy(update={"plan": plan})) or "")


def test_files_that_changed_places_are_refused(run: RunDirectory) -> None:
    """They reversed a verdict, and nothing was said."""
    samples = run.path / "samples"
    for number in (1, 3, 5, 7):
        one, other = samples / f"{number:04d}.npz", samples / f"{number + 1:04d}.npz"
        one.rename(samples / "moved")
        other.rename(one)
        (samples / "moved").rename(other)
    with pytest.raises(RecordError, match=r"0001\.npz: it is not the file that was recorded"):
        read_all(run)


def test_a_file_that_is_missing_or_not_recorded_is_noticed(run: RunDirectory) -> None:
    trial = run.load().trials[0]
    (run.path / trial.files.canary).rename(run.path / trial.files.heartbeats)
    assert run.heartbeats(trial) is None
    with pytest.raises(RecordError, match="No such file"):
        run.canary(trial)


def repeated(content: dict[str, Any]) -> None:
    content["trials"][1]["number"] = 1


def reordered(content: dict[str, Any]) -> None:
    content["trials"].reverse()


def elsewhere(content: dict[str, Any]) -> None:
    content["trials"][0]["cell"]["scenario"] = "pong"


def stranger(content: dict[str, Any]) -> None:
    content["trials"][0]["arm"] = "other"


def overfull(content: dict[str, Any]) -> None:
    """All parts together: none of them alone is too large for a trial of 1.1 seconds."""
    for part in ("samples", "canary", "pulse"):
        content["trials"][0]["arrays"][part]["rows"] = 6_000_000


def unvouched(content: dict[str, Any]) -> None:
    del content["trials"][0]["arrays"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (repeated, "trial 1 follows trial 1"),
        (reordered, "trial 7 follows trial 8"),
        (elsewhere, "trial 1: sync in pong at 64 users is not in the plan"),
        (stranger, "trial 1: other in ping at 64 users is not in the plan"),
        (overfull, "trial 1 cannot have 18,000,000 rows"),
        (unvouched, "arrays: Field required"),
    ],
)
def test_trials_that_contradict_the_run_are_refused(run: RunDirectory, change: Change, message: str) -> None:
    first = run.load().trials[0].arm
    changed(run, change)
    with pytest.raises(RecordError) as caught:
        run.load()
    assert message.replace("sync", first) in str(caught.value)


def test_an_error_rate_that_the_tables_lack_is_judged_with_a_wider_interval(
    run: RunDirectory, tmp_path: Path
) -> None:
    changed(run, lambda content: content["plan"].update(alpha=0.0001))
    done = duel_here("report", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_indices_beyond_the_names_of_a_trial_are_refused(run: RunDirectory) -> None:
    recorded = run.load()
    path = run.path / recorded.trials[0].files.samples
    rows = np.zeros(400, dtype=SAMPLE_ROW)
    for column in ("endpoint", "error"):
        rows[column] = 1
        path.write_bytes(packed(rows))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        changed(run, lambda content: content["trials"][0]["arrays"]["samples"].update(digest=digest))  # noqa: B023  # called at once
        with pytest.raises(RecordError, match="names endpoints or errors that its trial does not have"):
            run.samples(run.load().trials[0])
        rows[column] = 0


# Unpacking

ROWS = 500_000
MOST = 2**21
"""Bytes that may be allocated for a file that is refused; its rows would take 18 MB."""
FALSE_SIZE = 400 * SAMPLE_ROW.itemsize + 128


def bomb(compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A small file of many equal rows."""
    table = io.BytesIO()
    np.save(table, np.zeros(ROWS, dtype=SAMPLE_ROW), allow_pickle=False)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        archive.writestr("rows.npy", table.getvalue())
    return content.getvalue()


def with_size(content: bytes, size: int) -> bytes:
    """An archive that claims another size of its member, in both of its headers."""
    true = struct.pack("<L", zipfile.ZipFile(io.BytesIO(content)).infolist()[0].file_size)
    assert content.count(true) == 2
    return content.replace(true, struct.pack("<L", size))


@pytest.mark.parametrize(
    ("made", "rows", "message"),
    [
        (bomb, 400, "400 rows were recorded"),
        (bomb, ROWS, "never unpack to"),
        (lambda: with_size(bomb(), FALSE_SIZE), 400, "Bad CRC|rows"),
        (lambda: with_size(bomb(zipfile.ZIP_LZMA), FALSE_SIZE), 400, "compression"),
        (lambda: with_size(bomb(zipfile.ZIP_BZIP2), FALSE_SIZE), 400, "compression"),
    ],
    ids=["more rows", "as many rows", "false size", "lzma", "bzip2"],
)
def test_a_small_file_never_unpacks_to_a_large_one(
    made: Callable[[], bytes], rows: int, message: str
) -> None:
    """2.3 MB became 1.3 GiB."""
    content = made()
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, zipfile.BadZipFile), match=message):
            unpacked(content, [SAMPLE_ROW], rows)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()


# Baselines


def test_a_baseline_names_an_arm_once_and_in_one_line(tmp_path: Path) -> None:
    plan = scripted.plan(rounds=20)
    made, directory = scripted.run(tmp_path, plan, script)
    content = json.loads(formats.write("baseline", conclude(made, Readings(directory))))
    content["run"] = content["rows"][0]["arm"] = "\x1b[31m\nother"
    path = tmp_path / "base.json"
    path.write_text(json.dumps(content))
    side = baseline.read(path)
    assert f"{side.run}{side.rows[0]}".isprintable()
    content["rows"] *= 2
    path.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="an arm stands twice in one cell"):
        baseline.read(path)


def test_a_tree_that_cannot_be_copied_is_one_clear_error(tmp_path: Path) -> None:
    """A full disk raised a list with an entry for every file."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "gone").symlink_to("nowhere")
    with (
        pytest.raises(CannotWrite, match=r"copy: \[Errno 2\] No such file"),
        writing(tmp_path / "copy") as path,
    ):
        shutil.copytree(tree, path)
