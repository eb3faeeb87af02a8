"""Apps of Django, Litestar and Quart: what blocks their loop is found to the line, and nothing else is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from loadtests.errors import Exit
from tests.commands import duel_here
from tests.conftest import APPS


@pytest.fixture(scope="module", params=["django_views", "litestar_routes", "quart_routes"])
def advised(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The file of an app, and what `duel advise` says of it."""
    done = duel_here(
        "advise", f"{request.param}:app", "--app-dir", str(APPS), "--json", "-",
        cwd=tmp_path_factory.mktemp("advised"),
    )  # fmt: skip
    assert done.returncode == Exit.GATE, done.stderr
    return APPS / f"{request.param}.py", json.loads(done.stdout)


def marked(file: Path, word: str) -> set[int]:
    """The lines that end with this comment."""
    return {
        number for number, line in enumerate(file.read_text().splitlines(), 1) if line.endswith(f"# {word}")
    }


def test_the_lines_that_block_the_loop_are_found_and_no_other(advised: tuple[Path, Any]) -> None:
    file, told = advised
    wrong = [one for one in told["findings"] if one["weight"] == "wrong"]
    found = [place for one in wrong for place in re.findall(r"\((\w+\.py):(\d+)\)", one["what"])]
    assert {(name, int(line)) for name, line in found} == {
        (file.name, line) for line in marked(file, "blocks")
    }


def test_only_what_waits_for_nothing_is_advised_to_leave_its_thread(advised: tuple[Path, Any]) -> None:
    """Not a view that asks a database: as a coroutine it would block every other request."""
    file, told = advised
    (hops,) = (one for one in told["findings"] if one["weight"] == "consider")
    assert hops["where"].endswith("/plain")
    assert marked(file, "asks")
