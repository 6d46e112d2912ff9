"""Orders: placing, reading, following, refunding; the receipt is sent after the response."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, BackgroundTasks, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

import pytest_fluxrun as fluxrun
from shop import coupons
from shop.database import Order, Product, Receipt, open_session
from shop.payments_client import payments
from shop.problems import NoReceipt, NotRefundable, UnknownOrder, UnknownProduct
from shop.rates import rates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/orders")

_LARGE_CENTS = 20_000
_RECEIPT_LOOKS = 20
_RECEIPT_PAUSE_S = 0.02


class NewOrder(BaseModel):
    """What a client sends to order."""

    email: str = Field(min_length=3)
    sku: str
    quantity: int = Field(ge=1, le=20)
    currency: str = Field(default="EUR", pattern="^[A-Z]{3}$")
    card: str
    coupon: str | None = None


class OrderView(BaseModel):
    """An order as the client sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    email: str
    sku: str
    quantity: int
    currency: str
    total_cents: int
    discount_percent: int
    charge_id: str
    status: str
    created_at: datetime


class Refund(BaseModel):
    """Why a client wants its money back."""

    reason: Literal["broken", "late", "unwanted"] = "unwanted"


@router.post("", status_code=201)
async def place_order(new: NewOrder, background: BackgroundTasks) -> OrderView:
    """Take an order: price it, hold the amount, apply the coupon, charge, save."""
    price_cents = await run_in_threadpool(_price, new.sku)
    rate = await run_in_threadpool(rates.rate, new.currency)
    full_cents = int(price_cents * new.quantity * rate) + _shipping_cents(price_cents * new.quantity)

    # The hold comes first: a card that is declined must not use up a coupon.
    hold_id = await payments.hold(full_cents, new.currency, new.card)
    percent = await run_in_threadpool(coupons.redeem, new.coupon) if new.coupon else 0
    total_cents = int(full_cents * Decimal(100 - percent) / 100)
    charge_id = await payments.capture(hold_id, total_cents)

    order = Order(
        id=str(uuid.uuid4()),
        **new.model_dump(exclude={"card", "coupon"}),
        total_cents=total_cents,
        discount_percent=percent,
        charge_id=charge_id,
        status="paid",
        created_at=datetime.now(UTC),
    )
    await run_in_threadpool(_save, order)
    logger.info("order %s paid: %d %s", order.id, total_cents, new.currency)
    background.add_task(send_receipt, order.id, charge_id, new.email)
    return OrderView.model_validate(order)


@fluxrun.capture("receipts.send")
async def send_receipt(order_id: str, charge_id: str, email: str) -> str:
    """Have the receipt mailed and note its number, which is returned."""
    number = await payments.send_receipt(charge_id, email)
    await run_in_threadpool(_save, Receipt(order_id=order_id, number=number, sent_at=datetime.now(UTC)))
    logger.info("receipt %s sent for order %s", number, order_id)
    return number


@router.get("")
def list_orders(
    status: Literal["paid", "refunded"] | None = None, limit: Annotated[int, Query(ge=1, le=50)] = 10
) -> list[OrderView]:
    """List the newest orders."""
    query = select(Order).order_by(Order.created_at.desc(), Order.id).limit(limit)
    if status:
        query = query.where(Order.status == status)
    with open_session() as session:
        return [OrderView.model_validate(order) for order in session.scalars(query)]


@router.get("/{order_id}")
def read_order(order_id: uuid.UUID) -> OrderView:
    """Show one order."""
    return OrderView.model_validate(_order(order_id))


@router.get("/{order_id}/receipt")
def read_receipt(order_id: uuid.UUID) -> dict[str, str]:
    """Show the receipt's number; it is sent after the order's response, so look more than once."""
    _order(order_id)
    for _ in range(_RECEIPT_LOOKS):
        with open_session() as session:
            receipt = session.get(Receipt, str(order_id))
        if receipt:
            return {"number": receipt.number, "sent_at": receipt.sent_at.isoformat()}
        time.sleep(_RECEIPT_PAUSE_S)
    raise NoReceipt


@router.get("/{order_id}/tracking")
async def track_order(order_id: uuid.UUID) -> dict[str, object]:
    """Ask for the charge and for the parcel at the same time."""
    order = await run_in_threadpool(_order, order_id)
    async with asyncio.TaskGroup() as group:
        charge = group.create_task(payments.charge(order.charge_id))
        parcel = group.create_task(payments.parcel(order.id))
    return {"charge": charge.result(), "parcel": parcel.result()}


@router.get("/{order_id}/events")
async def follow_order(order_id: uuid.UUID, count: Annotated[int, Query(ge=1, le=50)] = 3) -> StreamingResponse:
    """Stream what happens to the order's charge as server-sent events."""
    order = await run_in_threadpool(_order, order_id)
    return StreamingResponse(_events(order.charge_id, count), media_type="text/event-stream")


@router.post("/{order_id}/refund")
async def refund_order(order_id: uuid.UUID, refund: Refund) -> dict[str, str]:
    """Give the money back."""
    order = await run_in_threadpool(_order, order_id)
    if order.status != "paid":
        raise NotRefundable
    refund_id = await payments.refund(order.charge_id, refund.reason)
    order.status = "refunded"
    await run_in_threadpool(_save, order)
    if order.total_cents > _LARGE_CENTS:
        fluxrun.keep()
    return {"refund": refund_id, "status": order.status}


def _price(sku: str) -> int:
    with open_session() as session:
        product = session.get(Product, sku)
    if product is None:
        raise UnknownProduct
    return product.price_cents


def _shipping_cents(goods_cents: int) -> int:
    free_from_cents = int(os.environ.get("SHOP_FREE_SHIPPING_CENTS", "5000"))
    return 0 if goods_cents >= free_from_cents else 490


def _order(order_id: uuid.UUID) -> Order:
    with open_session() as session:
        order = session.get(Order, str(order_id))
    if order is None:
        raise UnknownOrder
    return order


def _save(row: Order | Receipt) -> None:
    with open_session.begin() as session:
        session.merge(row)


async def _events(charge_id: str, count: int) -> AsyncIterator[str]:
    async for data in payments.events(charge_id, count):
        event = json.loads(data)
        seen_at = datetime.now(UTC).isoformat()
        yield f"id: {uuid.uuid4()}\nevent: {event['kind']}\ndata: {json.dumps({**event, 'seen_at': seen_at})}\n\n"
