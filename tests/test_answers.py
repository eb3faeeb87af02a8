"""Arms that do different work: found before load by what their users get."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests.measure.answers.differences import ALWAYS, BY_CHANCE, AnswerSeen, differences, fisher
from loadtests.measure.answers.inquiries import Asked
from loadtests.measure.answers.inquiries import check as answer_check
from loadtests.records.answers import AnswerCheck, AnswerDifference
from reports.advice.caveats import AnswersByOrder, caveats
from reports.wording.advice.caveats import caveat_text
from tests import scripted
from tests.conftest import APPS
from tests.scripted import Scripted

LOAD = APPS / "answering_load.py"
ARTICLE = {"id": 1, "title": "On waiting", "tags": ["a", "b"], "author": {"name": "Ada"}}


def answers(*bodies: Any, **changes: Any) -> list[AnswerSeen]:
    """An answer to `GET /items/7` per body: JSON unless it is text."""
    found = []
    for number, body in enumerate(bodies):
        text = body if isinstance(body, str) else json.dumps(body)
        usual = {
            "endpoint": "read", "method": "GET", "path": "/items/7", "visit": number, "status": 200,
            "kind": "text/html" if isinstance(body, str) else "application/json", "encoding": "",
            "redirects": (), "size": len(text), "digest": text, "text": text,
        }  # fmt: skip
        found.append(AnswerSeen(**{**usual, **changes}))
    return found


def compared(ours: Sequence[AnswerSeen], theirs: Sequence[AnswerSeen]) -> list[AnswerDifference]:
    return differences("Reader", "before", "after", ours, theirs)


def kinds(ours: Sequence[AnswerSeen], theirs: Sequence[AnswerSeen]) -> list[str]:
    """The kinds of difference, which are the same in both directions."""
    found: list[str] = [one.kind for one in compared(ours, theirs)]
    assert [one.kind for one in compared(theirs, ours)] == found
    return found


def with_fields(**fields: Any) -> dict[str, Any]:
    return {**ARTICLE, **fields}


def twelve(make: Callable[[int], Any]) -> list[AnswerSeen]:
    return answers(*map(make, range(12)))


def test_answers_that_are_equal_do_not_differ() -> None:
    assert kinds(twelve(lambda _: ARTICLE), twelve(lambda _: ARTICLE)) == []


@pytest.mark.parametrize("n", [6, 12])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": "the database is down"}, "shape"),
        (
            {**{key: value for key, value in ARTICLE.items() if key != "title"}, "label": "On waiting"},
            "shape",
        ),
        (with_fields(author=None), "shape"),
        (with_fields(author={"name": 3}), "shape"),
        (with_fields(tags=[]), "shape"),
        (with_fields(title="On computing"), "value"),
        ([ARTICLE], "shape"),
    ],
    ids=["an error", "another key", "null", "another type within", "an empty list", "a value", "a list"],
)
def test_other_json_is_a_difference(n: int, body: Any, kind: str) -> None:
    assert kinds(answers(*[ARTICLE] * n), answers(*[body] * n)) == [kind]


def test_a_difference_names_what_each_arm_has() -> None:
    """The fields of a missing object are not listed beside it."""
    (found,) = compared(answers(*[ARTICLE] * 6), answers(*[{"error": "no"}] * 6))
    assert found.reference_has == ("author: object", "id: number", "tags: list", "title: text")
    assert found.arm_has == ("error: text",)
    assert found.request == "GET /items/7"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"status": 404}, "status"),
        ({"redirects": ("307 /light",)}, "redirect"),
        ({"kind": "text/plain"}, "content-type"),
        ({"encoding": "gzip"}, "encoding"),
    ],
)
def test_another_head_is_a_difference(changes: dict[str, Any], kind: str) -> None:
    assert kind in kinds(answers("x", "x"), answers("x", "x", **changes))


def test_a_page_that_is_always_another_one_is_a_difference() -> None:
    assert kinds(answers("<p>one", "<p>one"), answers("<p>two", "<p>two")) == ["body"]


def test_what_an_arm_answers_differently_each_time_is_not_compared() -> None:
    """Identifiers, times, fields that are there sometimes, and keys that are identifiers."""
    random = np.random.default_rng(1)

    def changing(number: int) -> Any:
        note = {"note": "sometimes"} if random.random() < 0.5 else {}
        # Seconds since 1970, of which 1 ms is a part in 10^12.
        moment = 1_795_642_053.0 + number / 1000 + random.random() / 1000
        key = f"k{random.integers(10**9)}"
        return with_fields(id=int(random.integers(10**9)), at=moment, **note, **{key: 1})

    assert kinds(twelve(changing), twelve(changing)) == []


def test_pages_of_random_length_are_alike_and_of_another_length_are_not() -> None:
    random = np.random.default_rng(2)

    def page(_: int, scale: float = 1.0) -> str:
        return "x" * int(scale * 10 ** random.uniform(2, 3))

    assert kinds(twelve(page), twelve(page)) == []
    assert kinds(twelve(page), twelve(partial(page, scale=100.0))) == ["size"]


def test_an_arm_that_answers_half_of_its_requests_otherwise_differs() -> None:
    """Only by chance could 24 answers of one arm all be what 12 of 24 of the other are."""
    half = answers(*[ARTICLE] * 12, *[{"error": "busy"}] * 12)
    (found,) = compared(answers(*[ARTICLE] * 24), half)
    assert (found.kind, found.arm_has, found.arm_part) == ("shape", ("error: text",), 0.5)


def test_few_answers_to_requests_that_differ_are_not_compared() -> None:
    """A scenario whose requests are not seeded: each article has its own category."""
    ours = [*answers({"kind": "pen"}, path="/items/1"), *answers({"kind": "pen"}, path="/items/2")]
    theirs = [
        *answers({"kind": "ink"}, path="/items/3"),
        *answers({"kind": "ink", "sold": 1}, path="/items/4"),
    ]
    assert kinds(ours, theirs) == []
    assert kinds(ours * 3, [*theirs * 3]) == []
    # The slower arm had no time for the second one.
    both = [*answers({"error": "no"}, path="/items/1"), *answers({"error": "no"}, path="/items/2")]
    assert kinds(ours[:1] * 6, both * 3) == ["shape"]
    assert kinds(ours * 3, [*answers({"error": "no"}, path="/items/3")] * 6) == ["shape"]


@pytest.mark.parametrize(("n", "certain", "found"), [(2, ALWAYS, 1), (5, BY_CHANCE, 0), (6, BY_CHANCE, 1)])
def test_an_optional_field_tells_arms_apart_only_beyond_chance(n: int, certain: float, found: int) -> None:
    """It may be in all answers of one arm and in none of the other's: on that, arms are asked again."""
    sides = answers(*[with_fields(note="x")] * n), answers(*[ARTICLE] * n)
    assert len(differences("Reader", "before", "after", *sides, certain)) == found
    # A status is no optional field.
    teapots = answers(*[ARTICLE] * 2, status=418)
    assert [one.kind for one in compared(answers(*[ARTICLE] * 2), teapots)] == ["status"]


def test_one_answer_of_each_arm_tells_nothing() -> None:
    assert kinds(answers(ARTICLE), answers({"error": "no"})) == []


def test_fishers_exact_test_is_the_known_one() -> None:
    """The lady tasting tea: 3 of 4 against 1 of 4."""
    assert fisher((3, 4), (1, 4)) == pytest.approx(34 / 70)
    assert fisher((2, 4), (2, 4)) == pytest.approx(1.0)


def test_a_deep_or_broken_body_does_not_stop_the_comparison() -> None:
    deep = "[" * 100_000
    assert kinds(answers(*["{" + deep] * 2), answers(*["{" + deep] * 2)) == []
    nested = json.loads("[" * 200 + "]" * 200)
    assert kinds(answers(nested, nested), answers(nested, nested)) == []


@pytest.mark.parametrize(
    ("crowds", "kinds"), [("both", []), ("second", []), ("second, and an error", ["shape"])]
)
def test_a_value_of_one_server_alone_is_no_difference(crowds: str, kinds: list[str]) -> None:
    """A process has the same number in all of its answers: only a second server shows that it is no value of
    the app's. On a slow machine, or from an app that sheds load, the crowd may have answers of one only."""
    servers = []
    for number in (1, 2):
        asked = Asked()
        for arm in ("sync", "async"):
            seen = answers(*[with_fields(process=f"{arm} {number}")] * 6)
            erring = arm == "async" and "error" in crowds
            asked.alone[arm] = {"ping": seen}
            in_crowd = answers(*[{"error": "busy"}] * 6) if erring else seen
            asked.crowd[arm] = {"ping": in_crowd if number == 2 or crowds == "both" else []}
        servers.append(asked)
    found = answer_check(scripted.plan(), *servers)
    assert [one.kind for one in found.differences] == kinds


def test_a_value_of_the_request_that_one_server_alone_was_asked_is_no_difference() -> None:
    """Unlike others of its endpoint: users who draw what they request reach different items."""
    servers = []
    for number in (1, 2):
        asked = Asked()
        for arm in ("sync", "async"):
            process = with_fields(process=f"{arm} {number}")
            asked.alone[arm] = {
                "ping": [*answers(process, process), *answers(process, process, path=f"/items/{number}")]
            }
            asked.crowd[arm] = {"ping": []}
        servers.append(asked)
    assert answer_check(scripted.plan(), *servers).differences == ()


def chance(random: np.random.Generator) -> AnswerCheck:
    """What is said of two equal arms with fields that half of their answers have, and pages of any length,
    where all servers are so slow that a user alone gets two answers."""
    servers = []
    for visits, crowd in ((2, 16), (2, 16)):
        asked = Asked()
        for arm in ("sync", "async"):
            for part, count in ((asked.alone, visits), (asked.crowd, crowd)):
                optional = random.random((count, 5)) < 0.5
                articles = [with_fields(**{f"f{n}": 1 for n in np.flatnonzero(row)}) for row in optional]
                pages = ["x" * int(10 ** random.uniform(2, 4.5)) for _ in range(count)]
                part[arm] = {"ping": [*answers(*articles), *answers(*pages, endpoint="page")]}
        servers.append(asked)
    return answer_check(scripted.plan(), *servers)


def test_of_equal_arms_with_random_fields_and_lengths_hardly_any_differ_by_chance() -> None:
    """One comparison in 26 found a difference."""
    random = np.random.default_rng(5)
    assert sum(bool(chance(random).differences) for _ in range(100)) <= 1


def statuses(*of: int) -> list[AnswerSeen]:
    """Answers to `POST /players` with these statuses, the same bodies with each."""
    return [
        one
        for status in of
        for one in answers({"said": str(status)}, method="POST", path="/players", status=status)
    ]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        # Names are sent twice; who is asked later finds all of them taken.
        (([201, 409] + [201] * 12, [409] * 14), ([409] * 14, [409] * 10 + [201] * 2), []),
        # Only the second servers create anything, since these have more time.
        (([201, 409] + [201] * 12, [409] * 13), ([409] * 16, [409] * 14), []),
        # A `PUT` creates, or replaces.
        (([201] * 4, [200] * 4), ([200] * 4, [201] * 4), []),
        # An arm that refuses everything, in either order; one that sheds half of its requests.
        (([201] * 3, [409] * 3), ([201] * 4, [409] * 4), ["status"]),
        (([200] * 14, [503, 200] * 7), ([200] * 14, [503, 200] * 7), ["status"]),
        # The second servers could not be asked.
        (([201] * 6, [409] * 6), ([], []), ["status"]),
    ],
)
def test_arms_that_answer_by_who_was_asked_first_share_state_and_do_not_differ(
    first: tuple[list[int], list[int]], second: tuple[list[int], list[int]], found: list[str]
) -> None:
    servers = []
    for sides in (first, second):
        asked = Asked()
        for arm, side in zip(("sync", "async"), sides, strict=True):
            asked.alone[arm], asked.crowd[arm] = {"ping": statuses(*side)}, {"ping": []}
        servers.append(asked)
    check = answer_check(scripted.plan(), *servers)
    assert [one.kind for one in check.differences] == found
    assert check.by_order == check.not_compared == (() if found else ("ping: read",))


def test_arms_that_share_state_are_said_to(tmp_path: Path) -> None:
    run, _ = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted(requests=100))
    check = AnswerCheck(requests=4, endpoints=(), by_order=("ping: read",))
    (said,) = [
        caveat_text(one)
        for one in caveats(run.model_copy(update={"answers": check}), [])
        if isinstance(one, AnswersByOrder)
    ]
    assert said.startswith("ping: read: the arm that is asked first answers one way")
    assert "--before-trial" in said


def test_a_value_that_the_second_server_was_not_asked_for_is_not_called_alike() -> None:
    """Task sets choose by chance, and have limited time: a rare endpoint may be reached once only."""
    first, again = Asked(), Asked()
    for arm, price in (("sync", 10), ("async", 99)):
        first.alone[arm] = {"ping": answers(*[with_fields(price=price)] * 4)}
        again.alone[arm] = {"ping": answers(*[ARTICLE] * 4, endpoint="other")}
        for asked in (first, again):
            asked.crowd[arm] = {"ping": []}
    found = answer_check(scripted.plan(), first, again)
    assert (found.differences, found.not_compared) == ((), ("ping: read",))
    assert found.endpoints == ("ping: other",)
