"""Who may import whom, as the design draws it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("sync_app", "async_app", "shared_models", "loadtests", "reports", "cli")

MAY_IMPORT: dict[str, set[str]] = {
    "shared_models": {"shared_models"},
    "sync_app": {"sync_app", "shared_models"},
    "async_app": {"async_app", "shared_models"},
    "loadtests": {"loadtests"},
    "reports": {"reports", "loadtests.records"},
    "cli": {"loadtests", "reports"},
}
LOADTESTS: dict[str, set[str]] = {
    "loadtests.plan": set(),
    "loadtests.serve": set(),
    "loadtests.slow_service": set(),
    "loadtests.client": set(),
    "loadtests.processes": set(),
    "loadtests.scenarios": {"loadtests.client"},
    "loadtests.locustfile": {"loadtests.scenarios"},
    "loadtests.records": {"loadtests.plan"},
    "loadtests.validity": {"loadtests.records"},
    "loadtests.addresses": {"loadtests.plan"},
    "loadtests.circumstances": {"loadtests.hooks"},
    "loadtests.config": {
        "loadtests.addresses",
        "loadtests.circumstances",
        "loadtests.hooks",
        "loadtests.plan",
        "loadtests.postgresql",
        "loadtests.sweeps",
        "loadtests.worktree",
    },
    "loadtests.worktree": {"loadtests.plan", "loadtests.processes"},
    "loadtests.anatomy": set(),
    "loadtests.turns": {"loadtests.plan"},
    "loadtests.planning": {"loadtests.bench", "loadtests.config", "loadtests.plan", "loadtests.processes"},
    "loadtests.inspection": {"loadtests.plan", "loadtests.processes"},
    "loadtests.hooks": {"loadtests.plan", "loadtests.processes"},
    "loadtests.locustfiles": {"loadtests.client"},
    "loadtests.sweeps": {"loadtests.plan"},
    "loadtests.vitals": set(),
    "loadtests.recorder": {"loadtests.arrivals", "loadtests.records"},
    "loadtests.canary": {"loadtests.arrivals", "loadtests.recorder", "loadtests.records"},
    "loadtests.postgresql": {"loadtests.plan", "loadtests.processes"},
    "loadtests.postgresql_server": set(),
    "loadtests.arrivals": set(),
    "loadtests.null_server": set(),
    "loadtests.fleet": {"loadtests.generator", "loadtests.records"},
    "loadtests.generator": {
        "loadtests.addresses",
        "loadtests.arrivals",
        "loadtests.canary",
        "loadtests.client",
        "loadtests.locustfiles",
        "loadtests.recorder",
        "loadtests.records",
        "loadtests.scenarios",
    },
}
ONLY_HERE = {
    "locust": {
        "loadtests.client",
        "loadtests.scenarios",
        "loadtests.generator",
        "loadtests.arrivals",
        "loadtests.canary",
        "loadtests.fleet",
        "loadtests.locustfiles",
    },
    "gevent": {"loadtests.client", "loadtests.generator", "loadtests.arrivals", "loadtests.fleet"},
    "psycopg": {"loadtests.postgresql", "loadtests.postgresql_server"},
    "matplotlib": {
        "reports.charts.__init__",
        "reports.charts.style",
        "reports.charts.forest",
        "reports.charts.growth",
        "reports.charts.latency",
        "reports.charts.tails",
        "reports.charts.heat",
        "reports.charts.costs",
        "reports.charts.change",
    },
    "jinja2": {"reports.html", "shared_models.errors"},
    "typer": {"cli"},
}
LIGHT = {"typer", "enum", "signal", "sys", "collections", "contextlib", "pathlib", "typing", "__future__"}


def modules() -> dict[str, Path]:
    found = {"cli": ROOT / "cli.py"}
    for package in PACKAGES[:-1]:
        for path in (ROOT / package).rglob("*.py"):
            found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = path
    return found


def imports(path: Path, top_only: bool = False) -> set[str]:
    """Modules that a file imports while it runs; not those under TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unreal = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    nodes = tree.body if top_only else list(ast.walk(tree))
    found = set()
    for node in nodes:
        if id(node) in unreal:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(name: str, path: Path) -> set[str]:
    known = modules()
    found = set()
    for imported in imports(path):
        if imported.partition(".")[0] not in PACKAGES:
            continue
        parts = imported.split(".")
        while parts and ".".join(parts) not in known and ".".join([*parts, "__init__"]) not in known:
            parts.pop()
        found.add(".".join(parts))
    return found - {name}


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_module_imports_only_what_the_design_allows(name: str) -> None:
    allowed = LOADTESTS.get(name, MAY_IMPORT[name.partition(".")[0]])
    if name == "reports.statistics":
        allowed = set()
    for imported in ours(name, modules()[name]):
        permitted = any(imported == entry or imported.startswith(entry + ".") for entry in allowed)
        assert permitted, f"{name} imports {imported}"


@pytest.mark.parametrize("library", sorted(ONLY_HERE))
def test_a_heavy_library_lives_in_its_own_rooms(library: str) -> None:
    users = {
        name
        for name, path in modules().items()
        if any(i == library or i.startswith(library + ".") for i in imports(path))
    }
    assert users == ONLY_HERE[library]


def test_the_command_line_imports_nothing_heavy_before_a_verb_needs_it() -> None:
    tops = {imported.partition(".")[0] for imported in imports(ROOT / "cli.py", top_only=True)}
    assert tops <= LIGHT


def test_the_server_runs_where_none_of_our_packages_are() -> None:
    """serve.py must work in another environment: standard library, uvicorn and anyio only."""
    tops = {
        imported.partition(".")[0]
        for name in ("serve.py", "vitals.py")
        for imported in imports(ROOT / "loadtests" / name)
    }
    assert tops - sys.stdlib_module_names == {"uvicorn", "anyio"}
