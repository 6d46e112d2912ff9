"""Products, quotes, the daily report and the feed."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select

from shop.database import Order, Product, open_async_session, open_session
from shop.payments_client import payments
from shop.problems import Problem, UnknownProduct
from shop.rates import rates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

logger = logging.getLogger(__name__)
router = APIRouter()


class ProductView(BaseModel):
    """A product as the client sees it."""

    model_config = ConfigDict(from_attributes=True)

    sku: str
    name: str
    price_cents: int


@router.get("/products")
def list_products(below_cents: Annotated[int | None, Query(gt=0)] = None) -> list[ProductView]:
    """List what is for sale, cheapest first."""
    query = select(Product).order_by(Product.price_cents, Product.sku)
    if below_cents is not None:
        query = query.where(Product.price_cents < below_cents)
    with open_session() as session:
        return [ProductView.model_validate(product) for product in session.scalars(query)]


@router.get("/products/{sku}/price")
def convert_price(sku: str, currency: str = "EUR") -> dict[str, str]:
    """Show a price in another currency."""
    with open_session() as session:
        product = session.get(Product, sku)
    if product is None:
        raise UnknownProduct
    return {"sku": sku, "currency": currency, "price": str(product.price_cents * rates.rate(currency) / 100)}


@router.post("/products/import", status_code=201)
async def import_products(request: Request) -> dict[str, int]:
    """Take in a CSV of sku, name, price_cents; the body is read as it arrives."""
    parts = [part async for part in request.stream()]
    try:
        rows = [Product(sku=sku, name=name, price_cents=int(price)) for sku, name, price in _rows(b"".join(parts))]
    except ValueError as error:
        logger.info("an import was refused: %s", error)
        raise Problem from error
    await run_in_threadpool(_save, rows)
    return {"imported": len(rows)}


@router.get("/quotes")
async def compare_quotes(amount_cents: Annotated[int, Query(gt=0)]) -> dict[str, object]:
    """Ask three times what a charge would cost, at once, and show the best answer."""
    quotes = await asyncio.gather(*(payments.quote(amount_cents) for _ in range(3)))
    return {"best": min(quotes, key=lambda quote: (quote["fee"], quote["id"])), "all": quotes}


@router.get("/report")
async def report(status: Literal["paid", "refunded"] = "paid") -> dict[str, object]:
    """Add up the orders of a status; this one goes through the asynchronous engine."""
    query = (
        select(Order.currency, func.count(), func.sum(Order.total_cents))
        .where(Order.status == status)
        .group_by(Order.currency)
        .order_by(Order.currency)
    )
    async with open_async_session() as session:
        sums = [{"currency": c, "orders": n, "total_cents": total} for c, n, total in await session.execute(query)]
    known = {currency: str(rate) for currency, rate in rates.known().items()}
    return {"status": status, "made_at": datetime.now(UTC).isoformat(), "sums": sums, "rates": known}


@router.get("/feed")
async def feed(ticks: Annotated[int, Query(ge=1, le=200)] = 3) -> StreamingResponse:
    """Stream the number of orders as server-sent events."""
    return StreamingResponse(_ticks(ticks), media_type="text/event-stream")


@router.get("/debug/error")
async def fail(kind: Literal["value", "key", "group", "cause"] = "value", note: str = "on purpose") -> None:
    """Raise an error on purpose, to see that the alarm rings."""
    if kind == "key":
        raise KeyError(note)
    if kind == "group":
        async with asyncio.TaskGroup() as group:
            group.create_task(_explode(note))
    if kind == "cause":
        try:
            int(note)
        except ValueError as error:
            message = "could not read the note"
            raise RuntimeError(message) from error
    raise ValueError(note)


async def _explode(note: str) -> None:
    await asyncio.sleep(0)
    raise LookupError(note)


async def _ticks(count: int) -> AsyncIterator[str]:
    for number in range(count):
        async with open_async_session() as session:
            orders = await session.scalar(select(func.count()).select_from(Order))
        tick = {"number": number, "orders": orders, "at": datetime.now(UTC).isoformat()}
        yield f"id: {uuid.uuid4()}\ndata: {json.dumps(tick)}\n\n"
        await asyncio.sleep(0.01)


def _rows(body: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode())))


def _save(rows: list[Product]) -> None:
    with open_session.begin() as session:
        for row in rows:
            session.merge(row)
