"""What failed, in words: the first lines of every report where any request did."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.records import Cell
from reports.analysis.failures.kinds import FailureKind
from reports.analysis.names.endpoints import ALL
from reports.wording import units

MOST_LINES = 12
"""Kinds of failure that a report lists; all are in the JSON."""


def failure_lines(kinds: Sequence[FailureKind], whose: str = "") -> list[str]:
    """The kinds of failed requests, for the top of every report; the first line says what they are, and
    `whose`: such as ` of the head`. Empty where none failed."""
    if not kinds:
        return []
    # Of many, those that concern most of an arm's requests.
    most = sorted(kinds, key=lambda kind: -kind.count / max(1, kind.requests))[:MOST_LINES]
    more = len(kinds) - len(most)
    return [
        f"Failed requests{whose} (all trials, including discarded ones):",
        *(kind_text(kind) for kind in kinds if kind in most),
        *([f"and {units.counted(more, 'more kind')}"] if more else []),
    ]


def lines_of_cell(kinds: Sequence[FailureKind], cell: Cell, arms: Sequence[str]) -> tuple[str, ...]:
    """Those of one cell and its arms, without the heading."""
    return tuple(failure_lines([one for one in kinds if one.cell == cell and one.arm in arms])[1:])


def kind_text(kind: FailureKind) -> str:
    """`Worker at 16 users, sheds, /work: 1,204 of 4,012 requests (30%): status 503, HTTPError: 503 …`."""
    endpoint = "all endpoints" if kind.endpoint == ALL else kind.endpoint
    part = units.percent(kind.count / kind.requests) if kind.requests else units.NONE
    return (
        f"{kind.cell}, {kind.arm}, {endpoint}: {kind.count:,} of {kind.requests:,} requests ({part}): "
        f"{how_text(kind)}"
    )


def how_text(kind: FailureKind) -> str:
    """`status 503, HTTPError: 503 Server Error`, or `no answer, ConnectionResetError: …`."""
    if kind.exception is None:
        return "never sent, since all users were still waiting for answers"
    answer = "no answer" if kind.status is None else f"status {kind.status}"
    return f"{answer}, {': '.join(filter(None, (kind.exception, kind.example)))}"
