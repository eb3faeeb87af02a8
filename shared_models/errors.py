"""The error responses of both apps, as JSON and as HTML pages. Rendering computes; it does not wait."""

from __future__ import annotations

import json
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from jinja2 import DictLoader, Environment
from starlette.templating import Jinja2Templates

Row = TypeVar("Row")
Service = TypeVar("Service")

# Read once: looking a template up on disk would be a blocking call in every page.
pages = Environment(
    loader=DictLoader(
        {path.name: path.read_text("utf-8") for path in Path(__file__).with_name("templates").iterdir()}
    ),
    autoescape=True,
    auto_reload=False,
)
templates = Jinja2Templates(env=pages)


class EmailTaken(HTTPException):
    """409: emails are unique."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.CONFLICT, "This email belongs to another user")


class UpstreamFailed(HTTPException):
    """502: the slow service did not answer, or answered with an error."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.BAD_GATEWAY, "The upstream service did not answer")


class NoRedis(HTTPException):
    """503: what needs Redis is asked of an app that was started without one."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, "This app was started without Redis")


def available(service: Service | None) -> Service:
    """The service itself; raises NoRedis where there is none."""
    if service is None:
        raise NoRedis
    return service


def found(row: Row | None, what: str) -> Row:
    """The row itself; raises HTTPException (404) that names `what` where there is none."""
    if row is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{what} not found")
    return row


def sayable(error: RequestValidationError) -> RequestValidationError:
    """The same error, with inputs that can be written as JSON. FastAPI echoes every input, and would respond
    with 500 to a body such as NaN or half a surrogate pair."""
    return RequestValidationError(
        [{**fault, "input": fault["input"] if is_json(fault["input"]) else repr(fault["input"])}
         for fault in error.errors()],
        body=error.body,
    )  # fmt: skip


def is_json(value: object) -> bool:
    """Whether a value can be written as strict JSON in UTF-8; bytes cannot."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def on_page(request: Request) -> bool:
    """Whether the response is an HTML page rather than JSON."""
    return request.url.path.startswith("/pages")


def error_page(request: Request, status: int, message: str) -> Response:
    """The HTML page that shows an error."""
    context = {"status": status, "message": message}
    return templates.TemplateResponse(request, "error.html", context, status_code=status)
