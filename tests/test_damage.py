"""Run directories that are damaged, forged or from another user: one clear error, or a complete report."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.lib.recfunctions as rfn
import pytest

from loadtests.errors import RecordError
from loadtests.records.directory import RunDirectory
from loadtests.records.files import DAMAGE
from loadtests.records.run import Run
from reports.analysis.readings import Readings
from reports.conclusions import conclude
from reports.export import cases, formats
from reports.render import html, markdown
from reports.render.summary import summary
from tests import scripted
from tests.commands import duel_here
from tests.scripted import Scripted

GOLDEN = Path(__file__).parent / "golden"
CASES = 1_000
JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**70, 0.5, -0.5, 1e308, 1e-320, "", "x", "x" * 5_000, "\x1b[31m\n<script>",
    "../../etc",
    "sync", "async", "ping", "throughput", [], [[]], {}, {"": {}}, [None], "2026-01-01", "NaN",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small, complete run."""

    def script(arm: str, cell: object, round: int) -> Scripted:
        failures = int(arm == "async" and round == 1)
        return Scripted(requests=30 + round, failures=failures, canary=0.001, pulse=0.001)

    plan = scripted.plan(cells=[("ping", 8)]).model_copy(
        update={"thresholds": {"http_req_failed": ("rate<0.5",)}}
    )
    run, directory = scripted.run(tmp_path_factory.mktemp("run"), plan, script)
    conclude(run, Readings(directory))
    return directory.path


def read_all(path: Path) -> None:
    """Everything that `duel report` and `duel export` read and write, except charts. Raises RecordError."""
    directory = RunDirectory(path)
    conclusions = conclude(directory.load(), Readings(directory))
    data = summary(conclusions)
    markdown.report(conclusions)
    html.page(conclusions, [], data)
    cases.of_run(conclusions)
    for name in ("junit", "openmetrics", "comment", "bencher"):
        formats.write(name, conclusions)


def error_of(path: Path) -> Exception | None:
    try:
        read_all(path)
    except Exception as error:  # any exception: the test judges it
        return error
    return None


def places(content: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    found = [here] if here else []
    if isinstance(content, dict):
        for key, value in content.items():
            found += places(value, (*here, key))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            found += places(value, (*here, number))
    return found


def forged(text: bytes, random: Random) -> Any:
    """A document with one to three of its values replaced, removed or duplicated."""
    changed = json.loads(text)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        *way, last = random.choice(places(changed))
        parent = changed
        for step in way:
            parent = parent[step]
        match random.randrange(4):
            case 0:
                del parent[last]
            case 1 if isinstance(parent, list):
                parent.append(copy.deepcopy(parent[last]))
            case 2:
                there = random.choice(places(changed))
                value = changed
                for step in there:
                    value = value[step]
                parent[last] = copy.deepcopy(value)
            case _:
                parent[last] = random.choice(JUNK)
    return changed


def damaged(content: bytes, random: Random) -> bytes:
    """Bytes truncated, changed, duplicated or inserted."""
    if not content:
        return b"\0"
    at = random.randrange(len(content))
    match random.randrange(5):
        case 0:
            return content[:at]
        case 1:
            return content[:at] + bytes([content[at] ^ (1 << random.randrange(8))]) + content[at + 1 :]
        case 2:
            return content[:at] + random.randbytes(random.randrange(1, 50)) + content[at:]
        case 3:
            return content[:at] + content[at + random.randrange(1, 200) :]
        case _:
            return content + content[: random.randrange(1, len(content))]


def damaged_file(path: Path, random: Random) -> None:
    path.write_bytes(damaged(path.read_bytes(), random))


def vouching(document: Any, path: Path) -> Any:
    """The document with the right digest and number of rows of a file: the author of a run can do that."""
    changed = copy.deepcopy(document)
    number, _, kind = path.name.removesuffix(".npz").partition(".")
    content = path.read_bytes()
    file = changed["trials"][int(number) - 1]["arrays"][kind or "samples"]
    file["digest"] = hashlib.sha256(content).hexdigest()
    with suppress(*DAMAGE), zipfile.ZipFile(io.BytesIO(content)) as archive:
        shape, _, _ = np.lib.format.read_array_header_1_0(io.BytesIO(archive.read("rows.npy")[8:]))
        file["rows"] = shape[0]
    return changed


def other_arrays(path: Path, random: Random) -> None:
    """A valid array file with a fault in its table."""
    with np.load(path, allow_pickle=False) as file:
        rows: Any = file["rows"].copy()
    name = random.choice(rows.dtype.names)
    match random.randrange(6):
        case 0:
            rows = rfn.drop_fields(rows, name)
        case 1:
            rows = rows[: random.randrange(len(rows))]
        case 2:
            rows = rows.astype(
                [(one, random.choice(("f4", "i8", "c16", "U5", "?"))) for one in rows.dtype.names]
            )
        case 3:
            rows = np.array([rows])
        case 4 if rows.dtype[name].kind == "f":
            rows[name][::3] = random.choice((np.nan, np.inf, -np.inf, -1e300, 1e300, 0.0))
        case _:
            rows[name] = random.choice((0, 1, 200))
    np.savez(path, allow_pickle=False, rows=rows)


def test_a_thousand_damaged_and_forged_runs_are_refused_with_one_error_or_read_completely(
    whole: Path, tmp_path: Path
) -> None:
    text = (whole / "run.json").read_bytes()
    document = json.loads(text)
    arrays = sorted((whole / "samples").iterdir())
    path = tmp_path / "run"
    shutil.copytree(whole, path)
    refused = 0
    for number in range(CASES):
        random = Random(number)
        chosen = random.choice(arrays)
        victim = path / "samples" / chosen.name
        match number % 4:
            case 0:
                (path / "run.json").write_bytes(damaged(text, random))
            case 1 | 2:
                (path / "run.json").write_text(json.dumps(forged(text, random)))
            case _:
                change = damaged_file if number % 8 == 3 else other_arrays
                change(victim, random)
                (path / "run.json").write_text(json.dumps(vouching(document, victim)))
        error = error_of(path)
        assert error is None or isinstance(error, RecordError), f"case {number}: {error!r}"
        assert str(error).isprintable(), f"case {number}: {error!r}"
        refused += error is not None
        (path / "run.json").write_bytes(text)
        shutil.copy(chosen, victim)
    assert refused > CASES / 3


@pytest.mark.parametrize(
    "content",
    [
        '{"schema": "duel-run/2", "schema": "duel-run/2"}',
        '{"schema": "duel-run/2", "elapsed": NaN}',
        '{"schema": "duel-run/2", "elapsed": Infinity}',
        '{"schema": "duel-run/1"}',
        '{"schema": "duel-run/99"}',
        '{"schema": "\\u001b[31m"}',
        "9" * 10_000,
        "[" * 200_000,
    ],
    ids=["twice", "nan", "infinity", "older", "newer", "escape", "digits", "deep"],
)
def test_the_command_ends_with_6_one_error_and_no_report(tmp_path: Path, whole: Path, content: str) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(content)
    done = duel_here("report", "run", cwd=tmp_path)
    assert done.returncode == 6, done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "run" / "report").exists()


@pytest.mark.parametrize(
    "name", ["", "nowhere", "x" * 300, "../" * 50, "/etc/passwd", "/dev/null", "a\nb"], ids=range(7)
)
def test_a_file_that_is_not_a_run_is_one_clear_error(tmp_path: Path, name: str) -> None:
    done = duel_here("report", name, cwd=tmp_path)
    assert done.returncode == 6, done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_links_out_of_a_run_are_not_followed(tmp_path: Path, whole: Path) -> None:
    """For neither reads nor writes: a run may come from another user."""
    for part in ("run.json", "samples", "report", "samples/0001.npz"):
        path = tmp_path / part.replace("/", "-")
        shutil.copytree(whole, path)
        outside = tmp_path / "outside"
        outside.mkdir(exist_ok=True)
        victim = path / part
        if victim.exists():
            shutil.move(victim, outside / victim.name)
            victim.symlink_to(outside / victim.name)
        else:
            victim.symlink_to(outside)
        before = sorted(outside.iterdir())
        done = duel_here("report", str(path), cwd=tmp_path)
        assert done.returncode == 6, (part, done.stderr)
        assert "is a link" in done.stderr
        assert sorted(outside.iterdir()) == before


def test_null_bytes_in_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="cannot read"):
        RunDirectory(Path(f"{tmp_path}/a\0b")).load()


@pytest.mark.parametrize(
    "path", sorted(path for path in GOLDEN.iterdir() if path.is_dir()), ids=lambda path: path.name
)
def test_golden_runs_load_with_their_recorded_output(path: Path, tmp_path: Path) -> None:
    """Measured by the first version and converted since; `said.json` holds its output."""
    shutil.copytree(path, tmp_path / "run")
    directory = RunDirectory(tmp_path / "run")
    run = directory.load()
    data = json.loads(json.dumps(summary(conclude(run, Readings(directory)))))
    then = json.loads((path / "said.json").read_text())
    assert [
        (verdict["scenario"], verdict["metric"], verdict["verdict"], verdict["n"])
        for verdict in data["verdicts"]
    ] == [tuple(row[:4]) for row in then["verdicts"]]
    for verdict, row in zip(data["verdicts"], then["verdicts"], strict=True):
        for now, said in ((verdict["ratio"], row[4]), (verdict["low"], row[5])):
            assert now == (None if said is None else pytest.approx(said, rel=1e-9))


def test_the_published_schema_is_the_one_that_is_written() -> None:
    published = Path(__file__).parent.parent / "docs" / "duel-run-2.schema.json"
    made = json.dumps(Run.model_json_schema(by_alias=True, mode="serialization"), indent=1) + "\n"
    assert published.read_text() == made, "run: make schema"
