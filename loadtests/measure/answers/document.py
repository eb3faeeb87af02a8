"""An app's OpenAPI document: where it is published, what it lists, and how it lets users log in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin, urlsplit

from loadtests.measure.answers.equality import ask
from loadtests.measure.answers.openapi import Operation, operations
from loadtests.measure.answers.questions import Question
from loadtests.serving.server import Target

USUAL = ("/openapi.json", "/schema/openapi.json", "/api/openapi.json")
"""Where frameworks publish it."""


@dataclass(frozen=True)
class Login:
    """OAuth2's password flow (RFC 6749, 4.3), as FastAPI's OAuth2PasswordBearer describes it: a form with a
    user name and a password is answered with a bearer token."""

    scheme: str
    path: str
    scopes: tuple[str, ...] = ()

    def admits(self, operation: Operation) -> bool:
        """Whether its token is all that an operation needs."""
        return operation.secured and frozenset({self.scheme}) in operation.security


@dataclass(frozen=True)
class Document:
    """What an app publishes of itself."""

    operations: tuple[Operation, ...]
    """At least one."""
    login: Login | None


def document_of(server: Target, paths: Iterable[str] = ()) -> Document | None:
    """The document of a running app, looked for at those of its routes, and of `paths`, that are called so,
    then where frameworks publish it; None without one. Raises ChildFailed."""
    own = [path for path in (*paths, *server.routes()) if path.endswith("openapi.json")]
    for path in dict.fromkeys((*own, *USUAL)):
        (answer,) = ask(server, [Question("GET", path)])
        listed = operations(answer.body) if answer.status == HTTPStatus.OK else []
        if listed:
            return Document(tuple(listed), login_of(json.loads(answer.body), path))
    return None


def login_of(document: Mapping[str, Any], path: str) -> Login | None:
    """The first log-in that a document, published at `path`, describes. None where it describes none on this
    server: load goes to no other one."""
    with suppress(KeyError, TypeError, AttributeError, ValueError):
        for scheme, described in document["components"]["securitySchemes"].items():
            flow = described.get("flows", {}).get("password")
            if flow is not None and not urlsplit(flow["tokenUrl"]).netloc:
                joined = urljoin(path, flow["tokenUrl"])
                # Relative to the document, as the standard has it, or to the page that shows it: both occur.
                choices = (joined, urljoin("/", flow["tokenUrl"]))
                found = next((one for one in choices if one in document["paths"]), joined)
                return Login(scheme, found, tuple(flow.get("scopes") or ()))
    return None
