"""Answers that have no end, are huge, or never come: a bounded time and number of bytes are read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loadtests.errors import ArmsDiffer
from loadtests.measure.answers import equality
from loadtests.measure.answers.equality import Reply, check_equal
from loadtests.measure.answers.published import published_questions
from loadtests.measure.answers.questions import Question
from loadtests.records import Compared
from loadtests.serving.environment import ServingEnvironment
from reports.wording.plans import equality_lines
from tests.serving import app

LISTED = ("GET /video", "GET /silent", "GET /archive", "GET /snapshot")


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equality, "PATIENCE", 3.0)
        patch.setattr(equality, "LONGEST_BODY", 0.15)
        patch.setattr(equality, "MOST_BYTES", 10_000)
        yield


def test_endless_huge_and_missing_answers_are_compared_as_far_as_possible(
    environment: ServingEnvironment,
) -> None:
    """And what was not read is said."""
    asked = published_questions(app("app", "streaming"), environment)
    assert [str(question) for question in asked.questions] == list(LISTED)
    assert asked.unanswered == ("GET /wait",)
    arms = [app("app", "streaming"), app("app", "streaming").model_copy(update={"name": "again"})]
    compared = check_equal(arms, environment, asked.questions)
    # The video has no end: time or its size cuts it, whichever comes first.
    by_size = "GET /video" in compared.beginnings
    heads = ("GET /silent",) if by_size else ("GET /silent", "GET /video")
    beginnings = ("GET /archive", "GET /video") if by_size else ("GET /archive",)
    assert compared == Compared(requests=4, heads=heads, beginnings=beginnings)


def test_streams_with_other_headers_are_not_equal(environment: ServingEnvironment) -> None:
    arms = [app("app", "streaming"), app("other", "streaming")]
    with pytest.raises(ArmsDiffer, match="answer GET /video differently") as caught:
        check_equal(arms, environment, [Question("GET", "/video")])
    assert "video/mp4" in caught.value.cause


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (Reply(200, (), b"a"), Reply(200, (), b"a"), True),
        (Reply(200, (), b"a"), Reply(200, (), b"b"), False),
        # One of the two ended just in time.
        (Reply(200, (), b"a"), Reply(200, (), b"", "head"), True),
        (Reply(404, (), b""), Reply(200, (), b"", "head"), False),
        (Reply(200, (), b"a", "first-bytes"), Reply(200, (), b"b", "first-bytes"), False),
        (Reply(200, (), b"a"), equality.NOTHING, False),
    ],
)
def test_replies_are_equal_as_far_as_both_were_read(one: Reply, other: Reply, equal: bool) -> None:
    assert one.equals(other) == other.equals(one) == equal


def test_what_was_not_read_is_said_in_words() -> None:
    compared = Compared(requests=4, heads=("GET /video",), unanswered=("GET /wait",))
    said = "\n".join(equality_lines(["a", "b"], compared))
    assert equality_lines(["a"], compared)[0] == "a answers 4 requests"
    assert "a and b give the same answers to 4 requests" in said
    assert "GET /video: compared by status and headers alone" in said
    assert "GET /wait: left out: not answered in time" in said
    assert "MiB" not in said
    assert "no OpenAPI document" in equality_lines(["a"], Compared(requests=0))[0]
    first, left_out = equality_lines(["a"], Compared(requests=0, unsteady=("GET /now",)))
    assert first == "a starts; its answers were not compared"
    assert left_out.startswith("  GET /now: left out")
