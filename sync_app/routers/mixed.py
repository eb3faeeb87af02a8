"""One request that reads, calls a service, computes and writes, as real ones do."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter

from shared_models import queries, work
from shared_models.errors import found
from shared_models.schemas import CheckoutIn, OrderOut
from shared_models.tables import Order, User
from sync_app.database import Reading, Writing
from sync_app.upstream import SlowService

router = APIRouter(tags=["mixed"])


@router.post("/checkout", status_code=HTTPStatus.CREATED, response_model=OrderOut)
def checkout(order: CheckoutIn, reading: Reading, writing: Writing, upstream: SlowService) -> Order:
    """A purchase: reads, calls the payment service, computes a receipt, writes the order. No database
    connection is held during the call to the payment service. Expect the database driver to decide."""
    with reading() as session:
        found(session.get(User, order.user_id), "User")
        found(session.scalar(queries.post(order.post_id)), "Post")
    payment = upstream.call(0.02)
    receipt = work.receipt(order.user_id, order.post_id, payment)
    row = Order(user_id=order.user_id, post_id=order.post_id, receipt=receipt)
    with writing() as session:
        session.add(row)
        session.commit()
    return row
