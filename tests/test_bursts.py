"""Every scenario in both twins under one user and under many: nothing falls over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadtests.config import ENDPOINTS, MIXES
from loadtests.plan import Arm
from loadtests.processes import Child
from loadtests.records import read_samples
from loadtests.servers import Server, Surroundings
from tests.serving import loaded

MEANT_TO_FAIL = {("sync", "session-dependency", 64), ("sync", "session-dependency", 512)}
"""Pitfalls at the load at which they show: what users see there is an error, and not ours."""


@pytest.mark.parametrize("users", [1, 64, 512])
@pytest.mark.parametrize("twin", ["sync", "async"])
def test_every_scenario_is_answered_without_an_error_by_both_twins(
    around: Surroundings, locust: tuple[Child, dict[str, Any]], tmp_path: Path, twin: str, users: int
) -> None:
    """A burst of every endpoint and mix; `make bars-long` loads them for longer."""
    arm = Arm(name=twin, app=f"{twin}_app.main:create_app")
    with Server(arm, around, f"9.{twin}") as server:
        for scenario in (*ENDPOINTS, *MIXES):
            if (twin, scenario, users) in MEANT_TO_FAIL:
                continue
            times = {"warmup": 0.1, "window": 0.05, "drain": 60.0, "warmup_turns": 0, "window_turns": 0}
            facts = loaded(locust[0], server.url, tmp_path / "s.npz", scenario=scenario, users=users, **times)
            assert facts["errors"] == [], f"{twin} {scenario}"
            assert len(read_samples(tmp_path / "s.npz")) >= users, f"{twin} {scenario}"
