"""Many different names of requests: grouped by the app's routes, or by what varies in them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from loadtests.measure.names import Names
from loadtests.records.names.grouping import MOST_CHOSEN, MOST_PATHS, Grouping, grouped
from loadtests.serving.inside.frameworks.routes import paths
from reports.advice.caveats import ManyNames, caveats
from reports.analysis.readings import Readings
from reports.analysis.verdicts import verdicts
from reports.wording.advice.caveats import caveat_text
from tests import scripted
from tests.apps import entries
from tests.scripted import Scripted

RECORDING = """
from loadtests.load.recorder import Recorder
from loadtests.records.names.grouping import grouped
from types import SimpleNamespace
recorder, answer = Recorder(), SimpleNamespace(status_code=200)
for number in range(70_000):
    recorder.record(f"/items/{number}", 1.0, 10, answer)
names = grouped(list(recorder.endpoints))
samples = recorder.samples(0.0, names)
print(*names.names, names.original, len(samples), samples.endpoint.max())
"""

ITEMS = [f"/items/{n}" for n in range(1_000)]
SLUGS = [f"/articles/{word}-{n}/comments" for n in range(40) for word in ("on-tea", "why")]

CHOSEN = [f"posts.read {n}" for n in range(MOST_CHOSEN)]

ROUTES = ["/health", "/items/new", "/items/{item_id:int}", "/items/{name}", "/files/{path:path}"]


@pytest.mark.parametrize(
    ("names", "routes", "groups"),
    [
        # The routes of the app, the first that matches, as the app itself chooses.
        ([*ITEMS, "/items/new", "/items/tea", "/health"], ROUTES,
         ["/items/{item_id:int}", "/items/new", "/items/{name}", "/health"]),
        ([f"/files/{n}/a.txt" for n in range(99)], ROUTES, ["/files/{path:path}"]),
        # Queries and origins belong to no route.
        ([f"/items/{n}?q={n}#x" for n in range(99)], ROUTES, ["/items/{item_id:int}"]),
        ([f"http://127.0.0.1:41/items/{n}" for n in range(99)], ROUTES, ["/items/{item_id:int}"]),
        # Without routes, the places that vary.
        ([*ITEMS, "/health"], [], ["/items/{}", "/health"]),
        (SLUGS, [], ["/articles/{}/comments"]),
        ([f"/u{a}/p{b}/{c}" for a in range(30) for b in range(30) for c in ("x", "y")], [],
         ["/{}/{}/x", "/{}/{}/y"]),
        ([f"/search?q={n}" for n in range(99)], [], ["/search"]),
        ([f"/{'/'.join('abcdefgh')}/{n}/{n}" for n in range(99)], [], [f"/{'/'.join('abcdefgh')}/{{:path}}"]),
        # Few siblings in every place, and many names all the same.
        ([f"/{a}/{b}/{c}" for a in range(9) for b in range(9) for c in range(9)], [], ["/{}/{}/{}"]),
        # Few names are kept, whatever they are, and so are those that people choose.
        (ITEMS[:MOST_PATHS], ROUTES, ITEMS[:MOST_PATHS]),
        (CHOSEN, [], CHOSEN),
        ([*ITEMS, "posts.read"], ROUTES, ["/items/{item_id:int}", "posts.read"]),
        ([*CHOSEN, "posts.read more"], [], ["posts.read {}"]),
        ([], ROUTES, []),
    ],
)  # fmt: skip
def test_many_names_are_grouped_and_few_are_kept(
    names: Sequence[str], routes: Sequence[str], groups: Sequence[str]
) -> None:
    found = grouped(names, routes)
    assert found.names == tuple(groups)
    assert found.original == (None if list(names) == groups else len(names))
    assert len(found.numbers) == len(names)
    again = grouped(found.names, [*routes, *found.learned], always=found.original is not None)
    assert again.names == found.names, "what was grouped once belongs to the same groups in another load"


def test_all_loads_of_a_scenario_are_grouped_alike_once_one_had_many_names() -> None:
    """An arm that answers ten requests in its window has the endpoints of one that answers thousands."""
    known = Names()
    known.add_routes(["/items/{item_id}"])
    known.add_routes(["/items/{id}", "/more"])
    few = ["/items/1", "/a/7", "/more"]
    assert in_load(known, "Browser", few).names == tuple(few)
    many = in_load(known, "Browser", [*ITEMS, *(f"/a/{n}" for n in range(99))])
    known.note("Browser", {"names": many.original, "learned": list(many.learned)})
    assert in_load(known, "Browser", few).names == ("/items/{item_id}", "/a/{}", "/more")
    assert in_load(known, "Other", few).names == tuple(few)


def in_load(known: Names, scenario: str, names: Sequence[str]) -> Grouping:
    """How the generator groups the names of a load."""
    told = known.of(scenario)
    return grouped(names, told["routes"], told["grouped"])


def test_a_resumed_run_groups_as_its_first_part_did(tmp_path: Path) -> None:
    plan = scripted.plan(cells=[("Browser", 8)])
    run, _ = scripted.run(tmp_path, plan, lambda *_: Scripted(endpoints=("/items/{item_id}", "/health")))
    known = Names()
    known.recall(run.trials)
    assert known.of("Browser") == {"routes": [], "grouped": False}
    known.recall([run.trials[0].model_copy(update={"names": 1_000})])
    assert known.of("Browser") == {"routes": ["/items/{item_id}"], "grouped": True}


def test_the_recorder_keeps_a_row_for_every_name() -> None:
    """From the 65,536th name on rows were lost, and the users were blamed."""
    # In a process of its own: Locust patches the standard library.
    done = subprocess.run([sys.executable, "-P", "-c", RECORDING], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["/items/{}", "70000", "70000", "0"]


def test_an_apps_routes_are_read_with_those_of_mounted_and_wrapped_apps() -> None:
    inner = Starlette(routes=[Route("/{name}", print)])
    app = Starlette(routes=[Route("/a/{id}", print), Mount("/sub", inner)])
    assert paths(SimpleNamespace(other_asgi_app=SimpleNamespace(app=app))) == ["/a/{id}", "/sub/{name}"]
    assert paths(lambda: None) == []
    looping = SimpleNamespace()
    looping.app = looping
    assert paths(looping) == []


@pytest.mark.parametrize("wrapper", ["slot", "closure", "partial", "dict"])
def test_an_apps_routes_are_read_however_a_wrapper_holds_it(wrapper: str) -> None:
    assert "/inner" in paths(getattr(entries, f"in_a_{wrapper}"))


def test_a_report_says_that_names_were_grouped_and_how_to_choose_them(tmp_path: Path) -> None:
    plan = scripted.plan(cells=[("Browser", 8)])
    told = Scripted(endpoints=("/items/{item_id}", "/health"))
    run, directory = scripted.run(tmp_path, plan, lambda *_: told)
    trials = tuple(trial.model_copy(update={"names": 30_000 + trial.number}) for trial in run.trials)
    run = run.model_copy(update={"trials": trials})
    (caveat,) = [
        one for one in caveats(run, verdicts(run, Readings(directory))) if isinstance(one, ManyNames)
    ]
    assert caveat_text(caveat) == (
        "Browser: its requests have 30,008 different names, grouped as /items/{item_id}, /health: to group "
        "them otherwise, pass name= with each request"
    )
