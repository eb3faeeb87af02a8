"""Two arms of one's own app: which routes to convert, which to leave, in order of gain."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from loadtests.plan.arms import Arm
from loadtests.plan.cells import Cell
from loadtests.plan.plan import LocustFile
from loadtests.records import AnswerCheck, AnsweringRoute
from reports.advice.conversion import conversions
from reports.analysis.readings import Readings
from reports.conclusions import Conclusions, conclude
from reports.render import html, markdown, terminal
from reports.render.summary import summary
from reports.wording.advice.conversion import conversion_text
from tests import scripted
from tests.scripted import Scripted

NOW, THEN = Arm(name="before", app="shop:before"), Arm(name="after", app="shop:after")
WAITS = {
    # Served before and after, what an `async def` neighbour waits before and after.
    "items": (500, 520, 0.03, 0.031),
    "orders": (400, 800, 0.03, 0.035),
    "prices": (400, 500, 0.03, 0.031),
    "thumbnails": (430, 490, 0.035, 0.25),
    "totals": (600, 400, 0.03, 0.03),
}


def shown(tmp_path: Path, pulses: bool = True) -> Conclusions:
    plan = scripted.plan(["before", "after"], [(name, 64) for name in WAITS])
    plan = plan.model_copy(update={"arms": (NOW, THEN)})

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        before, after, pulse, later = WAITS[cell.scenario]
        first = arm == NOW.name
        waits = pulse if first else later
        return Scripted(
            requests=(before if first else after) + (3 if round % 2 else 0),
            pulse=waits if pulses else None,
            canary=None if pulses else waits,
        )

    run, directory = scripted.run(tmp_path, plan, script)
    return conclude(run, Readings(directory))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Conclusions:
    return shown(tmp_path_factory.mktemp("run"))


def test_what_gains_most_is_converted_first_and_what_harms_others_is_left(found: Conclusions) -> None:
    (plan,) = found.conversions
    assert [(one.scenario, one.step) for one in plan.steps] == [
        ("orders", "convert"),
        ("prices", "convert"),
        ("items", "either"),
        # Serves more, and has everything else wait seven times as long.
        ("thumbnails", "leave"),
        ("totals", "leave"),
    ]


def test_the_plan_is_a_table_and_data(found: Conclusions) -> None:
    text = markdown.report(found)
    assert "# Convert 2 of 5: from before to after" in text
    assert "Convert orders, prices, in this order; leave items, thumbnails, totals as before." in text
    row = (
        "| orders at 64 users | – | convert | 402/s → 802/s | ×2.00 (1.97–2.02) | "
        "32.8 ms → 38.2 ms (p95, pulse) |"
    )
    assert row in text
    page = html.page(found, [], summary(found))
    assert '<h2 id="conversion-1">Convert 2 of 5: from before to after</h2>' in page
    assert "32.8 ms → 38.2 ms (p95, pulse)</td>" in page
    (plan,) = json.loads(json.dumps(summary(found)))["conversions"]
    assert [step["step"] for step in plan["steps"]].count("convert") == 2
    assert plan["steps"][0]["gain"] > plan["steps"][1]["gain"]


def test_without_a_pulse_the_plan_tells_what_the_canary_waits(tmp_path: Path) -> None:
    found = shown(tmp_path, pulses=False)
    (plan,) = found.conversions
    assert {step.neighbour for step in plan.steps} == {"canary"}
    # It serves more, and whether all others wait or only `def` routes is not known.
    (row,) = (line for line in markdown.report(found).splitlines() if line.startswith("| thumbnails at 64 u"))
    assert row.startswith("| thumbnails at 64 users | – | not decided | 432/s → 492/s | ×1.14 (")
    assert row.endswith("| 38.2 ms → 273 ms (p95, canary) |")
    assert "; not decided: thumbnails" in conversion_text(plan)


def test_the_twins_have_cards_and_no_plan(found: Conclusions) -> None:
    twins = [
        arm.model_copy(update={"app": f"{name}_app.main:create_app"})
        for arm, name in zip((NOW, THEN), ("sync", "async"), strict=True)
    ]
    run = found.run.model_copy(update={"plan": found.run.plan.model_copy(update={"arms": tuple(twins)})})
    assert found.cards
    assert conversions(found.run, found.cards)
    assert conversions(run, found.cards) == ()


def test_the_plan_names_routes_and_those_that_were_measured_together_only(found: Conclusions) -> None:
    told = tuple(
        AnsweringRoute(
            arm="before", scenario=scenario, endpoint=path, path=path, method="GET", file="/shop.py", line=1
        )
        for scenario, path in (("orders", "/orders"), ("items", "/orders"), ("items", "/items/{id}"))
    )
    users = LocustFile(file="/users.py", digest="0")
    plan = found.run.plan.model_copy(update={"locustfile": users})
    check = AnswerCheck(requests=1, endpoints=(), routes=told)
    (plan_of,) = conversions(found.run.model_copy(update={"plan": plan, "answers": check}), found.cards)
    assert plan_of.steps[0].routes == ("GET /orders",)
    assert plan_of.together == ("GET /items/{id}",)
    assert "Measured only together with other routes" in conversion_text(plan_of)


def test_the_terminal_shows_the_plan(found: Conclusions) -> None:
    out = StringIO()
    terminal.show(Console(width=140, file=out, color_system=None), found)
    assert "Convert 2 of 5: from before to after" in out.getvalue()
