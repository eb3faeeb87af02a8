"""Whether the arms answer alike: a fixed set of requests, sent to each, compared answer by answer.

Arms that do different things cannot be compared, so this comes before any load.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from loadtests.plan import BUILT_IN, Arm, ArmsDiffer
from loadtests.processes import ChildFailed
from loadtests.servers import Surroundings, Target, serve

HEADERS = ("content-type", "location", "allow")
"""Headers that matter to a client."""
SHOWN = 300
"""Characters of an answer that are shown where answers differ."""
SHOWN_BEFORE = 60
"""Those of them that both answers still share."""
VALUES = {
    "integer": ("1", "999999"),
    "number": ("0.5", "-1"),
    "boolean": ("true", "false"),
    "string": ("a", "1"),
}
"""What is asked in place of a parameter, by its type."""


@dataclass(frozen=True)
class Question:
    """One request of the fixed set."""

    method: str
    path: str
    body: Any = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}" + (f" {json.dumps(self.body)}" if self.body is not None else "")


@dataclass(frozen=True)
class Answer:
    """What matters of a response."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def shown(self, start: int) -> str:
        """Status, headers and the body from byte `start`, at a length for people."""
        text = self.body[start:].decode("utf-8", "replace")
        before, after = "…" if start else "", "…" if len(text) > SHOWN else ""
        return f"{self.status} {dict(self.headers)} {before}{text[:SHOWN]}{after}"


NEW_USER = {"name": "Ada", "email": "ada@example.org"}
NEW_POST = {"title": "On waiting", "body": "Wait here.", "author_id": 3, "published_on": "2026-01-02"}
CHANGED_POST = {**NEW_POST, "title": "On computing"}

QUESTIONS: Sequence[Question] = (
    Question("GET", "/openapi.json"),
    Question("GET", "/ping"),
    Question("GET", "/users?limit=3"),
    Question("GET", "/users/7"),
    Question("GET", "/users/999999"),
    Question("GET", "/users/seven"),
    Question("GET", "/users/7/posts?limit=2"),
    Question("POST", "/users", NEW_USER),
    Question("POST", "/users", NEW_USER),
    Question("POST", "/users", {"name": "", "email": "nowhere"}),
    Question("PUT", "/users/201", {"name": "Ada L.", "email": "lovelace@example.org"}),
    Question("PUT", "/users/201", {"name": "Ada L.", "email": "author1@example.org"}),
    Question("PATCH", "/users/201", {"name": "Ada Lovelace"}),
    Question("PATCH", "/users/201", {"nickname": "Ada"}),
    Question("GET", "/posts?limit=3&offset=5"),
    Question("GET", "/posts?limit=101"),
    Question("GET", "/posts/77"),
    Question("GET", "/posts/999999"),
    Question("POST", "/posts", NEW_POST),
    Question("POST", "/posts", {**NEW_POST, "author_id": 999_999}),
    Question("PUT", "/posts/4001", CHANGED_POST),
    Question("PATCH", "/posts/4001", {"body": "Compute here."}),
    Question("PATCH", "/posts/999999", {"body": "Nowhere."}),
    Question("DELETE", "/posts/4001"),
    Question("DELETE", "/posts/4001"),
    Question("DELETE", "/users/3"),
    Question("GET", "/posts/3"),
    Question("GET", "/pages"),
    Question("GET", "/pages/posts/77"),
    Question("GET", "/pages/users/7"),
    Question("GET", "/pages/posts/999999"),
    Question("GET", "/pages/posts/seven"),
    Question("GET", "/nowhere"),
    Question("POST", "/ping"),
    Question("GET", "/sleep?seconds=0.001"),
    Question("GET", "/sleep?seconds=-1"),
    Question("GET", "/upstream?seconds=0.001"),
    Question("GET", "/fan-out?calls=3&seconds=0.001"),
    Question("GET", "/file"),
    Question("GET", "/report"),
    Question("POST", "/background", {"recipient": "reader@example.org"}),
    Question("GET", "/python?iterations=1000"),
    Question("GET", "/python?iterations=0"),
    Question("GET", "/hash?iterations=100"),
    Question("GET", "/crunch?rows=100"),
    Question("GET", "/image?width=32"),
    Question("POST", "/checkout", {"user_id": 1, "post_id": 1}),
    Question("POST", "/checkout", {"user_id": 1, "post_id": 999_999}),
    Question("GET", "/pitfalls/blocking?seconds=0.001"),
    Question("GET", "/pitfalls/offloaded?seconds=0.001"),
    Question("GET", "/pitfalls/process?iterations=1000"),
    Question("GET", "/pitfalls/process?iterations=0"),
    Question("GET", "/pitfalls/file-inline"),
    Question("GET", "/pitfalls/plain-client?seconds=0.001"),
    Question("GET", "/pitfalls/session-dependency/77"),
)


def fixed_questions(arms: Sequence[Arm]) -> Sequence[Question]:
    """The fixed set, where all arms are twin apps; nothing where an arm is somebody else's."""
    return QUESTIONS if {arm.app for arm in arms} <= {arm.app for arm in BUILT_IN.values()} else ()


def published_questions(arm: Arm, around: Surroundings) -> list[Question]:
    """What an app's OpenAPI document says can be read: its GETs, each with a value that may be there and
    one that may not. Left out is what two fresh servers of the same arm answer differently, such as a
    time of day. Empty without a document. Raises ChildFailed.
    """
    answers: list[list[Answer]] = []
    questions: list[Question] = []
    for attempt in ("first", "second"):
        with serve(arm, around, f"check.{attempt}") as server:
            if not answers:
                questions = readable(ask(server, [Question("GET", "/openapi.json")])[0])
            answers.append(ask(server, questions))
    return [question for question, one, other in zip(questions, *answers, strict=True) if one == other]


def readable(document: Answer) -> list[Question]:
    """The GETs of an OpenAPI document, with values in place of their parameters."""
    try:
        paths = json.loads(document.body)["paths"] if document.status == HTTPStatus.OK else {}
        found = [
            Question("GET", filled(path, methods["get"].get("parameters", []), which))
            for path, methods in paths.items()
            if "get" in methods
            for which in (0, 1)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return list(dict.fromkeys(found))


def filled(path: str, parameters: Sequence[Any], which: int) -> str:
    """`path` with the parameters that it needs: the first or the second value of each."""
    query = []
    for parameter in parameters:
        kind = parameter.get("schema", {}).get("type")
        value = VALUES.get(kind, VALUES["string"])[which]
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", value)
        elif parameter["in"] == "query" and parameter.get("required"):
            query.append(f"{quote(parameter['name'])}={value}")
    return path + ("?" + "&".join(query) if query else "")


def check_equal(
    arms: Sequence[Arm],
    around: Surroundings,
    questions: Sequence[Question],
    then: Callable[[Target], None] = lambda _: None,
) -> int | None:
    """Boot every arm in turn and compare its answers with the first arm's; `then` gets every server that
    has answered, while it is up.

    Returns how many requests all answered alike; None where there was nothing to ask. Raises ArmsDiffer
    with the request that shows it, or ChildFailed.
    """
    expected: list[Answer] = []
    for arm in arms:
        with serve(arm, around, f"check.{arm.name}") as server:
            answers = ask(server, questions)
            then(server)
        for question, first, answer in zip(questions, expected, answers, strict=False):
            if first != answer:
                raise ArmsDiffer(
                    f"arms {arms[0].name!r} and {arm.name!r} answer {question} differently",
                    "\n".join(
                        f"{name}: {shown}"
                        for name, shown in zip((arms[0].name, arm.name), apart(first, answer), strict=True)
                    ),
                )
        expected = expected or answers
    return len(questions) or None


def apart(first: Answer, second: Answer) -> tuple[str, str]:
    """Two answers, their bodies from shortly before the place where they part."""
    same = next(
        (at for at, (a, b) in enumerate(zip(first.body, second.body, strict=False)) if a != b),
        min(len(first.body), len(second.body)),
    )
    start = max(0, same - SHOWN_BEFORE) if same > SHOWN - SHOWN_BEFORE else 0
    return first.shown(start), second.shown(start)


def ask(server: Target, questions: Sequence[Question]) -> list[Answer]:
    """The server's answers, in order, each on a connection of its own, since a 500 may end one."""
    answers = []
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=server.url, timeout=15.0, limits=limits) as client:
        for question in questions:
            try:
                response = client.request(question.method, question.path, json=question.body)
            except httpx.HTTPError as error:
                raise ChildFailed(
                    f"arm {server.arm.name!r} did not answer {question}: {type(error).__name__}",
                    server.last_words(),
                ) from None
            headers = tuple((name, response.headers[name]) for name in HEADERS if name in response.headers)
            answers.append(Answer(response.status_code, headers, response.content))
    return answers
