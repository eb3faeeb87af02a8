"""What an app's reads answer to one request each, with the values that its document suggests."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure.answers.equality import Reply, ask
from loadtests.measure.answers.openapi import Operation, example, operations
from loadtests.measure.answers.questions import Question
from loadtests.plan.arms import Arm
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import serve

READS = ("GET", "HEAD")
"""Methods that change nothing, so that they are asked."""

HEALTH = ("/health", "/healthz", "/healthcheck", "/ping", "/livez", "/readyz", "/status", "/-/healthy")
"""Paths of light routes, the likeliest first."""


@dataclass(frozen=True)
class Explored:
    """One operation, as it was asked or would be."""

    operation: Operation
    question: Question
    status: int | None
    """Of the answer, 0 without one; None where it was not asked, since it writes."""
    ended: bool = True
    """Whether the answer ended in time: a stream may never."""

    @property
    def usable(self) -> bool:
        """Whether users can request it as it is."""
        return bool(self.status) and (self.status or 0) < HTTPStatus.BAD_REQUEST and self.ended


def explore(arm: Arm, document: str = "/openapi.json") -> list[Explored]:
    """Serve an app, read its OpenAPI document, and ask all of its reads once; the reads come first. Raises
    PlanError for an app that does not start, or has no such document."""
    try:
        with (
            tempfile.TemporaryDirectory(prefix="duel-logs-") as logs,
            ServingEnvironment(Path(logs), {}) as environment,
            serve(arm, environment, "init") as server,
        ):
            (listed,) = ask(server, [Question("GET", document)])
            found = operations(listed.body) if listed.status == HTTPStatus.OK else []
            reads = [one for one in found if one.method in READS]
            questions = [Question(one.method, one.target()) for one in reads]
            answers = ask(server, questions)
    except ChildFailed as failure:
        # Nothing was measured: what does not start is the argument.
        raise PlanError(str(failure), cause=failure.cause, hint=failure.hint) from None
    if not found:
        raise PlanError(
            f"{arm.app} lists no routes in an OpenAPI document",
            cause=f"GET {document} was answered with {listed.status or 'nothing'}",
            hint="write a locustfile by hand (https://docs.locust.io), and pass it with -f",
        )
    asked = [answered(*three) for three in zip(reads, questions, answers, strict=True)]
    return [*asked, *(unasked(one) for one in found if one.method not in READS)]


def answered(operation: Operation, question: Question, reply: Reply) -> Explored:
    """A read with its answer; one without an answer has the status 0."""
    return Explored(operation, question, reply.status, reply.read in ("whole", "first-bytes"))


def unasked(operation: Operation) -> Explored:
    """A write."""
    body = None if operation.body is None else example(operation.body)
    return Explored(operation, Question(operation.method, operation.target(), body), None)


def canary_of(explored: Sequence[Explored]) -> str | None:
    """The path of a light route that answered, by its name; None without one."""
    light = {one.question.path for one in explored if one.usable and not one.operation.parameters}
    return next((path for path in HEALTH if path in light), None)
