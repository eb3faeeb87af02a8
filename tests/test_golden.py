"""Results of the first release for the runs in tests/shapes.py are reproduced to eight digits, except where
it was wrong; the intervals are those since the error rate is spent unevenly over the looks, which changed no
verdict. With the oldest numpy and scipy that we allow, the tenth differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reports.conclusions import Conclusions
from reports.render.summary import summary
from tests import shapes
from tests.conftest import Known


def loaded(text: str) -> Any:
    """A JSON text, with figures of eight digits."""
    return json.loads(text, parse_float=lambda figure: float(f"{float(figure):.8g}"))


FIRST = loaded((Path(__file__).parent / "golden" / "shapes.json").read_text(encoding="utf-8"))
"""Results of `said` by shape, written once and never again: by the code of the first release, and for shapes
that are newer by the code that came with them."""

FAILED = {
    "users.read@64 ping p50 async/sync": ["failing", 0.81988525],
    "users.read@64 ping p95 async/sync": ["failing", None],
}
"""Where sync fails 22% of its requests: the first release left them out of its percentiles, and so showed
the response times of the requests that it chose to answer (×1.00 for both)."""


def said(conclusions: Conclusions) -> dict[str, Any]:
    """The verdicts with ratio, interval, n and p, the advice and the outcomes after a JSON round trip."""
    stated = loaded(json.dumps(summary(conclusions)))
    return kept(stated)


def kept(stated: dict[str, Any]) -> dict[str, Any]:
    """Those parts of a summary; for secondary metrics only the word and the ratio, which the rest depends
    on."""
    return {
        "gate": stated["gate"],
        "verdicts": {about(row): figures(row) for row in stated["verdicts"]},
        "cards": {
            f"{card['scenario']}, {card['arm']}": [
                card["advice"], card["holds_from"], card["holds_to"], card["crossover"],
            ]
            for card in stated["cards"]
        },
    }  # fmt: skip


def about(row: dict[str, Any]) -> str:
    load = "/".join(f"{value:g}" for value in row["load"].values() if not isinstance(value, str))
    mark = "*" if row["primary"] else ""
    return f"{row['scenario']}@{load} {row['endpoint']} {row['metric']}{mark} {row['arm']}/{row['reference']}"


def figures(row: dict[str, Any]) -> list[Any]:
    if not row["primary"]:
        return [row["verdict"], row["ratio"]]
    return [row["verdict"], row["ratio"], row["low"], row["high"], row["n"], row["p"]]


def test_every_shape_has_its_record() -> None:
    assert list(FIRST) == list(shapes.SHAPES)


@pytest.mark.parametrize("name", shapes.SHAPES)
def test_verdicts_and_advice_are_those_of_the_first_release(known: Known, name: str) -> None:
    first = FIRST[name]
    if name == "all kinds of verdicts":
        first = {**first, "verdicts": first["verdicts"] | FAILED}
    assert said(known[name]) == first
