"""The errors both apps answer with, and the pages they are shown on. Rendering computes; it does not wait."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from fastapi import HTTPException, Request, Response
from starlette.templating import Jinja2Templates

Row = TypeVar("Row")

templates = Jinja2Templates(directory=Path(__file__).parent / "templates")


class EmailTaken(HTTPException):
    """409: emails are unique."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.CONFLICT, "This email belongs to another user")


class UpstreamFailed(HTTPException):
    """502: the slow service did not answer, or answered with an error."""

    def __init__(self) -> None:
        super().__init__(HTTPStatus.BAD_GATEWAY, "The upstream service did not answer")


def found(row: Row | None, what: str) -> Row:
    """The row itself, or 404 with `what` was not found."""
    if row is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"{what} not found")
    return row


def on_page(request: Request) -> bool:
    """Whether a person reads the answer as a page, not a program as JSON."""
    return request.url.path.startswith("/pages")


def error_page(request: Request, status: int, message: str) -> Response:
    """The page that tells a person what went wrong."""
    context = {"status": status, "message": message}
    return templates.TemplateResponse(request, "error.html", context, status_code=status)
