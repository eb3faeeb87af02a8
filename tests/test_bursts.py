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
    "sleep": "thread tokens",
    "posts.read": "the database pool",
    "posts.create": "the write lock",
    "python": "the event loop",
    "upstream": "the HTTP client's connections",
    "process": "the process pool",
    "background": "the tasks after responses",
}
"""One scenario for each limited resource, and the resource: 512 users must queue for it."""
OTHERS = tuple(name for name in (*ENDPOINTS, *MIXES) if name not in LIMITED)
MEANT_TO_FAIL = {("sync", "session-dependency", 64)}
"""Pitfalls at the load at which they show: errors there are expected."""


@pytest.mark.parametrize(("users", "scenarios"), [(64, OTHERS), (512, tuple(LIMITED))], ids=["64", "512"])
@pytest.mark.parametrize("twin", ["sync", "async"])
def test_every_scenario_is_answered_without_an_error_by_both_twins(
    environment: ServingEnvironment,
    locust: tuple[Child, dict[str, Any]],
    tmp_path: Path,
    twin: str,
    users: int,
    scenarios: tuple[str, ...],
) -> None:
    """A burst of each; `make bars-long` loads all of them with the same number of users for longer."""
    arm = Arm(name=twin, app=f"{twin}_app.main:create_app")
    with Server(arm, environment, f"9.{twin}") as server:
        for scenario in scenarios:
            if (twin, scenario, users) in MEANT_TO_FAIL:
                continue
            times = {"warmup": 0.1, "window": 0.05, "drain": 60.0, "warmup_turns": 0, "window_turns": 0}
            facts = loaded(
                locust[0], server.url, tmp_path / "s.npz", scenario=scenario, users=users,
                **times,
            )  # fmt: skip
            assert facts["errors"] == [], f"{twin} {scenario}"
            assert len(read_samples(tmp_path / "s.npz")) >= users, f"{twin} {scenario}"
