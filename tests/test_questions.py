"""docs/questions.md: an answer is printed beside figures that it rests on, until its run is renewed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.asked import QUESTIONS, Topic
from benchmarks.questions import MEASURED, PAGE, Contradicted, anchor, figures, page
from tests.conftest import Known

ASKED = Topic(
    title="Is it faster?",
    words="I have read that it is.",
    run="seen",
    command="duel run -s ping",
    scenarios=("ping",),
    answer="It is.",
    unless="Never.",
    rests_on={("ping@64", "async"): ("faster",)},
)


def test_an_answer_stands_beside_its_figures_and_its_command(known: Known) -> None:
    text = page([ASKED], {"seen": known["one cell"]}, {})
    assert "**It is.**" in text
    assert "| ping at 64 users | async | " in text
    assert "▲ ×1.40" in text
    (where,) = (line for line in text.splitlines() if line.startswith(MEASURED))
    assert known["one cell"].run.began[:10] in where
    assert text.index("**It is.**") < text.index("▲ ×1.40") < text.index("duel run -s ping")


def test_an_answer_that_a_run_contradicts_is_not_printed(known: Known) -> None:
    wrong = replace(ASKED, rests_on={("ping@64", "async"): ("slower",)})
    with pytest.raises(Contradicted, match=r"Is it faster\? ping@64 against async is faster, not slower"):
        page([wrong], {"seen": known["one cell"]}, {})


def test_figures_stay_until_the_run_of_their_question_is_given_again(known: Known) -> None:
    first = page([ASKED], {"seen": known["one cell"]}, {})
    again = page([replace(ASKED, answer="It is, by far.")], {}, figures(first))
    assert again == first.replace("It is.", "It is, by far.")


def test_the_page_is_of_these_questions() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(QUESTIONS, {}, figures(text)) == text


def test_a_question_without_figures_is_left_out(known: Known) -> None:
    text = page([ASKED, replace(ASKED, title="And then?", run="other")], {"seen": known["one cell"]}, {})
    assert "And then?" not in text


def test_every_question_has_an_address_of_its_own() -> None:
    assert len({anchor(one.title) for one in QUESTIONS}) == len(QUESTIONS)
