"""Every scenario in both twins with many users: nothing fails. (Single requests: test_equality.py.)"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadtests.plan.arms import Arm
from loadtests.plan.profiles import ENDPOINTS, MIXES
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from loadtests.system.processes import Child
from tests.serving import loaded, read_samples

LIMITED = {
    "sleep": ("thread tokens", 512),
    "posts.read": ("the database pool", 96),
    "posts.create": ("the write lock", 96),
    "python": ("the event loop", 64),
    "upstream": ("the HTTP client's connections", 512),
    "process": ("the process pool", 48),
    "background": ("the tasks after responses", 512),
}
"""One scenario for each limited resource, the resource, and users of whom most must queue for it: there are
256 connections of the HTTP client, 40 thread tokens, 20 connections to the database, two processes."""
USERS = 48
"""Of the others: more than there are thread tokens, and connections to the database."""
OTHERS = tuple(name for name in (*ENDPOINTS, *MIXES) if name not in LIMITED)
MEANT_TO_FAIL = {("sync", "session-dependency")}
"""Pitfalls at the load at which they show: errors there are expected."""
BURST = {"warmup": 0.0, "window": 0.05, "drain": 60.0, "warmup_turns": 0, "window_turns": 0}
"""Every user makes a request at once, and ends after it unless that took less than the window."""


@pytest.mark.parametrize("twin", ["sync", "async"])
def test_every_scenario_is_answered_without_an_error_by_both_twins(
    environment: ServingEnvironment, locust: tuple[Child, dict[str, Any]], tmp_path: Path, twin: str
) -> None:
    """A burst of each; `make bars-long` loads all of them with up to 512 users for longer."""
    arm = Arm(name=twin, app=f"{twin}_app.main:create_app")
    bursts = dict.fromkeys(OTHERS, USERS) | {name: users for name, (_, users) in LIMITED.items()}
    with Server(arm, environment, f"9.{twin}") as server:
        for scenario, users in bursts.items():
            if (twin, scenario) in MEANT_TO_FAIL:
                continue
            facts = loaded(locust[0], server.url, tmp_path / "s.npz", scenario=scenario, users=users, **BURST)
            assert facts["errors"] == [], f"{twin} {scenario}"
            assert len(read_samples(tmp_path / "s.npz")) >= users, f"{twin} {scenario}"
