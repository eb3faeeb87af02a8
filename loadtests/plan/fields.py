"""Plain frozen models, and the kinds of text and number that their fields hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from loadtests.errors import PlanError

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]

BREAKING = (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029)
"""Characters that would break a line."""

COMMANDING = (0x1B, 0x9B, *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))
"""Characters that control a terminal, or change the direction of writing."""

CONTROLS = dict.fromkeys(BREAKING, " ") | dict.fromkeys(COMMANDING, "\ufffd")


def one_line(text: str) -> str:
    """A text as it may be shown anywhere: no control character in it, and no longer than a paragraph."""
    return text.translate(CONTROLS)[:2_000]


Line = Annotated[str, AfterValidator(one_line)]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

Amount = Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)]
"""A count or a time: never negative, never infinite."""


class Frozen(BaseModel):
    """Plain data that does not change and knows all its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], values: Mapping[str, Any], what: str) -> Model:
    """`model` from `values`; raises PlanError that names the first field that is wrong."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise PlanError(f"{what}: {place + ': ' if place else ''}{message}") from None
