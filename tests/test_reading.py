"""What is read in an app's code: every blocking call that a function reaches, to the line, and no other."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType

import pytest

from loadtests.serving.inside.reading import read, reader
from loadtests.serving.inside.reading.what_blocks import FUNCTIONS, METHODS
from tests.apps import reaching
from tests.conftest import APPS

SOURCE = Path(reaching.__file__).read_text().splitlines()

SHARED = {"wrong_branch": ("wrong_cached", "wrong_inherited"), "wrong_chosen": ("wrong_inherited",),
          "wrong_registered": ("wrong_inherited",), "wrong_every_registered": ("wrong_inherited",),
          "wrong_super": ("wrong_constructed",),
          "wrong_decorated_method": ("wrong_inherited",), "wrong_injected_client": ("wrong_static",),
          "wrong_stream": ("wrong_iterated",)}  # fmt: skip
"""Functions that reach the lines of others."""


def names(start: str) -> list[str]:
    return [name for name in vars(reaching) if name.startswith(start)]


def lines_of(function: str) -> set[int]:
    """The lines that say that a function reaches them."""
    every = (function, *SHARED.get(function, ()))
    held = {number: re.split(r", *", line.partition("held by ")[2]) for number, line in enumerate(SOURCE, 1)}
    return {number for number, by in held.items() if set(by) & set(every)}


@pytest.mark.parametrize("name", names("wrong_"))
def test_a_blocking_call_is_found_to_the_line_wherever_it_is_reached(name: str) -> None:
    found = read(getattr(reaching, name), APPS)
    assert lines_of(name), "the example names no line"
    assert {one["line"] for one in found["blocks"]} == lines_of(name)
    assert {one["file"] for one in found["blocks"]} == {"reaching.py"}
    assert not found["unread"]


@pytest.mark.parametrize("name", names("fine_"))
def test_what_does_not_block_is_no_finding_and_nothing_of_it_is_unread(name: str) -> None:
    found = read(getattr(reaching, name), APPS)
    assert (found["blocks"], found["unread"]) == ([], [])


@pytest.mark.parametrize(
    ("name", "missed"),
    [
        ("unread_state", ["request.app.state.gateway.lookup"]),
        ("unread_registry", ["handler", "getattr(client, name)"]),
        ("unread_many", ["several[number]"]),
        ("unread_parameter", ["service.lookup"]),
        ("unread_global", ["unnamed_at_start.ask"]),
        ("unread_protocol", ["sink.put"]),
    ],
)
def test_what_is_made_while_the_app_runs_is_named_and_not_called_clean(name: str, missed: list[str]) -> None:
    found = read(getattr(reaching, name), APPS)
    assert [one["name"] for one in found["unread"]] == missed


def test_what_lies_too_deep_is_named_and_not_called_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "DEEPEST", 2)
    found = read(reaching.wrong_inherited, APPS)
    assert [(one["name"], one["why"]) for one in found["unread"]] == [("Client.fetch", "too deep")]


def without_source(function: Callable[[int], int]) -> FunctionType:
    """A function as in a module that is delivered compiled."""
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__.replace(co_filename="/nowhere/shop.py"), {"__name__": "shop"})


def test_a_function_whose_source_is_not_there_is_named_and_not_called_clean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Called by the framework, and by other functions."""
    told = {"name": "counted", "file": "/nowhere/shop.py", "line": None, "why": "no-source"}
    gone = without_source(reaching.counted)
    assert read(gone, APPS)["unread"] == [told]
    monkeypatch.setattr(reaching, "counted", gone)
    assert read(reaching.wrong_recursive, APPS)["unread"] == [told]


def test_the_way_to_a_call_is_told_from_the_first_function_below_the_entry() -> None:
    (found,) = read(reaching.wrong_inherited, APPS)["blocks"]
    assert [step["name"] for step in found["chain"]] == ["Base.ask", "Client.fetch"]
    assert found["what"] == "httpx.Client.get"


LATER = """
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nowhere import Missing


class Store:
    def pause(self, missing: Missing | None = None) -> None:
        time.sleep(0.01)


class Owner:
    store: Store
    missing: Missing


def paused(store: Store, missing: Missing | None = None) -> Missing:
    store.pause()


async def by_parameter(store: Store, missing: Missing | None = None) -> None:
    paused(store)


async def by_attribute(owner: Owner) -> None:
    owner.store.pause()
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="needs annotations that are evaluated when asked for")
@pytest.mark.parametrize("name", ["by_parameter", "by_attribute"])
def test_annotations_that_only_a_type_checker_can_evaluate_hide_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "evaluated_later.py").write_text(LATER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "evaluated_later", raising=False)
    found = read(getattr(importlib.import_module("evaluated_later"), name), tmp_path)
    assert [one["what"] for one in found["blocks"]] == ["time.sleep"]
    assert not found["unread"]


def test_reading_runs_nothing_of_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it was run")

    for name in ("size", "__call__", "__enter__"):
        monkeypatch.setattr(reaching.Client, name, property(refuse) if name == "size" else refuse)
    read(reaching.wrong_property, APPS)
    read(reaching.wrong_callable_object, APPS)
    read(reaching.wrong_context_object, APPS)


def test_what_a_task_of_the_loop_does_is_told_from_what_its_starter_waits_for() -> None:
    """A task runs beside other requests, even after its starter has ended."""
    assert [one["task"] for one in read(reaching.wrong_task, APPS)["blocks"]] == [True]
    assert [one["task"] for one in read(reaching.wrong_gathered, APPS)["blocks"]] == [False]


def test_a_short_file_and_a_hash_are_told_from_waits() -> None:
    kinds = {name: read(getattr(reaching, name), APPS)["blocks"][0]["kind"]
             for name in ("wrong_file", "wrong_hash", "wrong_queue")}  # fmt: skip
    assert kinds == {"wrong_file": "file", "wrong_hash": "computes", "wrong_queue": "waits"}


def test_what_ruffs_rules_and_blockbuster_know_is_known_here() -> None:
    """Their functions under the names by which they are imported."""
    known = {what for what, _ in FUNCTIONS.values()} | {shown for shown, *_ in METHODS.values()}
    for what in (
        "time.sleep", "os.popen", "os.system", "os.wait", "subprocess.run", "subprocess.check_output",
        "urllib.request.urlopen", "requests.get", "httpx.get", "httpx.Client", "open", "input",
        "socket.socket", "sqlite3.Connection", "sqlite3.Cursor", "threading.Lock",
    ):  # fmt: skip
        assert what in known


def test_every_example_is_a_coroutine_function_as_a_route_would_be() -> None:
    """What decorators return, too."""
    for name in (*names("wrong_"), *names("fine_")):
        assert inspect.iscoroutinefunction(inspect.unwrap(getattr(reaching, name)))
