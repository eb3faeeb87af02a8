"""What a tool that spawns servers and reads foreign files must not do, and hostile names in every output."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from io import StringIO

import pytest
from rich.console import Console

from loadtests.plan.fields import one_line
from loadtests.records.directory import RunDirectory
from reports.analysis.readings import Readings
from reports.conclusions import Conclusions, conclude
from reports.export import formats
from reports.render import html, markdown, report_directory, terminal
from tests import scripted
from tests.scripted import Scripted
from tests.test_architecture import modules

FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.loads", "pickle.load",
    "pickle.dumps", "marshal.loads", "shelve.open", "yaml.load", "yaml.unsafe_load", "tempfile.mktemp",
    "os.spawnl", "subprocess.getoutput", "subprocess.getstatusoutput", "random.SystemRandom",
}  # fmt: skip
WALL_CLOCKS = {
    "time.time", "datetime.now", "datetime.utcnow", "time.localtime", "date.today", "create_time",
}  # fmt: skip
WALL_CLOCK_ALLOWED = {
    "loadtests.load.lean.client", "loadtests.load.lean.websocket", "loadtests.measure.runs",
    "loadtests.measure.trials.underway", "loadtests.system.scratch",
}  # fmt: skip
"""Locust's event takes the wall clock time of a request; a run records its start; the boot time is subtracted
from a process's start time."""
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>\"'`|*_[a](javascript:b)"
    "\x1b]0;t\x07\x1b[31m\r\n::error::x\u202e"
)


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Every call in duel's packages: module, dotted name, node."""
    for name, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield name, ast.unparse(node.func), node


def test_nothing_is_unpickled_evaluated_or_run_by_a_shell() -> None:
    seen = 0
    for module, name, node in calls():
        seen += 1
        assert name not in FORBIDDEN, f"{module}: {name}"
        for word in node.keywords:
            literal = isinstance(word.value, ast.Constant) and bool(word.value.value)
            assert not (word.arg == "shell" and literal), f"{module}: a shell"
            assert not (word.arg == "allow_pickle" and literal), f"{module}: allow_pickle"
        if name.endswith(("np.load", "numpy.load")):
            assert any(word.arg == "allow_pickle" for word in node.keywords), module
    assert seen > 1_000


def test_measuring_uses_no_clock_that_can_be_set() -> None:
    """A jump of the wall clock must change nothing except a date."""
    found = {module for module, name, _ in calls() if any(name.endswith(clock) for clock in WALL_CLOCKS)}
    assert found == WALL_CLOCK_ALLOWED


@pytest.fixture(scope="module")
def conclusions(tmp_path_factory: pytest.TempPathFactory) -> Conclusions:
    """A run whose file has hostile names in every free-text name."""
    parent = tmp_path_factory.mktemp("hostile")

    def script(arm: str, cell: object, round: int) -> Scripted:
        return Scripted(requests=60, failures=3, endpoints=("a", "b"))

    _, directory = scripted.run(parent, scripted.plan(), script)
    path = directory.path / "run.json"
    content = json.loads(path.read_text())
    content["id"] = content["version"] = content["began"] = HOSTILE
    refusal = {"kind": "window-too-long", "needed": 26.0, "limit": 10.0, "trials": 8, "turns": 5}
    content["refused"] = {HOSTILE: refusal, "ping@64": refusal}
    content["machine"] |= {
        "cpu": HOSTILE,
        "system": HOSTILE,
        "python": HOSTILE,
        "packages": {HOSTILE: HOSTILE},
    }
    for arm in content["plan"]["arms"]:
        arm["app"] = f"m:{HOSTILE}"
        arm["revision"] = HOSTILE
    for trial in content["trials"]:
        trial["endpoints"] = [HOSTILE, f"b{HOSTILE}"]
        trial["errors"] = [HOSTILE]
        # A warning names a client that costs this much.
        trial["client"] = HOSTILE
        trial["resources"]["generator_cpu"] = 0.5 * trial["window"]
        trial["faults"] = [] if trial["round"] else [{"kind": "steal", "value": 0.5, "limit": 0.02}]
    path.write_text(json.dumps(content))
    again = RunDirectory(directory.path)
    return conclude(again.load(), Readings(again))


class Tags(HTMLParser):
    """The tags and attributes of a page, and its text except scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_hostile_names_are_text_in_the_page(conclusions: Conclusions) -> None:
    data = json.loads(report_directory.write(conclusions))
    text = (conclusions.readings.directory.report / "report.html").read_text()
    page = Tags()
    page.feed(text)
    assert not [tag for tag, attributes in page.tags if tag == "img" or "onerror" in attributes]
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    own = html.page(conclusions, [], data)
    assert len(scripts) == own.count("<script")
    assert len(scripts) == 2
    assert "javascript:" not in {str(attributes.get("href")) for _, attributes in page.tags}


@pytest.mark.parametrize("name", ["markdown", "comment", "github-summary"])
def test_hostile_names_are_text_in_markdown(conclusions: Conclusions, name: str) -> None:
    text = formats.write(name, conclusions)
    assert "<script" not in text.replace("\\<script", "")
    assert "<img" not in text.replace("\\<img", "")
    assert "[a](" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_hostile_names_send_no_terminal_escapes(conclusions: Conclusions) -> None:
    console = Console(file=StringIO(), width=120, color_system=None)
    terminal.show(console, conclusions)
    assert isinstance(console.file, StringIO)
    said = console.file.getvalue()
    assert "alert(1)" in said
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said)


@pytest.mark.parametrize("name", ["junit", "openmetrics", "github-annotations", "github-outputs"])
def test_hostile_names_stay_on_their_line(conclusions: Conclusions, name: str) -> None:
    text = formats.write(name, conclusions)
    assert "\x1b" not in text
    assert not any(line.startswith("::error::x") for line in text.splitlines())


def test_a_line_is_one_line_without_escape_sequences() -> None:
    line = one_line(HOSTILE)
    assert line.isprintable()
    assert "\n" not in line
    assert (
        one_line("posts.read at 64 users – ×1.27 µs ü 漢 🙂") == "posts.read at 64 users – ×1.27 µs ü 漢 🙂"
    )
    assert markdown.plain("a|b<c>") == "a\\|b\\<c\\>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`items[0].name` is `a*b` from sync", "`items[0].name` is `a*b` from sync"),
        ('`GET /a?b=1&c="d"`: *all*', '`GET /a?b=1&c="d"`: \\*all\\*'),
        ("`GET /<id>` is `x`", "\\`GET /\\<id\\>\\` is `x`"),
        # A table ends its cell at a bare one, in a code span as well.
        ("`a|b`", "`a\\|b`"),
        ("`x` and ` <i>", "`x` and \\` \\<i\\>"),
        ("`a\n\nb`", "`a  b`"),
    ],
)
def test_a_code_span_stays_one_in_markdown_and_all_else_is_text(text: str, shown: str) -> None:
    assert markdown.plain(text) == shown
