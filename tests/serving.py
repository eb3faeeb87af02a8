"""Helpers for tests on real servers: arms of tests/apps, a load, a request."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest

from loadtests.measure.generator import expect
from loadtests.plan.arms import Arm
from loadtests.plan.request import LONGEST, WARMUP_TURNS, WINDOW_TURNS, TrialRequest
from loadtests.records.arrays import columns
from loadtests.records.samples import Samples
from loadtests.system.processes import Child
from tests.conftest import APPS

UNFINISHED = "Unfinished: cut off, since it was not answered by the end of the trial"
"""The kind of a request that was in flight when its trial ended."""


def app(name: str, module: str = "odd", **options: Any) -> Arm:
    return Arm(name=name, app=f"{module}:{name}", app_dir=str(APPS), **options)


REQUEST = TrialRequest(
    host="", scenario="ping", users=8, turn=0.0, rate=None, arrivals=None, warmup=0.3,
    warmup_turns=WARMUP_TURNS, window=1.0, window_turns=WINDOW_TURNS, longest=LONGEST, drain=2.0,
    seed=1, samples="", canary=None, pulse=None, pulse_path=None, names="", pauses=True,
)  # fmt: skip


def request(url: str, path: Path, **changes: Any) -> TrialRequest:
    """Eight users for one second, with `changes` applied; samples are written to `path`."""
    return replace(REQUEST, host=url, samples=str(path), **changes)


def loaded(child: Child, url: str, path: Path, **changes: Any) -> dict[str, Any]:
    child.send(asdict(request(url, path, **changes)))
    opened = expect(child, "opened", 30)["at"]
    for event in ("closed", "drained"):
        expect(child, event, 30)
    return {**expect(child, "done", 30), "opened": opened}


def read_samples(path: Path) -> Samples:
    """The samples that the generator wrote, without the checks of a record."""
    with np.load(path, allow_pickle=False) as file:
        return Samples(**columns(file["rows"]))


def get(url: str) -> bytes:
    with urlopen(url, timeout=10) as answer:  # noqa: S310  # our own http:// address
        content: bytes = answer.read()
    return content


PROXY = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "NO_PROXY": "localhost"}
"""An environment that names a proxy, where nothing listens: what goes through it fails."""


def name_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put `PROXY` into this process's environment, which servers inherit."""
    monkeypatch.delenv("no_proxy", raising=False)
    for name, value in PROXY.items():
        monkeypatch.setenv(name, value)
