"""Plain technical English everywhere: help, reports, pages, docstrings, comments, messages.

DIALECT lists words that make readers stop and decode, with what to write instead; a failure names file and
line. The strings of the source are read as well, so that sentences which no rendered run shows are covered.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
import typer.main
from rich.console import Console
from typer.testing import CliRunner

import cli
from loadtests.errors import DuelError
from reports.conclusions import Conclusions
from reports.export import formats
from reports.render import html, markdown, terminal
from reports.render.summary import summary
from reports.wording.plans import plan_text
from tests import shapes
from tests.conftest import Known

ROOT = Path(__file__).parent.parent
FOLDERS = (
    ".github", "async_app", "benchmarks", "docs", "examples", "loadtests", "reports", "shared_models",
    "sync_app", "tests",
)  # fmt: skip
APP = typer.main.get_group(cli.app)

COUNTED = (
    r"(answers|arrivals|beats|bytes|calls|connections?|file|figures?|hops|lines?|ms|panel|µs|processes|requests?|"
    r"responses|rounds|row|s|scenario|tasks|tokens|trials|verdicts?|words?)"
)
PER = (
    r"(arm|arrival|call|case|cell|chart|endpoint|family|line|load|machine|minute|pair|request|round|route|row|"
    r"run|scenario|second|trial|user|word|worker)"
)

DIALECT: Mapping[str, str] = {
    # Persons, where no person is meant.
    r"somebody('s)?": "someone; or name the user, the owner, the process",
    r"nobody('s)?": "no one, nothing; or say what happens",
    r"anybody|everybody": "anyone, everyone; or name the requests, users, processes",
    r"who(so)?ever": "regardless of who or how many",
    r"who (is|are|was|were) (begun|loaded|started)": "children that are started",
    r"who (looks on|runs the other one|serves it)": "the observer, the owner",
    # Figures of speech.
    r"(an? )?glances?": "calibration, a short probe; a heading: Overview",
    r"sings?|singing": "runs, sends requests",
    r"deaf|hears|heard": "receives, accepts, is served",
    r"minds": "matters",
    r"the house": "the code base, the repository layout",
    r"the heart": "the heartbeat",
    r"(can|could|may|cannot) be told|told (of|beside)|tells? of|as .{0,20} tells it": "reported, known",
    r"at hand": "current, existing, given",
    r"worth the name": "realistic",
    r"cries wolf": "gives false alarms",
    r"lives? to see": "negligible",
    r"own like": "of the same kind",
    r"fault of ours": "bug in duel",
    # Verbs that are not the field's.
    r"begun": "started",
    r"anew": "again, new",
    r"(go|goes|going|went|gone) on": "continue",
    r"carr(y|ies|ied|ying) (it |them )?(on|through)": "continue, complete",
    r"(tak(e|es|en|ing)|took) up": "accept",
    r"(stands?|standing|stood) (still|there|before|behind|beside|around|among|between|outside)": "is; stalls",
    r"what stands|where it stands|usually stands": "what is, where it is",
    r"(differences?|regressions?|those|they|them) (\w+ )?(that )?stand": "are significant",
    r"stands? (when|among many|there twice)": "is significant; duplicate",
    r"lies? (across|below|beyond|far|outside)|where it lies": "is",
    r"said nothing|says nothing (for|itself)|(where )?nothing is said": "sent no message; by default",
    r"refused to go": "lost, failed",
    r"knows? nothing of": "does not depend on, has no",
    r"asks? nothing of": "sends no request to",
    r"speaks? of": "refers to",
    r"errs? (with a probability|as often)|err as often": "error rate",
    r"comes? to(?=[.,:;])|come to together": "result, conclusion",
    r"looks? on": "observes",
    r"(leave|leaves|left) (its |their )?work behind|work (that is )?left behind": "background tasks pile up",
    r"found out": "detected",
    r"two looks": "polling interval",
    r"servers? told|is confirmed by what": "was observed; no bottleneck identified",
    r"(is|are) not whole|stays? whole": "incomplete, complete",
    # Prepositions, adverbs and quantities.
    r"surely": "significantly, or omit it",
    r"quicker|quickest": "faster, fastest",
    r"nor need": "and need not",
    r"part (by which|of (its|a|one|the generator's) core)": "fraction",
    r"last words": "last lines of its log",
    r"for people": "readable, formatted",
    r"in the place of": "instead of",
    r"but for": "except",
    r"as meant": "on purpose, as expected",
    r"as (far|many|much|often) as it may": "as often as allowed",
    r"so (many|much)(?! that)": "N, that many; or omit it",
    r"by turns": "alternating",
    r"turns? of (a|its|the) loop|in every turn": "iteration of the loop",
    r"(time|time that was given) is over": "time is up",
    r"the (gravest|dearest)": "the most severe, the most expensive",
    r"the unlucky": "the slowest requests",
    r"(most|least) (attempts|levels?|looks|rounds|time|users|waiting|warm-up|window)": "maximum, minimum",
    r"nine in ten|\d+ in (10|100)|one arrival in a hundred": "p90, p95, p99",
    r"ten per cent|per cent more": "10%",
    r"and not among": "after Holm correction",
    r"servers? that (already )?(run|runs|ran)|(run|runs|ran) already": "a running server",
    r"(asks? for|asked for) (capacity|latency)": "measures",
    rf"{COUNTED} an? {PER}": "per",
}
"""Whole words as regular expressions, with what to write instead. A space matches any white space."""


def whole_words(words: str) -> re.Pattern[str]:
    """A key of DIALECT, compiled."""
    spaced = words.replace(" ", r"\s+")
    return re.compile(rf"(?<![\w-])(?:{spaced})(?![\w-])", re.IGNORECASE)


PATTERNS = {whole_words(words): better for words, better in DIALECT.items()}
ANY = whole_words("|".join(DIALECT))
"""All of them at once: one search where there is nothing to find, as almost everywhere."""

EXEMPT: Mapping[tuple[str, str], str] = {}
"""Phrases that stay, by file and phrase in lower case, each with its reason."""

Place = tuple[int, str]
"""A line, and the text that begins there."""


def findings(name: str, places: Iterable[Place]) -> list[str]:
    """The dialect in texts of a file: `file:line: 'phrase': better`."""
    return [
        f"{name}:{line + text.count(chr(10), 0, match.start())}: {' '.join(match[0].split())!r}: {better}"
        for line, text in places
        if ANY.search(text)
        for pattern, better in PATTERNS.items()
        for match in pattern.finditer(text)
        if (name, match[0].lower()) not in EXEMPT
    ]


def places(path: Path) -> Iterator[Place]:
    """Every string and comment of a Python file, docstrings among them; any other file as one text."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, source
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            # The line breaks of a string on one line are escaped ones.
            one_line = node.end_lineno == node.lineno
            yield node.lineno, node.value.replace("\n", " ") if one_line else node.value
    # Tokens take most of the time, and are not needed where nothing is found to the right of any "#".
    if not any(ANY.search(line.partition("#")[2]) for line in source.splitlines()):
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def written_files() -> list[str]:
    """Source, pages, templates and configuration, by path from the root; not this file, which lists the
    dialect."""
    kinds = {".css", ".html", ".js", ".md", ".py", ".toml", ".yml"}
    tops = [ROOT / name for name in FOLDERS]
    paths = [path for top in tops for path in top.rglob("*") if path.suffix in kinds]
    paths += [path for path in ROOT.iterdir() if path.suffix in kinds or path.name == "Makefile"]
    names = {str(path.relative_to(ROOT)) for path in paths}
    return sorted(names - {"tests/test_language.py"})


@pytest.mark.parametrize("folder", ["", *FOLDERS])
def test_every_file_of_a_folder_is_written_in_plain_english(folder: str) -> None:
    """Not a test per file: of hundreds, being counted and reported would take most of the time."""
    names = [name for name in written_files() if name.rpartition("/")[0].partition("/")[0] == folder]
    assert names
    dialect = [line for name in names for line in findings(name, places(ROOT / name))]
    assert not dialect, "\n".join(dialect)


@pytest.mark.parametrize("verb", ["", *APP.commands])
def test_a_help_page_is_written_in_plain_english(verb: str) -> None:
    # So wide that no sentence is broken, which would hide a phrase.
    shown = CliRunner().invoke(cli.app, [*verb.split(), "--help"], env={"COLUMNS": "1000"})
    assert shown.exit_code == 0
    assert f"Usage: duel {verb}" in shown.output
    dialect = findings(f"duel {verb} --help", [(1, shown.output)])
    assert not dialect, "\n".join(dialect)


def outputs(conclusions: Conclusions) -> Iterator[tuple[str, str]]:
    """Everything that a run is shown as, by name."""
    console = Console(file=io.StringIO(), width=1000)
    terminal.show(console, conclusions)
    assert isinstance(console.file, io.StringIO)
    yield "terminal", console.file.getvalue()
    yield "report.md", markdown.report(conclusions)
    yield "report.html", html.page(conclusions, [], summary(conclusions))
    yield "plan", plan_text(conclusions.run.plan)
    for format in formats.FORMATS:
        # Some runs cannot be written in some formats; the message that says so is output, too.
        try:
            yield format, formats.write(format, conclusions)
        except DuelError as error:
            yield format, f"{error} {error.cause} {error.hint}"


LAYOUT_ONLY = {
    "one cell", "every endpoint", "three arms, many cells", "many curves", "long names", "long names, curves",
}  # fmt: skip
"""Shapes whose reports differ from the others' in size and names, and have no sentence of their own."""


@pytest.mark.parametrize("shape", sorted(set(shapes.SHAPES) - LAYOUT_ONLY))
def test_a_report_is_written_in_plain_english(shape: str, known: Known) -> None:
    shown = list(outputs(known[shape]))
    # Annotations are of failures alone.
    assert {name for name, text in shown if not text} <= {"github-annotations"}
    dialect = [line for name, text in shown for line in findings(f"{name} of {shape}", [(1, text)])]
    assert not dialect, "\n".join(dialect)


DIALECT_AND_PLAIN = [
    ("Who is begun meanwhile never hears Ctrl-C", "Block SIGINT/SIGHUP in children started here"),
    ("Arrivals a second, whoever still waits: for latency", "Open-loop arrival rate per second"),
    ("Least window of a trial", "Minimum measurement window"),
    ("Most rounds (to 20)", "Maximum rounds (≤ 20); disables the profile's time limit"),
    ("Ask who runs the other one", "Only with the owner's permission"),
    ("a glance at sync under one user", "calibrating sync with 1 and 40 users"),
    ("leaves work behind", "background tasks pile up: +12 unfinished per 100 responses"),
    ("worse by itself, and not among 7 cells", "not significant after Holm correction (7 cells)"),
    ("errs with a probability of 5% at most", "Error rate per verdict ≤ 5%"),
    ("a key stands there twice", "duplicate key"),
    ("the server refused to go on", "lost the database server"),
    ("Sing on connections that a server has taken up", "Start once idle connections are accepted"),
    ("The house", "Repository layout"),
    ("this is a fault of ours", "bug in duel"),
    ("8 in 10 requests", "p10 to p90 span a factor of 100"),
]


@pytest.mark.parametrize(("dialect", "plain"), DIALECT_AND_PLAIN)
def test_the_dialect_is_found_and_plain_english_is_not(dialect: str, plain: str) -> None:
    assert findings("", [(1, dialect)])
    assert findings("", [(1, plain)]) == []


def test_a_finding_names_its_line_also_across_a_line_break() -> None:
    (finding,) = findings("page.md", [(4, "The first line.\nThe second goes\non for long.")])
    assert finding == "page.md:5: 'goes on': continue"


def test_an_exemption_is_used_and_has_a_reason() -> None:
    for (name, phrase), reason in EXEMPT.items():
        text = (ROOT / name).read_text(encoding="utf-8").lower()
        assert re.search(re.escape(phrase).replace(r"\ ", r"\s+"), text), (name, phrase)
        assert reason
