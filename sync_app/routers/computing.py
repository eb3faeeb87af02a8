"""CPU-bound endpoints: inline on a pool thread (sync) or inline on the event loop (async), on purpose."""

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
    """Pure Python, as in business rules. It holds the GIL: expect equal throughput, and requests that share
    the event loop to wait in the async app."""
    return Answer(result=str(work.python(iterations)))


@router.get("/hash")
def hash_password(iterations: Iterations = work.HASH_ITERATIONS) -> Answer:
    """A password hash, as at login. It releases the GIL: expect threads to profit from a second core, and the
    async app's event loop to be blocked meanwhile."""
    return Answer(result=work.hash(iterations))


@router.get("/crunch")
def crunch_data(rows: Iterations = work.CRUNCH_ROWS) -> dict[str, float]:
    """Groups and averages rows, as a dashboard does. It holds the GIL: expect the same as for `python`."""
    return work.crunch(rows)


@router.get("/image", response_class=Response)
def make_thumbnail(width: Width = work.IMAGE_WIDTH) -> Response:
    """A thumbnail made by Pillow, as after an upload. It releases the GIL most of the time: expect the same
    as for `hash`."""
    return Response(work.image(width), media_type="image/png")
