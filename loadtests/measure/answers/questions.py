"""The fixed set of requests that the twins are asked before any load."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loadtests.plan.arms import BUILT_IN, Arm


@dataclass(frozen=True)
class Question:
    """One request of the fixed set."""

    method: str
    path: str
    body: Any = None
    file: bytes | None = None
    """Sent as `file` in a form, in place of a body."""
    messages: tuple[str, ...] = ()
    """Sent over a WebSocket, one after the answer to the other, where the method is WEBSOCKET."""
    bearer: str | None = None
    """A token to send."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}" + (f" {json.dumps(self.body)}" if self.body is not None else "")


SOCKET = "WEBSOCKET"
"""In place of a method, for a WebSocket."""


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
    Question("GET", "/pitfalls/session-blocking/77"),
    Question("GET", "/pitfalls/executor?seconds=0.001"),
    Question("GET", "/plumbing/dependencies"),
    Question("GET", "/plumbing/stream"),
    Question("GET", "/plumbing/stream-lines"),
    Question("POST", "/plumbing/upload", file=b"a picture"),
    Question("POST", "/plumbing/upload"),
    Question(SOCKET, "/plumbing/websocket?seconds=0.001", messages=("Is it late?", "And now?", "")),
    Question(SOCKET, "/plumbing/websocket?seconds=-1", messages=("Is it late?",)),
    Question("GET", "/plumbing/list-plain?limit=3"),
    Question("GET", "/services/cached/77"),
    Question("GET", "/services/cached/77"),
    Question("GET", "/services/cached/999999"),
    Question("GET", "/services/cached/seven"),
    Question("POST", "/services/enqueue", {"recipient": "reader@example.org"}),
    Question("POST", "/services/enqueue", {"recipient": "nowhere"}),
)


def fixed_questions(arms: Sequence[Arm]) -> Sequence[Question]:
    """The fixed set, where all arms are twin apps; nothing where an arm is another app."""
    served = {app for arm in arms for app in arm.apps}
    return QUESTIONS if served <= {arm.app for arm in BUILT_IN.values()} else ()
