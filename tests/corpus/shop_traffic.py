"""One request of each sort for the shop, those on its limits among them. Knows the shop only through HTTP."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import httpx

__all__ = ["drive"]


async def drive(base_url: str, everyday: ModuleType) -> list[str]:
    """Send the requests, one after another.

    Args:
        base_url: where the shop is.
        everyday: its own `traffic.py`, which makes orders and signs webhooks.

    Returns:
        What wasn't answered as intended.
    """
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=base_url, timeout=10, limits=limits) as client:
        traffic = everyday.Traffic(client, random.Random(1))
        order = await _buy(traffic)
        await _look(traffic, order)
        await _give_back(traffic, order)
        await _notify(traffic, everyday, order)
        await _be_refused(traffic)
        await traffic.leave("left", "GET", "/feed?ticks=50")
    surprises: list[str] = traffic.surprises
    return surprises


async def _buy(traffic: Any) -> dict[str, str]:
    drawn = (await traffic.send("draw", "POST", "/coupons/draw", 201)).json()
    order: dict[str, str] = await traffic.place("order", sku="pot", quantity=3, currency="EUR", coupon=drawn["code"])
    await traffic.place("free shipping", sku="tea", quantity=6, currency="USD", email="a@b")
    await traffic.place("large", sku="pot", quantity=20, currency="GBP", card="tok_busy_1")
    await traffic.place("honoured coupon", sku="mug", quantity=1, currency="EUR", coupon="lastweek")
    await traffic.place("expired coupon", 409, sku="mug", quantity=1, currency="JPY", coupon="SPRING")
    await traffic.place("unknown coupon", 404, sku="mug", quantity=1, currency="EUR", coupon="NOPE")
    await traffic.place("declined", 402, sku="mug", quantity=1, currency="EUR", card="tok_declined")
    await traffic.place("fails", 502, sku="mug", quantity=1, currency="EUR", card="tok_error")
    await traffic.place("garbled", 502, sku="mug", quantity=1, currency="EUR", card="tok_garbled")
    await traffic.place("silent", 504, sku="mug", quantity=1, currency="EUR", card="tok_slow")
    return order


async def _look(traffic: Any, order: dict[str, str]) -> None:
    path = f"/orders/{order['id']}"
    bounced = await traffic.place("bounces", sku="mug", quantity=1, currency="EUR", email="bounce@example.org")
    await traffic.send("no receipt", "GET", f"/orders/{bounced['id']}/receipt", 404)
    for label, path, status in (
        ("products", "/products?below_cents=1200", 200),
        ("price", "/products/mug/price?currency=USD", 200),
        ("price, unknown", "/products/cup/price", 404),
        ("price, unknown", "/products/mug/price?currency=XXX", 400),
        ("quotes", "/quotes?amount_cents=1", 200),
        ("report", "/report", 200),
        ("feed", "/feed?ticks=2", 200),
        ("feed, refused", "/feed?ticks=201", 422),
        ("raised", "/debug/error?kind=value", 500),
        ("raised", "/debug/error?kind=key&note=k", 500),
        ("raised", "/debug/error?kind=group", 500),
        ("raised", "/debug/error?kind=cause", 500),
        ("coupon", "/coupons/welcome", 200),
        ("coupon", "/coupons/SPRING", 200),
        ("orders", "/orders?limit=50&status=paid", 200),
        ("orders, refused", "/orders?limit=51", 422),
        ("order", path, 200),
        ("receipt", f"{path}/receipt", 200),
        ("tracking", f"{path}/tracking", 200),
        ("events", f"{path}/events?count=2", 200),
        ("unknown", "/orders/00000000-0000-0000-0000-000000000000", 404),
        ("health", "/health", 200),
    ):
        await traffic.send(label, "GET", path, status)


async def _give_back(traffic: Any, order: dict[str, str]) -> None:
    path = f"/orders/{order['id']}/refund"
    await traffic.send("refund, fails", "POST", path, 502, json={"reason": "late"})
    await traffic.send("refund", "POST", path, 200, json={"reason": "broken"})
    await traffic.send("refund, again", "POST", path, 409, json={})


async def _notify(traffic: Any, everyday: ModuleType, order: dict[str, str]) -> None:
    body = b'{"id": "evt_1", "kind": "charge.refunded", "charge": "%s"}' % order["charge_id"].encode()
    for status, signature in (
        (200, everyday._sign(body)),
        (200, everyday._sign(body)),
        (400, everyday._sign(body, secret=b"guess")),
        (400, everyday._sign(body, age_s=301)),
        (400, ""),
    ):
        headers = {"Payments-Signature": signature} if signature else {}
        await traffic.send("webhook", "POST", "/webhooks/payments", status, content=body, headers=headers)
    stock = b"cup,Cup,700\npan,Pan,1900\n"
    await traffic.send("import", "POST", "/products/import", 201, content=stock)
    await traffic.send("import, refused", "POST", "/products/import", 400, content=b"cup,Cup,cheap\n")


async def _be_refused(traffic: Any) -> None:
    await traffic.place("unknown product", 404, sku="sofa", quantity=1, currency="EUR")
    await traffic.place("too many", 422, sku="mug", quantity=21)
    await traffic.place("too short", 422, sku="mug", email="ab")
