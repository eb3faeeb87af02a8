"""What is read in an app's code: every blocking call that a function reaches, to the line, and no other."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from loadtests.serving.inside.reading import read, reader
from loadtests.serving.inside.reading.program import Memory
from loadtests.serving.inside.reading.what_blocks import FUNCTIONS, METHODS
from tests.apps import carrying, deferring, reaching
from tests.conftest import APPS

EXAMPLES = (reaching, deferring, carrying)

SHARED = {"wrong_branch": ("wrong_cached", "wrong_inherited"), "wrong_chosen": ("wrong_inherited",),
          "wrong_registered": ("wrong_inherited",), "wrong_every_registered": ("wrong_inherited",),
          "wrong_super": ("wrong_constructed",),
          "wrong_decorated_method": ("wrong_inherited",), "wrong_injected_client": ("wrong_static",),
          "wrong_stream": ("wrong_iterated",),
          **dict.fromkeys(("wrong_cast", "wrong_aliased", "wrong_only_injected", "wrong_listed",
                           "wrong_looped", "wrong_unpacked", "wrong_comprehended", "wrong_matched"),
                          ("wrong_below_decorator",)),
          "wrong_items": ("wrong_picked",)}  # fmt: skip
"""Functions that reach the lines of others."""


def named(start: str) -> list[object]:
    """The examples whose names begin so, each with its module."""
    return [
        pytest.param(module, name, id=name)
        for module in EXAMPLES
        for name in vars(module)
        if name.startswith(start)
    ]


def lines_of(module: ModuleType, function: str) -> set[int]:
    """The lines that say that a function reaches them."""
    every = (function, *SHARED.get(function, ()))
    source = inspect.getsource(module).splitlines()
    held = {number: re.split(r", *", line.partition("held by ")[2]) for number, line in enumerate(source, 1)}
    return {number for number, by in held.items() if set(by) & set(every)}


@pytest.mark.parametrize(("module", "name"), named("wrong_"))
def test_a_blocking_call_is_found_to_the_line_wherever_it_is_reached(module: ModuleType, name: str) -> None:
    found = read(getattr(module, name), APPS)
    assert lines_of(module, name), "the example names no line"
    assert {one["line"] for one in found["blocks"]} == lines_of(module, name)
    assert {one["file"] for one in found["blocks"]} == {f"{module.__name__.rpartition('.')[2]}.py"}
    assert not found["unread"]


@pytest.mark.parametrize(("module", "name"), named("fine_"))
def test_what_does_not_block_is_no_finding_and_nothing_of_it_is_unread(module: ModuleType, name: str) -> None:
    found = read(getattr(module, name), APPS)
    assert (found["blocks"], found["unread"]) == ([], [])


@pytest.mark.parametrize(
    ("module", "name", "missed"),
    [
        (reaching, "unread_state", ["request.app.state.gateway.lookup"]),
        (reaching, "unread_registry", ["handler", "getattr(client, name)"]),
        (reaching, "unread_many", ["several[number]"]),
        (reaching, "unread_parameter", ["service.lookup"]),
        (reaching, "unread_global", ["unnamed_at_start.ask"]),
        (reaching, "unread_protocol", ["sink.put"]),
        (deferring, "unread_decorated", ["in_a_thread"]),
        (deferring, "unread_entered", ["db.execute"]),
        (deferring, "unread_import", ["nowhere.ask"]),
        (carrying, "unread_hooks", ["hook"]),
        (carrying, "unread_callable", ["order.notify"]),
        (carrying, "unread_request_state", ["request.state.service.lookup"]),
        (carrying, "unread_client_in_state", ["request.app.state.http.get"]),
        (carrying, "unread_untyped_dependency", ["found.lookup"]),
        (carrying, "unread_given", ["self.callback"]),
        (carrying, "unread_holder", ["registry.db.fetch"]),
    ],
)
def test_what_is_made_while_the_app_runs_is_named_and_not_called_clean(
    module: ModuleType, name: str, missed: list[str]
) -> None:
    found = read(getattr(module, name), APPS)
    assert (found["blocks"], [one["name"] for one in found["unread"]]) == ([], missed)


def test_what_lies_too_deep_is_named_and_not_called_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "DEEPEST", 2)
    found = read(reaching.wrong_inherited, APPS)
    assert [(one["name"], one["why"]) for one in found["unread"]] == [("Client.fetch", "too deep")]


def test_how_much_is_read_is_bounded_for_each_entry_with_its_dependencies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What earlier entries read does not count, and what a dependency leaves out is named."""
    monkeypatch.setattr(reader, "MOST", 12)
    for name in ("wrong_inherited", "wrong_super", "wrong_joined", "wrong_callback", "wrong_chosen") * 3:
        assert not read(getattr(reaching, name), APPS)["unread"]
    monkeypatch.setattr(reader, "MEMORY", Memory())
    monkeypatch.setattr(reader, "MOST", -1)
    found = read(carrying.unread_untyped_dependency, APPS)
    assert {one["name"] for one in found["unread"]} == {"get_untyped", "unread_untyped_dependency"}


def without_source(function: Callable[[int], int]) -> FunctionType:
    """A function as in a module that is delivered compiled."""
    assert isinstance(function, FunctionType)
    return FunctionType(function.__code__.replace(co_filename="/nowhere/shop.py"), {"__name__": "shop"})


def test_a_function_whose_source_is_not_there_is_named_and_not_called_clean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Called by the framework, and by other functions."""
    told = {
        "name": "counted", "file": "/nowhere/shop.py", "line": None, "why": "no-source", "task": False,
    }  # fmt: skip
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
    for module in EXAMPLES:
        for name, example in vars(module).items():
            if name.startswith(("wrong_", "fine_")):
                assert inspect.iscoroutinefunction(inspect.unwrap(example)), name


def test_a_function_that_a_librarys_coroutine_calls_may_run_in_a_thread_and_is_not_read() -> None:
    """Reached by a call, and as what a framework calls itself."""
    for entry in (deferring.unread_decorated, deferring.in_a_thread):
        found = read(entry, APPS)
        assert [(one["name"], one["why"]) for one in found["unread"]] == [("in_a_thread", "decorated")]
        assert found["blocks"] == []


def test_what_a_function_called_start_does_is_no_task_unless_it_starts_one() -> None:
    assert [one["task"] for one in read(deferring.wrong_started, APPS)["blocks"]] == [False]


ROOT = """
import time


class Part:
    def __init__(self, *others) -> None:
        self.others = others

    def run(self) -> None:
        time.sleep(0.01)


class Root:
    def __init__(self) -> None:
        self.p0 = Part()
{parts}

async def entry(root: Root) -> None:
    root.p{last}.run()
"""


@pytest.mark.timeout(60)
def test_parts_that_are_made_of_all_earlier_parts_are_read_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every part in turn doubled the time: 24 of them took hours."""
    every = range(1, 24)
    made = "".join(
        f"        self.p{one} = Part({', '.join(f'self.p{other}' for other in range(one))})\n"
        for one in every
    )
    (tmp_path / "composed.py").write_text(ROOT.format(parts=made, last=every[-1]))
    monkeypatch.syspath_prepend(str(tmp_path))
    found = read(importlib.import_module("composed").entry, tmp_path)
    assert [one["what"] for one in found["blocks"]] == ["time.sleep"]
