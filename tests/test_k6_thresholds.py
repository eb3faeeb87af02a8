"""What people bring from k6: each threshold is judged, or refused with a way out; none is met without
samples."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from loadtests.errors import PlanError
from loadtests.plan.settings import read
from loadtests.records import Cell
from reports.analysis.readings import Readings
from reports.conclusions import conclude
from reports.runs import check_thresholds
from tests import scripted
from tests.commands import chartless_here
from tests.scripted import Scripted

PLAN = scripted.plan(arms=("base", "head"), cells=[("Shopper", 8)])

ROWS = [
    ("http_req_duration", '["p(95)<200", "p(99)<500", "med<100"]', ()),
    ("http_req_duration{arm:head, scenario:Shopper}", '"p( 95 ) <= 200"', ()),
    ("http_req_duration", '["avg<200"]', ("'avg'", "med, p(50), p(95), p(99)")),
    ("http_req_duration", '["max<1000"]', ("'max'", "p(99)")),
    ("http_req_duration", '["p(90)<150"]', ("'p(90)'", "p(95)")),
    ("http_req_duration", '["p(99.9)<1000"]', ("'p(99.9)'",)),
    ("http_req_duration", '["p(95.0)<200"]', ()),
    ("http_reqs", '["count>1000"]', ("'count'", "takes rate")),
    ("http_req_failed", '["rate==0"]', ("rate==0", "<, <=, >, >=")),
    ("http_req_failed", '["rate<.01"]', ()),
    ("http_req_failed", '["rate<1e-2"]', ()),
    ("http_req_failed", '["rate<1%"]', ("rate<1%", "one expression per string")),
    ("http_req_duration", '["p(95)<0.2s"]', ("p(95)<0.2s", "a number of milliseconds")),
    ("http_req_duration", '["p(95)<200,p(99)<500"]', ("p(95)<200,p(99)<500", "one expression per string")),
    ("http_req_duration", '["p(95)=200"]', ("p(95)=200", "<, <=, >, >=")),
    ("http_req_duration{url:http://127.0.0.1/items/1}", '["p(95)<200"]', ("no tag 'url'", "arm, scenario")),
    ("http_req_duration{name:/items/[id]}", '["p(95)<200"]', ("no tag 'name'", "endpoints are judged")),
    ("http_req_duration{arm:}", '["p(95)<200"]', ("arm:", "tags: arm")),
    ("http_req_duration{arm:head", '["p(95)<200"]', ("cannot read the key", "one pair of braces")),
    ("http_req_duration{arm:haed}", '["p(95)<200"]', ("arm:haed", "did you mean head? known: base, head")),
    ("checks", '["rate>0.9"]', ("no metric 'checks'", "http_req_duration, http_req_failed, http_reqs")),
    ("http_req_waiting", '["p(95)<200"]', ("no metric", "did you mean http_req_duration? known")),
    ("http_req_duration", '[{threshold = "p(95)<500", abortOnFail = true}]',
     ("http_req_duration", 'write the string "p(95)<500"', "abortOnFail")),
    ("http_req_duration", '{threshold = "p(95)<500", abortOnFail = true}',
     ("http_req_duration", 'write the string "p(95)<500"', "abortOnFail")),
    ("http_req_duration", "[]", ("http_req_duration", "nothing is judged")),
    ("http_req_failed", '["rate<inf"]', ("rate<inf",)),
    ("speedup{scenario:Shopper}", '["ratio>=0.5"]', ()),
    ("speedup{arm:base}", '["ratio>=0.5"]', ("base is what the others are compared with", "that of head")),
    ("http_req_duration{expected_response:true}", '["p(95)<200"]', ("no tag 'expected_response'",)),
    ("HTTP_REQ_DURATION", '["p(95)<200"]', ("no metric", "http_req_duration")),
    # Not of the case: more that k6 has, or that people write.
    ("http_req_duration{}", '["p(95)<200"]', ()),
    ("http_req_duration{name:/items/{id}}", '["p(95)<200"]', ("cannot read the key", "one pair of braces")),
    ("http_reqs{rate:100}", '["rate>1"]', ("no cell of this run has rate", "users:8")),
    ("http_reqs{scenario:Shopper, users:64}", '["rate>1"]', ("users:64", "known: 8")),
    ("http_req_duration", '["p(95)\\u2264200"]', ("cannot read",)),
    ("http_req_duration", "200", ("http_req_duration: 200 is not an expression",)),
    ("http_req_duration", '["p(95)<200", "p(95)<200"]', ("duplicate expression 'p(95)<200'",)),
    ("http_req_duration", '[["p(95)<200"]]', ("is not an expression",)),
]  # fmt: skip
"""Key, value as TOML, and what the error must hold; empty: it is judged."""


def settle(key: str, value: str) -> None:
    layer = tomllib.loads(f"[thresholds]\n'{key}' = {value}\n")
    check_thresholds(PLAN.model_copy(update=read(layer, "pyproject.toml")))


@pytest.mark.parametrize(("key", "value"), [row[:2] for row in ROWS if not row[2]])
def test_what_has_a_meaning_is_judged(key: str, value: str) -> None:
    settle(key, value)


@pytest.mark.parametrize(("key", "value", "held"), [row for row in ROWS if row[2]])
def test_what_has_none_is_one_error_with_a_way_out(key: str, value: str, held: tuple[str, ...]) -> None:
    with pytest.raises(PlanError) as caught:
        settle(key, value)
    said = f"{caught.value} {caught.value.hint}"
    assert all(part in said for part in held), said
    assert "\n" not in said


def test_an_empty_table_is_an_error() -> None:
    with pytest.raises(PlanError, match="nothing is judged"):
        read({"thresholds": {}}, "pyproject.toml")


@pytest.mark.parametrize("arm", [None, "async"], ids=["all arms ask for nothing", "one asks for nothing"])
def test_nothing_is_met_without_a_sample(tmp_path: Path, arm: str | None) -> None:
    """A user who only sleeps: of no request, 0% failed, and every percentile is below any limit."""
    rules = {
        "http_req_duration{arm:async}": ("p(95)<200", "med<1000"),
        "http_req_failed{arm:async}": ("rate<0.01",),
        "http_reqs{arm:async}": ("rate<1000",),
        "speedup": ("ratio>0.1",),
    }
    plan = scripted.plan(cells=[("ping", 4)]).model_copy(update={"thresholds": rules})

    def script(name: str, cell: Cell, round: int) -> Scripted:
        return Scripted(requests=0) if arm in (None, name) else Scripted()

    run, directory = scripted.run(tmp_path, plan, script)
    found = conclude(run, Readings(directory)).judgements
    assert {one.threshold.metric: one.word for one in found if one.word == "met"} == {}
    done = chartless_here("report", str(directory.path), "--strict", cwd=tmp_path)
    assert done.returncode in (4, 5)
