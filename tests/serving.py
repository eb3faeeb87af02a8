"""What tests on real servers share: arms of tests/apps, a load, a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.request import urlopen

from loadtests.bench import expect
from loadtests.plan import Arm
from loadtests.processes import Child
from tests.conftest import APPS


def app(name: str, module: str = "odd", **options: Any) -> Arm:
    return Arm(name=name, app=f"{module}:{name}", app_dir=str(APPS), **options)


def loaded(child: Child, url: str, path: Path, **changes: Any) -> dict[str, Any]:
    order = {
        "host": url,
        "scenario": "ping",
        "users": 8,
        "warmup": 0.3,
        "window": 1.0,
        "drain": 2.0,
        "seed": 1,
        "samples": str(path),
    }
    child.send({**order, **changes})
    opened = expect(child, "opened", 30)["at"]
    expect(child, "closed", 30)
    return {**expect(child, "done", 30), "opened": opened}


def get(url: str) -> bytes:
    with urlopen(url, timeout=10) as answer:  # noqa: S310  # our own http:// address
        content: bytes = answer.read()
    return content
