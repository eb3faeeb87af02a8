"""The GET requests that an app's own OpenAPI document describes."""

from __future__ import annotations

from typing import NamedTuple

from loadtests.measure.answers.document import Document, document_of
from loadtests.measure.answers.equality import ask
from loadtests.measure.answers.questions import Question
from loadtests.plan.arms import Arm
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import serve


class Published(NamedTuple):
    """What an app's document lists, as it can be compared."""

    questions: list[Question]
    unanswered: tuple[str, ...]
    """What was not answered in time, as by a route that waits for an event."""
    unsteady: tuple[str, ...]
    """What two servers of the same arm answer differently."""


def published_questions(arm: Arm, environment: ServingEnvironment) -> Published:
    """The GETs in an app's OpenAPI document, each with a value that may exist and one that may
    not. Left out is what two fresh servers of the same arm answer differently, such as a
    time of day, and what is not answered in time. Empty without a document. Raises ChildFailed.
    """
    with serve(arm, environment, "check.first") as server:
        listed = readable(document_of(server))
        first = dict(zip(listed, ask(server, listed), strict=True))
    answered = [question for question, reply in first.items() if reply.read != "nothing"]
    with serve(arm, environment, "check.second") as server:
        again = ask(server, answered)
    steady = [one for one, reply in zip(answered, again, strict=True) if first[one].equals(reply)]
    unanswered = tuple(str(one) for one in listed if one not in answered)
    return Published(steady, unanswered, tuple(str(one) for one in answered if one not in steady))


def readable(document: Document | None) -> list[Question]:
    """The GETs of an OpenAPI document, with values for their parameters."""
    listed = document.operations if document is not None else ()
    reads = [one for one in listed if one.method == "GET"]
    return list(dict.fromkeys(Question("GET", one.target(which)) for one in reads for which in (0, 1)))
