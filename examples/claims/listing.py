"""Fifty objects as JSON: models that FastAPI serializes, with and without a return type, or a ready response.

With a return type, FastAPI 0.130 and later lets pydantic write the JSON; without one, it converts each model
to plain dictionaries first.
"""

from datetime import UTC, datetime

from fastapi import FastAPI, Response
from pydantic import BaseModel, TypeAdapter

untyped, typed, ready = FastAPI(), FastAPI(), FastAPI()


class Tag(BaseModel):
    name: str
    workflow: int


class Workflow(BaseModel):
    number: int
    title: str
    owners: list[str]
    paused: bool
    last_run: datetime
    tags: list[Tag]


def workflows() -> list[Workflow]:
    """As a database layer returns them."""
    return [
        Workflow(
            number=number,
            title=f"Workflow {number}",
            owners=["data", "platform"],
            paused=number % 3 == 0,
            last_run=datetime(2026, 1, 1 + number % 28, tzinfo=UTC),
            tags=[Tag(name=name, workflow=number) for name in ("daily", "sales", "team-a")],
        )
        for number in range(50)
    ]


@untyped.get("/workflows")
async def list_untyped():  # type: ignore[no-untyped-def]  # the missing return type is what is measured
    return workflows()


@typed.get("/workflows")
async def list_typed() -> list[Workflow]:
    return workflows()


WRITER = TypeAdapter(list[Workflow])


@ready.get("/workflows")
async def list_ready() -> Response:
    return Response(WRITER.dump_json(workflows()), media_type="application/json")
