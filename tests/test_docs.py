"""The documents are correct: commands run, targets and files exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import loadtests
import reports
from benchmarks.readme import CELLS
from loadtests import RunDirectory
from loadtests.errors import Exit
from loadtests.measure import planning, rounds
from loadtests.measure.generator import known_scenarios
from loadtests.measure.runs import new_run
from loadtests.system.placement import cpus, place
from tests import scripted
from tests.brisk import count_every_trial
from tests.commands import brisk_here, chartless_here
from tests.scripted import Scripted

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


def duel_lines() -> list[str]:
    """Every `duel` command in a shell block of the documents, without its comment."""
    blocks = (re.findall(r"```sh\n(.*?)```", page.read_text(), flags=re.DOTALL) for page in PAGES)
    lines = {line.partition("#")[0].strip() for block in chain(*blocks) for line in block.splitlines()}
    return sorted(line for line in lines if line.startswith("duel "))


ELSEWHERE = {
    "selftest": "four minutes, and tests/test_selftest.py",
    "check": "tests/test_cli.py carries it out",
    "prove": "minutes of load; its parts are in tests/test_proving.py",
}
"""Verbs that are only parsed here, and why."""
WAYS = {0, 3}
"""Exit codes of a command that worked: 3 means that something is worse, or wrong."""


@pytest.fixture(scope="module")
def each_locustfile_read_once() -> Iterator[None]:
    """Most of the commands name the same file, and a process that has loaded Locust reads it."""
    read: dict[tuple[str, ...], Mapping[str, Any]] = {}

    def known(file: str, locust_args: Sequence[str]) -> Mapping[str, Any]:
        key = (str(Path(file).resolve()), *locust_args)
        if key not in read:
            read[key] = known_scenarios(file, locust_args)
        return read[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "known_scenarios", known)
        yield


@pytest.mark.parametrize("line", duel_lines())
def test_every_duel_command_of_the_documents_does_what_it_is_for(
    line: str, tmp_path: Path, each_locustfile_read_once: None
) -> None:
    """Measurements that take hours are dry runs; all else is executed, on runs with the documented names."""
    verb, *arguments = shlex.split(line)[1:]
    for name in re.findall(r"runs/([A-Z]+)", line):
        decided_run(tmp_path, name)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "shop").symlink_to(ROOT / "examples" / "shop")
    if "duel_users.py" in line:
        (tmp_path / "duel_users.py").symlink_to(ROOT / "examples" / "shop_load.py")
    if verb == "resume":
        done = brisk_here(verb, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return
    if verb in ("run", "capacity") and "--dry-run" not in arguments:
        arguments.append("--dry-run")
    if "--base-ref" in arguments:
        # Needs a repository that contains the app; HEAD is there in any clone.
        arguments += ["--app-dir", str(ROOT / "examples" if "shop" in line else ROOT), "--base-ref", "HEAD"]
    if verb in ELSEWHERE:
        arguments.append("--help")
    done = chartless_here(verb, *arguments, cwd=tmp_path)
    assert done.returncode in WAYS, done.stderr


def decided_run(parent: Path, name: str) -> None:
    """A decided run of this machine as `runs/NAME`, with fixed rounds so that it can be compared."""
    (parent / "runs").mkdir(exist_ok=True)
    plan = scripted.plan().model_copy(update={"max_rounds": 4})
    run, directory = scripted.run(
        parent / "runs", plan, lambda arm, *_: Scripted(400 if arm == "sync" else 800), id=name
    )
    machine = new_run(plan, place(cpus())).machine
    began = f"2026-01-0{1 + (name == 'HEAD')}T00:00:00+00:00"
    directory.save(run.model_copy(update={"machine": machine, "began": began}))
    directory.path.rename(parent / "runs" / name)


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?:`|^)make ([a-z-]+)", README + CONTRIBUTING, re.MULTILINE)))
)
def test_every_make_target_the_documents_name_exists(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_check_of_a_new_endpoint_finds_what_is_missing_in_the_catalogue() -> None:
    """Its scenario, its class and its route: each is held by a test of its own."""
    ((files, word),) = re.findall(r"-m pytest -q (tests/.*) -k (catalogue)\n", CONTRIBUTING)
    for file, name in (
        ("tests/test_serving.py", "test_the_catalogue_of_scenarios_is_the_one_the_configuration_knows"),
        (
            "tests/test_proving.py",
            "test_each_endpoint_of_the_catalogue_names_the_route_that_its_users_request",
        ),
    ):
        assert file in files.split()
        assert word in name
        assert f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8")


LINKS = re.compile(r"\]\((?!http)([^)#]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"")


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
    """Its table is the one `make readme` writes: one row per cell, with intervals and rounds."""
    section = README.partition("<!-- run:")[2].partition("<!-- /run -->")[0]
    row = r"^\| (\S+) at (\d+) users? \| .+ \| (×[\d.]+) \| [\d.]+–[\d.]+ \| \d+ \| \w+ \| .* \| .* \|$"
    rows = re.findall(row, section, re.MULTILINE)
    assert {f"{scenario}@{users}" for scenario, users, _ in rows} == {*CELLS}
    # The sentences above the table name its ratios.
    lead = README.partition("<!-- lead -->")[2].partition("<!-- /lead -->")[0]
    assert {*re.findall(r"×\d[\d.]*\d", lead)} <= {ratio for _, _, ratio in rows}
    assert len(re.findall(r"×", lead)) >= 5


def test_the_guide_names_every_package_and_no_other() -> None:
    rooms = {
        f"{path.parent.relative_to(ROOT)}/"
        for package in ("loadtests", "reports")
        for path in (ROOT / package).rglob("__init__.py")
    }
    named = set(re.findall(r"`((?:loadtests|reports)/(?:\w+/)*)`", CONTRIBUTING))
    assert rooms - named == set()
    assert {room for room in named if not (ROOT / room).is_dir()} == set()


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
def test_every_line_of_the_conversion_is_in_its_file(path: str, line: str) -> None:
    lines = [real.strip() for real in (ROOT / path).read_text(encoding="utf-8").splitlines()]
    assert line.strip() in lines


def test_the_conversion_shows_every_block() -> None:
    """A block that the test above missed would go stale unnoticed."""
    assert len(BLOCKS) == CONVERTING.count("```python") > 10


def test_the_python_example_of_the_readme_gives_a_run_verdicts_and_a_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], unprepared: None
) -> None:
    """It measures one round, regardless of the verdict."""
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    lines = [line for line in code.splitlines() if line.strip() and "import" not in line]
    assert len(lines) <= 10
    one, changes = re.subn(r"\brounds=\d+", "rounds=1", code)
    assert changes == 1
    monkeypatch.chdir(tmp_path)
    count_every_trial(monkeypatch.setattr)
    monkeypatch.setattr(rounds.Rounds, "fitting", lambda *_: [])
    exec(one, {"__name__": "__main__"})  # noqa: S102  # our own page
    assert "ping at 8 users" in capsys.readouterr().out
    assert (tmp_path / "verdicts.png").read_bytes().startswith(b"\x89PNG")
    (run,) = (tmp_path / "runs").iterdir()
    assert len(RunDirectory(run).load().trials) == 2


def test_every_module_of_ours_that_a_message_or_a_document_names_exists() -> None:
    """`loadtests.client.LeanUser` was named long after it had moved."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "reports").rglob("*.py"),
             *(ROOT / "loadtests").rglob("*.py"), *(ROOT / "examples").rglob("*")]  # fmt: skip
    texts = [page.read_text(encoding="utf-8") for page in pages if page.suffix in (".md", ".py")]
    named = {name for text in texts for name in re.findall(r"\b(?:loadtests|reports)(?:\.[a-z_]+)+", text)}
    assert named
    assert {name for name in named if not is_ours(name)} == set()


def is_ours(name: str) -> bool:
    """Whether a dotted name is a module, or a name defined in one."""
    path = ROOT / name.replace(".", "/")
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    home, _, last = name.rpartition(".")
    file = ROOT / home.replace(".", "/")
    file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
    return file.is_file() and re.search(rf"\b{last}\b", file.read_text(encoding="utf-8")) is not None


def test_every_name_the_packages_export_exists() -> None:
    for package in (loadtests, reports):
        for name in package.__all__:
            assert getattr(package, name) is not None
    with pytest.raises(AttributeError):
        loadtests.nothing_of_this_name  # noqa: B018  # access is the test
