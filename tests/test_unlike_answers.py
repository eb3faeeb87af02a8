"""Arms that answered differently, before load or under it: how their run is judged and shown."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from rich.console import Console

import cli
from loadtests.errors import Exit
from loadtests.measure import runs
from loadtests.records.answers import AnswerCheck, AnswerDifference
from loadtests.records.run import Run
from reports.analysis.answers.differences import (
    SizesDiffer,
    StatusesDiffer,
    Unlike,
    other_sizes,
    other_status,
)
from reports.analysis.readings import Answers, Readings
from reports.analysis.verdicts import Verdict
from reports.conclusions import Conclusions, conclude, decided
from reports.exit_codes import exit_code, outcomes_of
from reports.export import formats
from reports.render import html, markdown, report_directory, terminal
from reports.render.summary import summary
from reports.wording.sentences import answers_text
from tests import scripted
from tests.commands import duel_here
from tests.scripted import Scripted


def judged(
    tmp_path: Path,
    before: Scripted,
    after: Scripted,
    *,
    asked: Sequence[AnswerDifference] | None = None,
    **changes: Any,
) -> Conclusions:
    """The conclusions of a run of two own arms; `asked`: what was seen before load."""
    plan = scripted.plan().model_copy(update=changes)
    run, directory = scripted.run(tmp_path, plan, lambda arm, *_: before if arm == "sync" else after)
    if asked is not None:
        check = AnswerCheck(requests=24, endpoints=("ping: ping",), differences=tuple(asked))
        run = run.model_copy(update={"answers": check})
    directory.save(run)
    return conclude(run, Readings(directory))


def only(conclusions: Conclusions) -> Verdict:
    (verdict,) = conclusions.primaries
    return verdict


def unlike(conclusions: Conclusions) -> list[Unlike]:
    return [one for one in only(conclusions).reservations if isinstance(one, Unlike)]


def sizes(seed: int, low: float, high: float) -> tuple[int, ...]:
    """Random sizes, from 10^low to 10^high bytes."""
    return tuple((10 ** np.random.default_rng(seed).uniform(low, high, 997)).astype(int).tolist())


NORMAL = Scripted(requests=1000)
FAST = 4000


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Scripted(requests=1000, sizes=(500,)), Scripted(requests=FAST, sizes=(520,))),
        (Scripted(requests=1000, sizes=sizes(1, 2, 4.5)), Scripted(requests=FAST, sizes=sizes(2, 2, 4.5))),
        (Scripted(requests=1000, sizes=(1023,)), Scripted(requests=FAST, sizes=(1025, 1024))),
        (Scripted(requests=1000, sizes=(2,)), Scripted(requests=FAST, sizes=(5,))),
        (
            Scripted(requests=1000, statuses=(200, 304, 200)),
            Scripted(requests=FAST, statuses=(304, 200, 200)),
        ),
    ],
    ids=["a few bytes", "random length", "around a power of two", "small numbers", "the same share of 304"],
)
def test_answers_of_one_kind_are_judged_as_ever(tmp_path: Path, before: Scripted, after: Scripted) -> None:
    found = judged(tmp_path, before, after)
    assert unlike(found) == []
    assert only(found).verdict == "faster"


@pytest.mark.parametrize(
    ("after", "kind", "part"),
    [
        (Scripted(requests=FAST, sizes=(2,)), SizesDiffer, 1.0),
        (Scripted(requests=FAST, sizes=(17, 2_000)), SizesDiffer, 0.5),
        (Scripted(requests=FAST, sizes=(*[17] * 19, 900)), SizesDiffer, 0.05),
        (Scripted(requests=FAST, statuses=(307,)), StatusesDiffer, 1.0),
        (Scripted(requests=FAST, statuses=(*[200] * 9, 204)), StatusesDiffer, 0.1),
    ],
    ids=["an error", "one of two", "one of twenty", "a redirect", "one of ten empty"],
)
def test_answers_of_another_kind_under_load_are_no_faster_work(
    tmp_path: Path, after: Scripted, kind: type[Unlike], part: float
) -> None:
    found = judged(tmp_path, Scripted(requests=1000, sizes=(170 if after.sizes == (2,) else 17,)), after)
    (one,) = unlike(found)
    assert isinstance(one, kind)
    match one:
        case SizesDiffer():
            share = one.part
        case StatusesDiffer():
            share = abs(one.arm_part - one.reference_part)
    assert share == pytest.approx(part, abs=0.01)
    assert only(found).verdict == "different"
    assert only(found).ratio is None


def test_equal_arms_with_random_sizes_and_statuses_are_not_called_different() -> None:
    """At most one in 1,000 endpoints, of which a large run has 100."""
    random = np.random.default_rng(16)

    def drawn(n: int) -> Answers:
        drawn_sizes = (10 ** random.uniform(1, 4, n)).astype(np.uint32)
        ok = int(random.binomial(n, 0.9))
        return Answers({200: ok, 304: n - ok}, *np.unique(drawn_sizes, return_counts=True))

    pairs = [(drawn(int(n)), drawn(int(4 * n))) for n in random.integers(30, 3000, 1000)]
    called = sum(other_sizes(*pair) is not None or other_status(*pair) is not None for pair in pairs)
    assert called <= 1


ASKED = AnswerDifference(
    kind="shape", scenario="ping", endpoint="ping", request="GET /ping", reference="sync", arm="async",
    reference_has=("title: text",), arm_has=("error: text",),
)  # fmt: skip
NO_ANSWER = ASKED.model_copy(
    update={"kind": "status", "reference_has": ("200",), "arm_has": ("500",), "endpoint": "ping"}
)


def rendered(found: Conclusions) -> Mapping[str, str]:
    """The report in every format."""
    console = Console(width=120, record=True, file=io.StringIO())
    terminal.show(console, found)
    return {
        "terminal": console.export_text(),
        "markdown": markdown.report(found),
        "page": html.page(found, [], summary(found)),
        "json": json.dumps(summary(found)),
    }


FIRST_VERDICT = {
    "terminal": "ping at 64 users: ", "markdown": "# Verdicts", "page": 'id="verdicts"', "json": '"verdicts"',
}  # fmt: skip


@pytest.mark.parametrize("format", list(FIRST_VERDICT))
def test_differences_stand_first_and_no_arm_is_advised(tmp_path: Path, format: str) -> None:
    found = judged(tmp_path, NORMAL, Scripted(requests=15_000), asked=[ASKED])
    text = rendered(found)[format]
    assert 0 <= text.index("error: text") < text.index(FIRST_VERDICT[format])
    (card,) = found.cards
    assert card.advice.kind == "not-comparable"
    assert "×15" not in text
    assert "ahead" not in text.replace("async is ahead in 0, sync in 0", "")


def test_every_export_and_chart_shows_such_a_run(tmp_path: Path) -> None:
    found = judged(tmp_path, NORMAL, Scripted(requests=15_000), asked=[ASKED])
    report_directory.write(found)
    assert (found.readings.directory.report / "report.html").stat().st_size
    for format in set(formats.FORMATS) - {"baseline"}:
        assert "15.0" not in formats.write(format, found)
    assert "<skipped" in formats.write("junit", found)


def test_a_difference_settles_a_cell_and_leaves_with_0_or_strictly_with_4(tmp_path: Path) -> None:
    found = judged(tmp_path, NORMAL, Scripted(requests=15_000), asked=[ASKED])
    assert decided(found.run, found.readings) == set(found.run.plan.cells)
    assert exit_code(outcomes_of(found)) is Exit.DONE
    assert exit_code(outcomes_of(found), strict=True) is Exit.INCONCLUSIVE


@pytest.mark.parametrize("format", list(FIRST_VERDICT))
def test_accepted_differences_are_still_shown_first_and_the_verdict_is_given(
    tmp_path: Path, format: str
) -> None:
    found = judged(tmp_path, NORMAL, Scripted(requests=15_000), asked=[ASKED], answers="differ")
    text = rendered(found)[format]
    assert 0 <= text.index("error: text") < text.index(FIRST_VERDICT[format])
    assert only(found).verdict == "faster"
    assert found.cards[0].advice.name == "async def"


def test_a_run_can_be_accepted_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_directory, "charts", lambda _: ())
    judged(tmp_path, NORMAL, Scripted(requests=15_000), asked=[ASKED])
    refused = duel_here("report", "scripted", cwd=tmp_path)
    accepted = duel_here("report", "scripted", "--answers", "differ", cwd=tmp_path)
    assert (refused.returncode, accepted.returncode) == (0, 0)
    assert "×15" not in refused.stdout
    assert "×15" in accepted.stdout


def test_a_run_that_is_resumed_can_be_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cell is open again."""
    before, after = Scripted(requests=1000), Scripted(requests=1050)
    found = judged(tmp_path, before, after, asked=[ASKED])
    seen: list[str] = []

    def stopped(started: tuple[Run, Any], *_: Any) -> None:
        seen.append(started[0].plan.answers)
        raise typer.Exit

    monkeypatch.setattr(cli, "carry_on", stopped)
    monkeypatch.setattr(runs, "resume", lambda *_: (found.run, found.readings.directory))
    duel_here("resume", "scripted", cwd=tmp_path)
    duel_here("resume", "scripted", "--answers", "differ", cwd=tmp_path)
    assert seen == ["alike", "differ"]


def test_a_gate_says_that_answers_changed_and_judges_the_change(tmp_path: Path) -> None:
    """A change may answer differently from its base."""
    found = judged(tmp_path, NORMAL, Scripted(requests=500), asked=[ASKED], gate=True)
    text = rendered(found)["terminal"]
    assert text.index("Base and head answer differently") < text.index("gate breached")
    assert found.outcomes == ("regression",)


def test_an_arm_that_fails_is_failing_and_not_different(tmp_path: Path) -> None:
    """Its answers are errors: that is the finding. The other arm's answers stand for themselves."""
    failing = Scripted(requests=4000, failures=4000)
    found = judged(tmp_path, NORMAL, failing, asked=[NO_ANSWER, ASKED])
    assert only(found).verdict == "failing"
    assert found.cards[0].advice.name == "def"
    assert unlike(found) == []
    assert not [form for form, text in rendered(found).items() if "answer differently" in text]
    # The failing arm is the honest one here: the other does other work.
    shed = Scripted(requests=1000, failures=50)
    (other,) = judged(tmp_path / "other", shed, Scripted(requests=4000), asked=[ASKED]).cards
    assert other.advice.kind == "not-comparable"


def test_a_run_without_a_comparison_says_so(tmp_path: Path) -> None:
    found = judged(tmp_path, NORMAL, NORMAL)
    assert answers_text(found.run) == "not compared"
    alike = judged(tmp_path / "alike", NORMAL, NORMAL, asked=[])
    assert answers_text(alike.run) == "answers alike, in 1 endpoint of the scenarios"
    assert "answer differently" not in rendered(alike)["terminal"]


def test_a_wrong_setting_is_one_clear_error(tmp_path: Path) -> None:
    done = duel_here("run", "--answers", "maybe", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert "--answers" in done.stderr


def test_paths_without_names_are_compared_together(tmp_path: Path) -> None:
    """Each path is requested a few times only."""
    paths = tuple(f"/items/{number}" for number in range(200))
    before = Scripted(requests=1000, endpoints=paths)
    found = judged(tmp_path, before, Scripted(requests=8000, endpoints=paths, sizes=(400,)))
    (one,) = unlike(found)
    assert isinstance(one, SizesDiffer)
    assert one.endpoint == ""


def test_a_gates_comment_and_annotations_show_changed_answers_before_its_cases(tmp_path: Path) -> None:
    found = judged(tmp_path, NORMAL, Scripted(requests=15_000), asked=[ASKED], gate=True)
    comment, annotations = formats.write("comment", found), formats.write("github-annotations", found)
    assert comment.index("error: text") < comment.index("<details>")
    assert annotations.startswith("::warning title=answers differ::")
