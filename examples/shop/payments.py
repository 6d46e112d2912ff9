"""A payment provider to develop against: `uvicorn payments:app`. What a request holds decides how it is answered.

The card steers a hold: `tok_ok…` is held, `tok_declined` is declined (402), `tok_error` fails (500), `tok_slow` answers
too late, `tok_busy…` is turned away twice (503) before it is held, `tok_overrun`
each time, `tok_garbled` gets an answer that isn't JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

_RATES = {"EUR": "1", "USD": "1.0842", "GBP": "0.8531", "JPY": "163.27"}
_TOO_LATE_S = 1.0
_TURNED_AWAY = 2
_KINDS = ("authorised", "captured", "settled")

_turned_away: Counter[str] = Counter()


async def hold(request: Request) -> Response:
    """Hold an amount on a card."""
    body = await request.json()
    refusal = await _refusal(body["card"], request.headers.get("idempotency-key", ""))
    if refusal:
        return refusal
    lapses_at = datetime.now(UTC) + timedelta(minutes=10)
    answer = {"id": _new_id("hold"), "amount": body["amount"], "lapses_at": lapses_at.isoformat()}
    return JSONResponse(answer, status_code=201)


async def capture(request: Request) -> Response:
    """Charge an amount that is held."""
    body = await request.json()
    return JSONResponse({"id": _new_id("ch"), "hold": request.path_params["id"], "amount": body["amount"]}, 201)


async def refund(request: Request) -> Response:
    """Give a charge back; the reason `late` makes the provider fail (500)."""
    body = await request.json()
    if body["reason"] == "late":
        return JSONResponse({"error": "internal"}, status_code=500)
    return JSONResponse({"id": _new_id("re"), "charge": body["charge"]}, 201)


async def send_receipt(request: Request) -> Response:
    """Mail a receipt; an address that starts with `bounce` makes the provider fail (500)."""
    body = await request.json()
    if body["email"].startswith("bounce"):
        return JSONResponse({"error": "internal"}, status_code=500)
    await asyncio.sleep(0.03)
    return JSONResponse({"number": f"R-{random.randint(100_000, 999_999)}", "to": body["email"]}, 201)


async def quote(request: Request) -> Response:
    """Bid for a charge: another fee each time."""
    amount = int(request.query_params["amount"])
    await asyncio.sleep(random.uniform(0, 0.01))
    return JSONResponse({"id": _new_id("q"), "fee": amount * random.randint(100, 290) // 10_000})


async def charge(request: Request) -> Response:
    """Show a charge."""
    return JSONResponse({"id": request.path_params["id"], "state": random.choice(_KINDS)})


async def events(request: Request) -> Response:
    """Stream what happens to a charge."""
    count = int(request.query_params.get("count", "3"))
    return StreamingResponse(_events(request.path_params["id"], count), media_type="text/event-stream")


async def parcel(request: Request) -> Response:
    """Say where a parcel is."""
    place = random.choice(["Hamburg", "Kassel", "Ulm"])
    return JSONResponse({"order": request.path_params["id"], "at": place, "seen_at": datetime.now(UTC).isoformat()})


async def rate(request: Request) -> Response:
    """Say what one euro costs."""
    currency = request.path_params["currency"]
    if currency not in _RATES:
        return JSONResponse({"error": "currency_unknown"}, status_code=404)
    return JSONResponse({"currency": currency, "rate": _RATES[currency]})


async def _refusal(card: str, key: str) -> Response | None:
    if card == "tok_declined":
        return JSONResponse({"error": "card_declined"}, status_code=402)
    if card == "tok_error":
        return JSONResponse({"error": "internal"}, status_code=500)
    if card == "tok_garbled":
        return Response("<html>busy</html>", media_type="text/html")
    if card == "tok_slow":
        await asyncio.sleep(_TOO_LATE_S)
    if card == "tok_overrun":
        return JSONResponse({"error": "busy"}, status_code=503)
    if card.startswith("tok_busy"):
        _turned_away[key] += 1
        if _turned_away[key] <= _TURNED_AWAY:
            return JSONResponse({"error": "busy"}, status_code=503)
        del _turned_away[key]
    return None


async def _events(charge_id: str, count: int) -> AsyncIterator[str]:
    for number in range(count):
        event: dict[str, Any] = {"charge": charge_id, "kind": _KINDS[number % len(_KINDS)], "ref": secrets.token_hex(4)}
        yield f"data: {json.dumps(event)}\n\n"
        await asyncio.sleep(0.01)


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(8)}"


app = Starlette(
    routes=[
        Route("/v1/holds", hold, methods=["POST"]),
        Route("/v1/holds/{id}/capture", capture, methods=["POST"]),
        Route("/v1/refunds", refund, methods=["POST"]),
        Route("/v1/receipts", send_receipt, methods=["POST"]),
        Route("/v1/quotes", quote),
        Route("/v1/charges/{id}", charge),
        Route("/v1/charges/{id}/events", events),
        Route("/v1/parcels/{id}", parcel),
        Route("/v1/rates/{currency}", rate),
    ]
)
