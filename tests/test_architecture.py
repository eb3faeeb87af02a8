"""How the code is laid out. Import rules are checked by import-linter: see pyproject.toml, `make lint`."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("sync_app", "async_app", "shared_models", "loadtests", "reports", "benchmarks")
ROOMS = sorted(
    path.parent for package in ("loadtests", "reports") for path in (ROOT / package).rglob("__init__.py")
)
MOST_FILES, MOST_LINES, MOST_LINES_OF_A_FUNCTION = 14, 400, 60
HEAVY = {"pydantic", "numpy", "scipy", "rich", "matplotlib", "fastapi", "locust", "gevent", "psutil"}
ONLY_HERE = {
    "psycopg": {"loadtests.serving.databases.postgresql", "loadtests.serving.databases.postgresql_server"},
    "jinja2": {"reports.render.html", "shared_models.errors"},
}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def modules() -> dict[str, Path]:
    """Source files by module name."""
    found = {"cli": ROOT / "cli.py"}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = path
    return found


@cache
def imports(path: Path) -> frozenset[str]:
    """Modules that a file imports at runtime; not those under TYPE_CHECKING."""
    tree = parsed(path)
    unreal = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in unreal:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_package_says_what_it_contains_and_has_few_files(room: Path) -> None:
    says = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
    assert says
    assert len(list(room.glob("*.py"))) <= MOST_FILES


def test_a_file_is_short_or_says_why_it_is_long() -> None:
    texts = {name: path.read_text(encoding="utf-8").splitlines() for name, path in modules().items()}
    long = {name: len(lines) for name, lines in texts.items() if len(lines) > MOST_LINES}
    assert {name: n for name, n in long.items() if not texts[name][0].startswith("# Long: ")} == {}


def test_a_function_fits_on_a_screen() -> None:
    long = [
        f"{name}.{node.name}: {node.end_lineno - node.lineno + 1}"
        for name, path in modules().items()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.end_lineno is not None and node.end_lineno - node.lineno >= MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_a_class_name_is_unique() -> None:
    """Except in the twins, which have each class twice on purpose."""
    names = Counter(
        node.name
        for name, path in modules().items()
        if not name.startswith("async_app.")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, number in names.items() if number > 1] == []


@pytest.mark.parametrize("library", sorted(ONLY_HERE))
def test_a_library_with_state_is_imported_only_by_its_own_packages(library: str) -> None:
    users = {
        name
        for name, path in modules().items()
        if any(one == library or one.startswith(library + ".") for one in imports(path))
    }
    assert users == ONLY_HERE[library]


def test_matplotlib_is_imported_only_by_charts() -> None:
    users = {name for name, path in modules().items() if any("matplotlib" in one for one in imports(path))}
    assert users
    assert all(name.startswith("reports.render.charts.") for name in users)


def test_what_only_an_extra_brings_is_imported_where_it_is_needed() -> None:
    """`pip install fastapi-duel` alone could not run anything: psycopg came with the first import."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    extras = {
        re.split(r"[^\w-]", one)[0] for kind in ("postgres", "mysql", "redis") for one in optional[kind]
    }
    assert extras
    for name, path in modules().items():
        for node in parsed(path).body:
            found = {one.name for one in node.names} if isinstance(node, ast.Import) else set()
            found |= {node.module or ""} if isinstance(node, ast.ImportFrom) else set()
            assert not extras & {one.partition(".")[0] for one in found}, name


def test_the_command_line_imports_nothing_heavy_before_a_verb_needs_it() -> None:
    code = f"import sys, cli; print(*sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_server_runs_without_any_of_our_packages() -> None:
    """Code inside an arm's environment: standard library, uvicorn and AnyIO only."""
    inside = ROOT / "loadtests" / "serving" / "inside"
    tops = {
        imported.partition(".")[0]
        for path in inside.glob("*.py")
        # One inspects the app's use of FastAPI and SQLAlchemy, the other puts a class of Starlette before it.
        if path.name not in ("describe_app.py", "middleware.py")
        for imported in imports(path)
    }
    assert tops - sys.stdlib_module_names - {"annotationlib"} == {"uvicorn", "anyio"}  # standard from 3.14
