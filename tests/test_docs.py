"""What the documents say is true: commands run, targets and files exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import loadtests
import reports
from cli import Exit
from loadtests import RunDirectory
from tests.test_cli import duel

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def shell_lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    return [line.partition("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


DUEL_LINES = [line for line in shell_lines() if line.startswith("duel ")]


@pytest.mark.parametrize("line", DUEL_LINES)
def test_every_duel_command_of_the_readme_is_understood(line: str, tmp_path: Path) -> None:
    arguments = shlex.split(line)[1:]
    if arguments[0] == "run" and "--dry-run" not in arguments:
        arguments.append("--dry-run")
    if arguments[0] == "advise":
        # Two seconds, and its answer has tests of its own.
        arguments.append("--help")
    if "examples" in arguments:
        (tmp_path / "examples").symlink_to(ROOT / "examples")
    if "--base-ref" in arguments:
        # Wants a repository that holds the app.
        arguments += ["--app-dir", str(ROOT)]
    if arguments[0] in ("selftest", "compare", "export") or "--resume" in arguments:
        # Two minutes, or a run that is not here: the command is understood, not carried out.
        arguments.append("--help")
    done = duel(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?:`|^)make ([a-z-]+)", README + CONTRIBUTING, re.MULTILINE)))
)
def test_every_make_target_the_documents_name_exists(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


LINKS = re.compile(r"\]\((?!http)([^)#]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"")
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_the_documents_link_to_exists(page: Path) -> None:
    linked = {one or other for one, other in LINKS.findall(page.read_text(encoding="utf-8"))}
    assert {path for path in linked if not (page.parent / path).exists()} == set()


def test_every_picture_has_both_colour_schemes() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        dark = re.findall(r'srcset="([^"]+)-dark\.svg"', text)
        assert dark == re.findall(r'src="([^"]+)-light\.svg"', text), page.name


def test_the_readme_shows_a_real_run() -> None:
    """Its table is the one `make readme` writes: a row a cell, with intervals and rounds."""
    section = README.partition("<!-- run:")[2].partition("<!-- /run -->")[0]
    rows = re.findall(
        r"^\| .+ users? \| .+ \| ×[\d.]+ \| [\d.]+–[\d.]+ \| \d+ \| \w+ \|$", section, re.MULTILINE
    )
    assert len(rows) == 7


def test_every_module_of_the_house_is_in_its_guide() -> None:
    for package in ("loadtests", "reports"):
        for path in (ROOT / package).glob("*.py"):
            if path.name not in ("__init__.py", "locustfile.py"):
                assert f"`{path.name}`" in CONTRIBUTING, path


def test_every_exit_code_is_in_the_readme() -> None:
    for code in Exit:
        assert re.search(rf"^\| {code.value} \| .+ \|$", README, re.MULTILINE), code


CONVERTING = (ROOT / "docs" / "converting.md").read_text(encoding="utf-8")
APPS_OF = {", sync": ["sync_app"], ", async": ["async_app"], ", both": ["sync_app", "async_app"], "": ["."]}
BLOCKS = re.findall(r"^`([\w/.]+)`(, \w+)?:\n\n```python\n(.*?)```", CONVERTING, re.MULTILINE | re.DOTALL)
SHOWN = [
    (str(Path(app, file)), line)
    for file, style, code in BLOCKS
    for app in APPS_OF[style]
    for line in code.splitlines()
]


@pytest.mark.parametrize(("path", "line"), SHOWN)
def test_every_line_of_the_conversion_stands_in_the_file_it_is_said_to(path: str, line: str) -> None:
    lines = [real.strip() for real in (ROOT / path).read_text(encoding="utf-8").splitlines()]
    assert line.strip() in lines


def test_the_conversion_shows_every_block_it_means_to() -> None:
    """A block that the test above overlooked would go stale unseen."""
    assert len(BLOCKS) == CONVERTING.count("```python") > 10


def test_the_python_example_of_the_readme_gives_a_run_verdicts_and_a_figure(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    lines = [line for line in code.splitlines() if line.strip() and "import" not in line]
    assert len(lines) <= 10
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "ping at 8 users" in done.stdout
    assert (tmp_path / "verdicts.png").read_bytes().startswith(b"\x89PNG")
    (run,) = (tmp_path / "runs").iterdir()
    assert RunDirectory(run).load().complete


def test_what_the_packages_name_is_there() -> None:
    for package in (loadtests, reports):
        for name in package.__all__:
            assert getattr(package, name) is not None
    with pytest.raises(AttributeError):
        loadtests.nothing_of_this_name  # noqa: B018  # asked for
