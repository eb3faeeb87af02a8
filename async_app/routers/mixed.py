"""One request that reads, calls a service, computes and writes, as real ones do."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter

from async_app.database import Reading, Writing
from async_app.upstream import SlowService
from shared_models import queries, work
from shared_models.errors import found
from shared_models.schemas import CheckoutIn, OrderOut
from shared_models.tables import Order, User

router = APIRouter(tags=["mixed"])


@router.post("/checkout", status_code=HTTPStatus.CREATED, response_model=OrderOut)
async def checkout(order: CheckoutIn, reading: Reading, writing: Writing, upstream: SlowService) -> Order:
    """A purchase: reads, calls the payment service, computes a receipt, writes the order. No database
    connection is held during the call to the payment service. Expect the database driver to decide."""
    async with reading() as session:
        found(await session.get(User, order.user_id), "User")
        found(await session.scalar(queries.post(order.post_id)), "Post")
    payment = await upstream.call(0.02)
    receipt = work.receipt(order.user_id, order.post_id, payment)
    row = Order(user_id=order.user_id, post_id=order.post_id, receipt=receipt)
    async with writing() as session:
        session.add(row)
        await session.commit()
    return row
