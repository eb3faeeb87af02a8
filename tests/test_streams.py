"""What cannot be printed or written does not change the exit code, which is what a gate is read by."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from reports.render import report_directory
from tests import scripted
from tests.commands import PLAIN, called, duel_here
from tests.scripted import Scripted

PRINTING = [sys.executable, "-P", str(Path(__file__).with_name("printing.py"))]


def breached(parent: Path) -> Path:
    """A run that misses its threshold: exit code 3."""
    plan = scripted.plan().model_copy(update={"thresholds": {"http_req_failed": ("rate<0.01",)}})
    return scripted.run(parent, plan, lambda *_: Scripted(requests=100, failures=50))[1].path


def met(parent: Path) -> Path:
    """A run whose exit code is 0."""
    return scripted.run(parent, scripted.plan(), lambda *_: Scripted(requests=100))[1].path


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], int]:
    """The exit code of `duel report` by run, kind of stdout and kind of stderr."""
    where = tmp_path_factory.mktemp("streams")
    paths = {}
    for name, make in (("breached", breached), ("met", met)):
        (where / name).mkdir()
        paths[name] = make(where / name)
    kinds = [
        *(("breached", kind, kind) for kind in ("full", "closed", "missing", "ascii")),
        *(("met", kind, "utf-8") for kind in ("full", "closed", "missing", "latin-1")),
    ]
    cases = [
        {"arguments": ["report", str(paths[run])], "stdout": out, "stderr": err} for run, out, err in kinds
    ]
    return dict(zip(kinds, printed(cases, where), strict=True))


def printed(cases: Sequence[Mapping[str, object]], where: Path) -> list[int]:
    """The exit codes of several `duel`, see printing.py."""
    done = subprocess.run(
        [*PRINTING, str(where)], input=json.dumps(cases), env={**PLAIN, "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    codes: list[int] = json.loads(done.stdout)
    return codes


def test_a_breached_gate_is_breached_whatever_happens_to_its_text(
    codes: dict[tuple[str, str, str], int],
) -> None:
    assert {kinds: code for kinds, code in codes.items() if kinds[0] == "breached" and code != 3} == {}


def test_a_success_that_a_full_disk_swallows_is_none(codes: dict[tuple[str, str, str], int]) -> None:
    """A reader who closed the pipe has read enough; characters that the encoding lacks are replaced."""
    found = {out: code for (run, out, _), code in codes.items() if run == "met"}
    assert found == {"full": 2, "closed": 0, "missing": 0, "latin-1": 0}


def test_a_closed_output_pipe_is_no_error(tmp_path: Path) -> None:
    """As with `duel config | head -1`."""
    run = str(scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted(), rounds=0)[1].path)
    verbs = (["config"], ["report", "--json", "-", run], ["export", "--format", "markdown", run])
    cases = [{"arguments": words, "stdout": "closed", "stderr": "utf-8"} for words in verbs]
    assert printed(cases, tmp_path) == [0, 0, 0]
    assert (tmp_path / "stderr").read_text() == ""


def test_an_encoding_that_python_is_told_of_is_one_of_them(tmp_path: Path) -> None:
    path = met(tmp_path)
    words = [sys.executable, "-P", "-m", "cli", "export", str(path), "--format", "markdown"]
    done = called(words, cwd=tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert "?1.00" in done.stdout


def test_a_report_that_cannot_be_written_hides_neither_verdict_nor_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_directory, "charts", lambda _: ())
    path = breached(tmp_path)
    (path / "report").write_text("not a directory")
    done = duel_here("report", str(path), "--json", "nowhere/summary.json", cwd=tmp_path)
    assert done.returncode == 3
    assert "equivalent" in done.stdout or "failing" in done.stdout
    assert "report:" not in done.stdout
    assert "cannot write the report" in done.stderr
    assert "cannot write nowhere/summary.json" in done.stderr
