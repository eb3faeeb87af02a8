"""The app that an import string names: how it is imported."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI

from loadtests.serving.inside import loading

APP = """
import gc
seen = gc.get_threshold()
{more}
async def app(scope, receive, send): ...
app.seen = seen
"""


@pytest.mark.parametrize(("more", "kept"), [("", None), ("gc.set_threshold(5_000, 20, 20)", (5_000, 20, 20))])
def test_garbage_is_rarely_collected_while_an_app_is_imported_and_as_it_wants_it_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, kept: tuple[int, int, int] | None
) -> None:
    name = f"imported{bool(more)}"
    (tmp_path / f"{name}.py").write_text(APP.format(more=more))
    monkeypatch.syspath_prepend(str(tmp_path))
    usual = gc.get_threshold()
    try:
        app = loading.load(f"{name}:app")
        assert app.seen == loading.IMPORTING
        assert gc.get_threshold() == (kept or usual)
    finally:
        gc.set_threshold(*usual)


def test_an_import_that_fails_leaves_the_collector_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_in_vain.py").write_text("raise OSError('no such service')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    usual = gc.get_threshold()
    with pytest.raises(OSError, match="no such service"):
        loading.load("imported_in_vain:app")
    assert gc.get_threshold() == usual


@pytest.mark.skipif(sys.version_info < (3, 14), reason="needs annotations that are evaluated when asked for")
def test_a_factory_whose_annotations_only_a_type_checker_can_evaluate_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_later.py").write_text(
        "from fastapi import FastAPI\n"
        "def create_app(settings: Missing | None = None) -> FastAPI:\n"
        "    return FastAPI()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert isinstance(loading.load("made_later:create_app"), FastAPI)
