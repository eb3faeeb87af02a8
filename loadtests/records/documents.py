"""JSON documents of our schemas, validated when read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from loadtests.errors import RecordError
from loadtests.plan.fields import Frozen, one_line

Document = TypeVar("Document", bound=Frozen)

Reader = Callable[[Path, int], bytes]
"""`files.read_part` for a file of a run, `files.read_named` for one that the user named."""


def read_document(
    path: Path, read: Reader, kind: type[Document], schema: str, largest: int, missing: str, other: str
) -> Document:
    """A JSON file of one of our schemas, of at most `largest` bytes, fully validated. `missing` and `other`
    are the hints for a file that is not there and for one of another schema. Raises RecordError."""
    what = kind.__name__.lower()
    try:
        text = read(path, largest)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RecordError(f"cannot read {one_line(str(path))}: {why}", hint=missing) from None
    try:
        content = json.loads(text, object_pairs_hook=unique, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path} is not JSON: {error}") from None
    found = content.get("schema") if isinstance(content, dict) else None
    if found != schema:
        raise RecordError(
            f"{path} has schema {one_line(repr(found))[:100]}; this version reads {schema!r}", hint=other
        )
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise RecordError(
            one_line(f"{path} is not a valid {what}: {place + ': ' if place else ''}{message}")
        ) from None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without duplicate keys: a reader cannot know which one is meant. Raises ValueError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("duplicate key")
    return found


def no_number(name: str) -> float:
    """JSON has neither NaN nor infinities. Raises ValueError."""
    raise ValueError(f"{name} is not a number")
