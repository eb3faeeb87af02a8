"""What an app's reads answer to one request each, with the values that its document suggests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure.answers.document import USUAL, Login, document_of
from loadtests.measure.answers.equality import ask
from loadtests.measure.answers.login import bearer
from loadtests.measure.answers.openapi import Operation, example
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
    login: Login | None = None
    """The log-in whose token it takes, if any."""

    @property
    def refused(self) -> bool:
        """Whether it was answered that credentials are missing, or are not enough."""
        return self.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

    @property
    def locked(self) -> bool:
        """Whether it may only need an account to log in with."""
        return self.refused and self.login is not None and self.question.bearer is None

    @property
    def usable(self) -> bool:
        """Whether users can request it as it is."""
        return bool(self.status) and (self.status or 0) < HTTPStatus.BAD_REQUEST and self.ended


@dataclass(frozen=True)
class Exploration:
    """What an app lists, and what its reads answered; the reads come first."""

    operations: tuple[Explored, ...]
    login: Login | None
    """How its users may log in."""


def explore(arm: Arm) -> Exploration:
    """Serve an app, read its OpenAPI document, and ask all of its reads once, with a token where the document
    describes a log-in and the environment names an account. Raises PlanError for an app that does not start,
    has no such document, or refuses the account."""
    try:
        with (
            tempfile.TemporaryDirectory(prefix="duel-logs-") as logs,
            ServingEnvironment(Path(logs), {}) as environment,
            serve(arm, environment, "init") as server,
        ):
            document = document_of(server)
            if document is None:
                raise PlanError(
                    f"{arm.app} lists no routes in an OpenAPI document",
                    cause=f"there is none at {' or '.join(USUAL)}, nor at a route that is called so",
                    hint="write a locustfile by hand (https://docs.locust.io), and pass it with -f",
                )
            login = document.login
            token = None if login is None else bearer(server.url, login, os.environ)
            listed = [explored(one, login, token) for one in document.operations]
            reads = [one for one in listed if one.operation.method in READS]
            answers = ask(server, [one.question for one in reads])
    except ChildFailed as failure:
        # Nothing was measured: what does not start is the argument.
        raise PlanError(str(failure), cause=failure.cause, hint=failure.hint) from None
    asked = [
        replace(one, status=answer.status, ended=answer.read in ("whole", "first-bytes"))
        for one, answer in zip(reads, answers, strict=True)
    ]
    return Exploration((*asked, *(one for one in listed if one not in reads)), login)


def explored(operation: Operation, login: Login | None, token: str | None) -> Explored:
    """An operation before it is asked."""
    admitted = login is not None and login.admits(operation)
    question = Question(
        operation.method,
        operation.target(),
        None if operation.body is None else example(operation.body),
        bearer=token if admitted else None,
    )
    return Explored(operation, question, None, login=login if admitted else None)


def canary_of(explored: Sequence[Explored]) -> str | None:
    """The path of a light route that answered without a token, by its name; None without one."""
    open_ones = [one for one in explored if one.usable and one.question.bearer is None]
    light = {one.question.path for one in open_ones if not one.operation.parameters}
    return next((path for path in HEALTH if path in light), None)
