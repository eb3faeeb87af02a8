"""Endpoints that compute: inline on a pool thread, or inline on the loop. That is the experiment."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from shared_models import work
from shared_models.schemas import Answer

router = APIRouter(tags=["computing"])

Iterations = Annotated[int, Query(ge=1, le=5_000_000)]
Width = Annotated[int, Query(ge=16, le=640)]


@router.get("/python")
def compute_in_python(iterations: Iterations = work.PYTHON_ITERATIONS) -> Answer:
    """Plain bytecode, as business rules are. It holds the GIL: expect throughput to tie, and whatever shares
    the async app's loop to wait."""
    return Answer(result=str(work.python(iterations)))


@router.get("/hash")
def hash_password(iterations: Iterations = work.HASH_ITERATIONS) -> Answer:
    """A password hash, as at a login. It releases the GIL: expect threads to gain from a second core, and the
    async app's loop to stand still meanwhile."""
    return Answer(result=work.hash(iterations))


@router.get("/crunch")
def crunch_data(rows: Iterations = work.CRUNCH_ROWS) -> dict[str, float]:
    """Groups and averages rows, as a dashboard does. It holds the GIL: expect what `python` shows."""
    return work.crunch(rows)


@router.get("/image", response_class=Response)
def make_thumbnail(width: Width = work.IMAGE_WIDTH) -> Response:
    """A thumbnail with Pillow, as after an upload. It releases the GIL for most of its time: expect what
    `hash` shows."""
    return Response(work.image(width), media_type="image/png")
