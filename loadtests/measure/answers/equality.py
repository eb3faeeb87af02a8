"""Whether the arms answer alike: a fixed set of requests, sent to each, compared answer by answer.

Arms that do different things cannot be compared, so this comes before any load.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import httpx
from websocket import WebSocketException, WebSocketTimeoutException

from loadtests.errors import ArmsDiffer, ChildFailed
from loadtests.measure.answers.conversation import converse
from loadtests.measure.answers.direct import client_of
from loadtests.measure.answers.questions import SOCKET, Question
from loadtests.measure.calibration import is_head
from loadtests.measure.trials.servers import MustBeApart, RoundServers
from loadtests.plan.arms import Arm
from loadtests.plan.plan import Plan
from loadtests.records.answers import Compared
from loadtests.records.trial import Apart
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.external import DidNotStart
from loadtests.serving.server import Target

HEADERS = ("content-type", "location", "allow")
"""Headers that matter to a client."""

SHOWN = 300
"""Characters of an answer that are shown where answers differ."""

SHOWN_BEFORE = 60
"""How many of them precede the first difference."""


PATIENCE = 15.0
"""Seconds until the head of an answer must have come."""

LONGEST_BODY = 1.5
"""Seconds for which a body is read: a stream may have no end."""

MOST_BYTES = 2**23
"""Bytes of a body that are read."""

LONGEST = 60.0
"""Seconds in which a server is asked all its questions; those that are left then count as unanswered."""


@dataclass(frozen=True)
class Reply:
    """The parts of a response that must be equal for all arms."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    read: Literal["whole", "first-bytes", "head", "nothing"] = "whole"
    """What of it was read: a body that did not end in time is no more than a head, since how much of it came
    is chance."""

    def equals(self, other: Reply) -> bool:
        """Whether both are the same, as far as both were read."""
        heads = (self.status, self.headers) == (other.status, other.headers)
        return heads and ("head" in (self.read, other.read) or self.body == other.body)

    def shown(self, start: int) -> str:
        """Status, headers and the body from byte `start`, truncated to a readable length."""
        text = self.body[start:].decode("utf-8", "replace")
        before, after = "…" if start else "", "…" if len(text) > SHOWN else ""
        return f"{self.status} {dict(self.headers)} {before}{text[:SHOWN]}{after}"


def check_equal(
    arms: Sequence[Arm],
    environment: ServingEnvironment,
    questions: Sequence[Question],
    then: Callable[[Target], None] = lambda _: None,
    *,
    apart: Apart | None = "conflict",
) -> Compared:
    """Compare every arm's answers with the first arm's; `then` gets every server that has answered, while it
    is up. `apart`: why the arms are served one after another, such as that foreign ones may need the same
    port; None: all start together where that is possible. Raises ArmsDiffer with the request that shows it,
    or ChildFailed.
    """
    try:
        return compared(arms, environment, questions, then, apart)
    except MustBeApart as reason:
        apart = reason.why
    return compared(arms, environment, questions, then, apart)


def compared(
    arms: Sequence[Arm],
    environment: ServingEnvironment,
    questions: Sequence[Question],
    then: Callable[[Target], None],
    apart: Apart | None,
) -> Compared:
    """See `check_equal`. Raises MustBeApart as well, before any server has been asked."""
    expected: list[Reply] = []
    cut: dict[str, set[str]] = {"head": set(), "first-bytes": set()}
    with RoundServers(environment, [(arm, f"check.{arm.name}") for arm in arms], apart) as servers:
        for arm in arms:
            server = servers.take(arm)
            answers = ask(server, questions)
            for question, answer in zip(questions, answers, strict=True):
                if answer.read == "nothing":
                    raise ChildFailed(
                        f"arm {arm.name!r} did not answer {question} in time", cause=server.log_tail()
                    )
                cut.get(answer.read, set()).add(str(question))
            then(server)
            servers.release([arm.name])
            for question, first, answer in zip(questions, expected, answers, strict=False):
                if not first.equals(answer):
                    raise differ(arms[0], arm, question, first, answer)
            expected = expected or answers
    # Where one arm's body was cut by its size and another's by time, only the heads are compared.
    heads, beginnings = (tuple(sorted(one)) for one in (cut["head"], cut["first-bytes"] - cut["head"]))
    return Compared(requests=len(questions), heads=heads, beginnings=beginnings)


def differ(one: Arm, other: Arm, question: Question, first: Reply, second: Reply) -> ArmsDiffer:
    """The error that shows two answers to a question."""
    shown = zip((one.name, other.name), from_difference(first, second), strict=True)
    return ArmsDiffer(
        f"arms {one.name!r} and {other.name!r} answer {question} differently",
        cause="\n".join(f"{name}: {answer}" for name, answer in shown),
    )


def check_resumable(plan: Plan, environment: ServingEnvironment, questions: Sequence[Question]) -> None:
    """The same of the arms of a run that is resumed. That a gate's head no longer starts, although its base
    does, is a result: its rounds will say so. Raises ArmsDiffer, ChildFailed."""
    if not plan.gate:
        check_equal(plan.arms, environment, questions)
        return
    # Bases come first.
    for arm in plan.arms:
        try:
            check_equal([arm], environment, questions)
        except DidNotStart:
            if not is_head(plan, arm.name):
                raise


def from_difference(first: Reply, second: Reply) -> tuple[str, str]:
    """Two answers, their bodies from shortly before the first difference."""
    same = next(
        (at for at, (a, b) in enumerate(zip(first.body, second.body, strict=False)) if a != b),
        min(len(first.body), len(second.body)),
    )
    start = max(0, same - SHOWN_BEFORE) if same > SHOWN - SHOWN_BEFORE else 0
    return first.shown(start), second.shown(start)


NOTHING = Reply(0, (), b"", "nothing")


def ask(server: Target, questions: Sequence[Question]) -> list[Reply]:
    """The server's answers, in order, each on a connection of its own, since a 500 may end one. Raises
    ChildFailed where it is not reached."""
    until = time.monotonic() + LONGEST
    with client_of(server.url, PATIENCE, keep_alive=False) as client:
        return [
            answered(client, question, server) if time.monotonic() < until else NOTHING
            for question in questions
        ]


def answered(client: httpx.Client, question: Question, server: Target, longest: float | None = None) -> Reply:
    """One answer, whose body is read for no more than `longest` seconds, by default LONGEST_BODY. Raises
    ChildFailed."""
    try:
        if question.method == SOCKET:
            status, said = converse(server.url + question.path, question.messages, PATIENCE)
            return Reply(status, (), said)
        files = {"file": question.file} if question.file is not None else None
        headers = {"Authorization": f"Bearer {question.bearer}"} if question.bearer is not None else None
        with client.stream(
            question.method, question.path, json=question.body, files=files, headers=headers
        ) as response:
            kept = tuple((name, response.headers[name]) for name in HEADERS if name in response.headers)
            read, body = read_body(response, LONGEST_BODY if longest is None else longest)
            return Reply(response.status_code, kept, body, read)
    except (httpx.ReadTimeout, WebSocketTimeoutException):
        return NOTHING
    except (httpx.HTTPError, WebSocketException, OSError) as error:
        raise ChildFailed(
            f"arm {server.arm.name!r} did not answer {question}: {type(error).__name__}",
            cause=server.log_tail(),
        ) from None


def read_body(
    response: httpx.Response, longest: float
) -> tuple[Literal["whole", "first-bytes", "head"], bytes]:
    """A body as far as it is read."""
    body, until = bytearray(), time.monotonic() + longest
    # The client looks its time-out up again for the body; if it did not, PATIENCE would bound a silent one.
    response.request.extensions["timeout"]["read"] = longest
    try:
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MOST_BYTES:
                return "first-bytes", bytes(body[:MOST_BYTES])
            if time.monotonic() > until:
                return "head", b""
    except httpx.ReadTimeout:
        return "head", b""
    return "whole", bytes(body)
