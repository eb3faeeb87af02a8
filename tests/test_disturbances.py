"""The table of docs/method.md: what disturbances of known kinds cost, by the rules as they are."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from benchmarks import disturbed

METHOD = Path(__file__).parent.parent / "docs" / "method.md"


@pytest.mark.parametrize("model", disturbed.MODELS, ids=lambda one: one.about)
def test_the_table_of_disturbances_is_what_the_rules_give(model: disturbed.Disturbance) -> None:
    """Within four standard errors of 150 cells."""
    pattern = (
        rf"^\| {re.escape(model.about)} \| ([\d.]+)% \| ([\d.]+)% \| ([\d.]+) \| ([\d.]+) \| ([\d.]+%|–) \|$"
    )
    (row,) = re.findall(pattern, METHOD.read_text(encoding="utf-8"), re.MULTILINE)
    for place, repairs in enumerate((False, True)):
        found = disturbed.shares(model, 150, repairs, seed=7)
        stated = float(row[place]) / 100.0
        error = 4.0 * math.sqrt(max(stated * (1.0 - stated), 0.005) / 150)
        assert found.invalid == pytest.approx(stated, abs=error)
        assert found.rounds == pytest.approx(float(row[2 + place]), abs=1.5)
        assert found.covered >= 0.95
