"""What is released: the source distribution, and its wheel, installed beside arbitrary user files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from loadtests.errors import Exit
from loadtests.records.directory import RunDirectory
from tests.commands import carried_out

ROOT = Path(__file__).parent.parent
# Fewer users would spend a larger fraction of their time between two such fast requests.
SHORT = ["-s", "ping", "-u", "8", "-t", "0.3", "--warmup", "0.1", "--rounds", "1", "--json", "-"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of this checkout, and the wheel that is built from it, in one directory."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel; dependencies come from the current one."""
    where = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(where)
    python = where / "bin" / "python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
    )
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-compile", str(wheel)], check=True)
    return where / "bin" / "duel"


def test_the_wheel_contains_the_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    ours = {"cli.py", "sync_app", "async_app", "shared_models", "loadtests", "reports"}
    assert {top for top in tops if not top.endswith(".dist-info")} == ours
    # Without it, type checkers take no types from an installed package (PEP 561).
    assert {f"{one}/py.typed" for one in ours - {"cli.py"}} <= set(names)
    assert {"shared_models/templates/post.html", "loadtests/records/duel-run-2.schema.json"} <= set(names)
    assert {
        "reports/render/page/report.html",
        "reports/render/page/report.css",
        "reports/render/page/report.js",
    } <= set(names)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git alone knows which files belong to the project")
def test_the_source_distribution_contains_every_file_of_the_repository(built: Path) -> None:
    """Its tests read the action and the workflows, too."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    (found,) = built.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert set(listed.stdout.splitlines()) - names == set()


def test_links_and_pictures_of_the_readme_have_whole_addresses_on_pypi(wheel: Path) -> None:
    """Relative ones lead nowhere there."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        shown = archive.read(metadata).decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    source, at = project["urls"]["Source"], f"v{project['version']}"
    targets = re.findall(r"\]\(([^#)][^)]*)\)", shown) + re.findall(r'(?:src|srcset)="([^"]+)"', shown)
    assert {target for target in targets if not target.startswith("https://")} == set()
    assert {f"{source}/blob/{at}/docs/ci.md", f"{source}/raw/{at}/docs/verdicts-light.svg"} <= set(targets)


def test_an_installed_duel_checks_with_user_packages_of_the_same_names(
    installed: Path, tmp_path: Path
) -> None:
    """A user's cli.py, reports/ and shared_models/ are neither used nor a problem, in the servers of our own
    twins too."""
    for name in ("cli.py", "reports/__init__.py", "shared_models/__init__.py", "loadtests/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise RuntimeError('this is the user\\'s own')\n")
    done = subprocess.run(
        [installed, "check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # Other tests may keep the machine busy.
    assert done.returncode in (Exit.DONE, Exit.INVALID), done.stderr
    assert "sync and async give the same answers" in done.stdout


def test_a_users_own_app_sees_the_users_own_packages(installed: Path, tmp_path: Path) -> None:
    """An app that imports its own `reports` gets that one; a run and its report use duel's."""
    (tmp_path / "cli.py").write_text("raise RuntimeError('this is the user\\'s own')\n")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "__init__.py").write_text("ANSWER = b'mine'\n")
    (tmp_path / "shop.py").write_text(
        "from fastapi import FastAPI, Response\n"
        "from reports import ANSWER\n"
        "app = FastAPI()\n"
        "@app.get('/ping')\n"
        "async def ping(): return Response(ANSWER)\n"
    )
    brisk: list[str | Path] = [installed.with_name("python"), "-P", ROOT / "tests" / "brisk.py"]
    done = subprocess.run(
        [*brisk, "run", *SHORT, "--arm", "one=shop:app", "--arm", "two=shop:app"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    carried_out(done.returncode, done.stderr)
    assert json.loads(done.stdout)["arms"] == ["one", "two"]
    (where,) = (tmp_path / "runs").iterdir()
    run = RunDirectory(where).load()
    assert {trial.arm for trial in run.trials} == {"one", "two"}
    assert not any(trial.errors for trial in run.trials)


def test_help_loads_nothing_heavy() -> None:
    """Imports are what makes a command line slow."""
    code = "import sys, cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"numpy", "scipy", "matplotlib", "pydantic", "fastapi", "locust", "gevent", "sqlalchemy", "httpx"}
    assert not heavy & {name.partition(".")[0] for name in loaded}


def test_the_lock_names_no_host_and_hashes_everything() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert not [line for line in lines if "://" in line or "index-url" in line or "find-links" in line]
    pins = [number for number, line in enumerate(lines) if re.match(r"[a-z0-9]", line)]
    assert len(pins) > 50
    for number in pins:
        assert "==" in lines[number]
        assert "--hash=sha256:" in lines[number + 1]


def test_the_lock_contains_every_direct_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(d for extra in project["optional-dependencies"].values() for d in extra),
    ]
    lock = (ROOT / "requirements.lock").read_text()
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9_-]+", requirement)
        assert name is not None
        assert f"\n{name[0].lower()}==" in lock, requirement
