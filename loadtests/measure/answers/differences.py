"""Answers of two arms → how they differ. Pure.

An answer is a set of facts: its status, its content type, every field of its JSON body with its type. A fact
tells two arms apart where one arm's answers always have it and the other's never do, or where their shares
differ beyond chance. What an arm itself answers differently from request to request, such as an identifier or
a time, can do neither.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from loadtests.records.answers import SIZE_FACTOR, SIZE_SLACK, AnswerDifference, DifferenceKind

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods after which the same request may be expected to get the same answer."""

ENOUGH = 5
"""Answers of each arm from which on those to different requests are compared: fewer may differ by chance."""

LEAST_ANSWERS = 2
"""Answers of each arm from which on those to the same requests are compared."""

UNLIKELY = 0.0001
"""p-value below which a difference between two shares is not chance: an app may have a hundred fields that
some of its answers lack."""

ALWAYS, BY_CHANCE = 1.0, 0.005
"""p-values up to which a field that all answers of one arm have and none of the other's tells them apart: on
suspicion, and for good. An optional field may do so by chance in five answers each, and hardly in six: where
half of the answers have it, once in 2,000 times."""

APART = 0.001
"""The same for sizes, of which every one of an arm's is larger than all of the other's: in seven answers
each."""

AGAIN = 0.05
"""p-value below which the answers of second servers alone show a difference of two shares, too."""

MOST_FIELDS = 2_000
"""Of a body, that are looked at."""

BODY = "the body"
"""The place of a JSON body itself."""

MOST_SHOWN = 4
"""Facts of a kind that are recorded for an arm."""

DEEPEST = 40
"""Levels of a body."""

INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True)
class AnswerSeen:
    """One answer, as the generator noted it."""

    endpoint: str
    method: str
    path: str
    visit: int
    status: int
    kind: str
    """Content type without parameters."""
    encoding: str
    redirects: Sequence[str]
    """What the client followed, as `307 /light`, and where the answer itself leads."""
    size: int
    digest: str | None
    text: str | None
    server: int = 0
    """Which of its arm's servers gave it, from 0; of several, a value may be that of one process."""

    @property
    def request(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Fact:
    """One property of an answer."""

    kind: DifferenceKind
    field: str
    shown: str


@dataclass(frozen=True)
class Read:
    """An answer with its facts and with the values of its fields."""

    answer: AnswerSeen
    facts: frozenset[Fact]
    values: Mapping[str, Any]
    """By the place of a field, indices included; of a body that is not JSON, its digest under ""."""


def differences(
    scenario: str,
    reference: str,
    arm: str,
    ours: Sequence[AnswerSeen],
    theirs: Sequence[AnswerSeen],
    certain: float = BY_CHANCE,
) -> list[AnswerDifference]:
    """How the answers of `arm` differ from those of `reference`: per endpoint at most one of a kind.
    `certain`: see `BY_CHANCE`."""
    found = []
    for endpoint in common(ours, theirs):
        mine, others = ([read(one) for one in side if one.endpoint == endpoint] for side in (ours, theirs))
        for kind, field, has, parts in apart(mine, others, certain):
            found.append(
                AnswerDifference(
                    kind=kind, scenario=scenario, endpoint=endpoint, request=others[0].answer.request,
                    reference=reference, arm=arm, field=field, reference_has=has[0], arm_has=has[1],
                    reference_part=parts[0], arm_part=parts[1],
                )
            )  # fmt: skip
    return found


def shown_again(
    difference: AnswerDifference, ours: Sequence[AnswerSeen], theirs: Sequence[AnswerSeen]
) -> bool:
    """Whether the answers that the two arms gave when they were asked again, the later one first, tell them
    apart in the same way. Those of arms that share state do not: the first arm to be asked says `created`,
    the others `taken`. Unknown counts as shown, sizes included."""
    mine, others = (
        [read(one) for one in side if one.endpoint == difference.endpoint] for side in (ours, theirs)
    )
    if difference.kind == "size" or min(len(mine), len(others)) < LEAST_ANSWERS:
        return True
    return any(
        part(more, fact) > part(less, fact) and differ(share(more, fact), share(less, fact), ALWAYS, AGAIN)
        for more, less, has in (
            (mine, others, difference.reference_has), (others, mine, difference.arm_has),
        )
        for fact in facts_of([*mine, *others])
        if fact.kind == difference.kind and named(fact) in has
    )  # fmt: skip


def common(ours: Sequence[AnswerSeen], theirs: Sequence[AnswerSeen]) -> list[str]:
    """The endpoints for which both arms have enough answers."""
    found = []
    for name in dict.fromkeys(one.endpoint for one in ours):
        mine, others = ([one.request for one in side if one.endpoint == name] for side in (ours, theirs))
        least = LEAST_ANSWERS if same(set(mine), set(others)) else ENOUGH
        if min(len(mine), len(others)) >= least:
            found.append(name)
    return found


def same(requests: set[str], others: set[str]) -> bool:
    """Whether both arms got the same requests: the slower one may have had time for fewer of them."""
    return requests <= others or others <= requests


Apart = tuple[DifferenceKind, str, tuple[tuple[str, ...], tuple[str, ...]], tuple[float, float]]
"""Kind, field, what the reference and the arm have, and in which fractions of their answers."""

NOTHING: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

PRECEDENCE: Sequence[DifferenceKind] = ("status", "redirect", "content-type", "encoding", "shape")


def apart(ours: Sequence[Read], theirs: Sequence[Read], certain: float) -> Iterator[Apart]:
    """The differences of one endpoint; one of each kind, and none that only follows from another."""
    facts = facts_of([*ours, *theirs])
    telling = [
        fact
        for fact in facts
        # Statuses, redirects and headers are not optional.
        if differ(share(ours, fact), share(theirs, fact), certain if fact.kind == "shape" else ALWAYS)
    ]
    kinds = [kind for kind in PRECEDENCE if any(fact.kind == kind for fact in telling)]
    for kind in kinds:
        yield contrasted(kind, [fact for fact in telling if fact.kind == kind], ours, theirs)
    if not kinds:
        yield from other_values(ours, theirs)
        yield from other_sizes(ours, theirs)


def facts_of(reads: Sequence[Read]) -> list[Fact]:
    return sorted({fact for one in reads for fact in one.facts}, key=lambda one: (one.field, one.shown))


def share(reads: Sequence[Read], fact: Fact) -> tuple[int, int]:
    """How many answers have it, of how many."""
    return sum(fact in one.facts for one in reads), len(reads)


def differ(one: tuple[int, int], other: tuple[int, int], certain: float, unlikely: float = UNLIKELY) -> bool:
    """Whether two shares differ by Fisher's exact test: all against none at a p-value of `certain`, others
    below one of `unlikely`."""
    extreme = {one[0] / one[1], other[0] / other[1]} == {0.0, 1.0}
    p = fisher(one, other)
    return p <= certain if extreme else p < unlikely


def fisher(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Two-sided p-value of Fisher's exact test for equal shares."""
    total, whole = one[0] + other[0], one[1] + other[1]

    def chance(count: int) -> float:
        return math.comb(one[1], count) * math.comb(other[1], total - count) / math.comb(whole, total)

    seen = chance(one[0])
    possible = range(max(0, total - other[1]), min(one[1], total) + 1)
    return math.fsum(p for p in map(chance, possible) if p <= seen * (1 + 1e-9))


def contrasted(
    kind: DifferenceKind, telling: Sequence[Fact], ours: Sequence[Read], theirs: Sequence[Read]
) -> Apart:
    """What each arm has of a kind that the other has less often."""
    mine = [fact for fact in telling if part(ours, fact) > part(theirs, fact)]
    others = [fact for fact in telling if part(ours, fact) < part(theirs, fact)]
    parts = tuple(
        part(side, own[0]) if own else 1.0 - part(side, strange[0])
        for side, own, strange in ((ours, mine, others), (theirs, others, mine))
    )
    return kind, "", (shown(mine), shown(others)), (parts[0], parts[1])


def shown(facts: Sequence[Fact]) -> tuple[str, ...]:
    """The facts by their names, without the fields of a field that is named itself."""
    fields = {fact.field for fact in facts}
    outer = [fact for fact in facts if not any(parent in fields for parent in parents(fact.field))]
    return tuple(map(named, outer[:MOST_SHOWN]))


def named(fact: Fact) -> str:
    """A fact as a difference has it."""
    return f"{fact.field}: {fact.shown}" if fact.field else fact.shown


def parents(field: str) -> Iterator[str]:
    """`a[].b.c` → `a[].b`, `a[]`, `a`."""
    while cut := max(field.rfind("."), field.rfind("[]")):
        if cut < 0:
            return
        field = field[:cut]
        yield field


def part(reads: Sequence[Read], fact: Fact) -> float:
    having, whole = share(reads, fact)
    return having / whole


def other_values(ours: Sequence[Read], theirs: Sequence[Read]) -> Iterator[Apart]:
    """The first field that always holds one value in one arm, and always another one in the other: over the
    answers to all requests, where both arms got the same ones, or over those to one that changes nothing."""
    requests, others = ({one.answer.request for one in side} for side in (ours, theirs))
    enough = min(len(ours), len(theirs)) >= ENOUGH
    groups = [(ours, theirs)] if enough and same(requests, others) else []
    for request in dict.fromkeys(one.answer.request for one in ours if one.answer.method in SAFE):
        mine, other = to(request, ours), to(request, theirs)
        # What one of several servers was asked alone may be answered with a value of its process.
        if servers(mine) == servers(ours) and servers(other) == servers(theirs):
            groups.append((mine, other))
    for mine, other in groups:
        if min(len(mine), len(other)) < LEAST_ANSWERS:
            continue
        known, values = constants(mine), constants(other)
        for place in sorted(known.keys() & values.keys()):
            if known[place] != values[place]:
                has = (shown_value(known[place]),), (shown_value(values[place]),)
                yield ("value", place, has, (1.0, 1.0)) if place else ("body", "", NOTHING, (1.0, 1.0))
                return


def to(request: str, reads: Sequence[Read]) -> Sequence[Read]:
    """The answers to one request."""
    return [one for one in reads if one.answer.request == request]


def servers(reads: Sequence[Read]) -> set[int]:
    return {one.answer.server for one in reads}


def constants(reads: Sequence[Read]) -> dict[str, Any]:
    """The fields that hold one value in all answers."""
    first, *others = reads
    return {
        place: value
        for place, value in first.values.items()
        if all(place in one.values and one.values[place] == value for one in others)
    }


def shown_value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:60]


def other_sizes(ours: Sequence[Read], theirs: Sequence[Read]) -> Iterator[Apart]:
    """Sizes, where every one of an arm's is of another class than every one of the other's, beyond chance."""
    mine, others = (sorted(one.answer.size for one in side) for side in (ours, theirs))
    # Of arms whose sizes come from one distribution, those of either are the larger ones once in this many.
    chance = 2 / math.comb(len(mine) + len(others), len(mine))
    if chance <= APART and (beyond(mine, others) or beyond(others, mine)):
        has = (str(mine[len(mine) // 2]),), (str(others[len(others) // 2]),)
        yield "size", "", has, (1.0, 1.0)


def beyond(smaller: Sequence[int], larger: Sequence[int]) -> bool:
    return smaller[-1] * SIZE_FACTOR + SIZE_SLACK < larger[0]


def read(answer: AnswerSeen) -> Read:
    """An answer's facts and values."""
    facts = {
        Fact("status", "", str(answer.status)),
        Fact("content-type", "", answer.kind or "none"),
        Fact("encoding", "", answer.encoding or "none"),
        *(Fact("redirect", "", place) for place in answer.redirects),
    }
    values: dict[str, Any] = {}
    body = parsed(answer)
    if isinstance(body, Unread):
        if answer.digest is not None:
            values[""] = answer.digest
    else:
        for count, (place, shape, value) in enumerate(walk(body)):
            if count >= MOST_FIELDS:
                break
            facts.add(Fact("shape", without_indices(place), shape))
            if shape not in ("object", "list"):
                values[place] = value
    return Read(answer, frozenset(facts), values)


class Unread:
    """A body that is not JSON, or was too large to keep."""


def parsed(answer: AnswerSeen) -> Any:
    """The JSON body, or Unread."""
    if answer.text is None or (answer.kind and "json" not in answer.kind):
        return Unread()
    try:
        return json.loads(answer.text)
    except (ValueError, RecursionError):
        return Unread()


Shape = Literal["object", "list", "text", "number", "truth value", "null"]


def walk(body: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, str, Any]]:
    """Every field of a JSON body: its place, its type and its value."""
    yield place or BODY, shape(body), body
    if depth >= DEEPEST:
        return
    if isinstance(body, dict):
        for key, value in body.items():
            yield from walk(value, f"{place}.{key}" if place else str(key), depth + 1)
    elif isinstance(body, list):
        for index, value in enumerate(body):
            yield from walk(value, f"{place}[{index}]", depth + 1)


def shape(value: Any) -> Shape:
    match value:
        case dict():
            return "object"
        case list():
            return "list"
        case str():
            return "text"
        case bool():
            return "truth value"
        case int() | float():
            return "number"
        case _:
            return "null"


def without_indices(place: str) -> str:
    """`items[3].name` → `items[].name`: the elements of a list are of one shape."""
    return INDEX.sub("[]", place)
