"""The provider to record against: `uvicorn outside:app`. What a request holds decides how it is answered."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

_TURNED_AWAY = 2
_TOO_LATE_S = 1.0
_VOUCHERS = {"TEN": 10, "HALF": 50, "THIRD": 33}

_turned_away: Counter[str] = Counter()


async def charge(request: Request) -> Response:
    """Charge a card, which says how that ends."""
    body = await request.json()
    card, key = body["card"], request.headers["idempotency-key"]
    if card == "declined":
        return JSONResponse({"error": "declined"}, 402)
    if card == "broken":
        return JSONResponse({"error": "internal"}, 500)
    if card == "garbled":
        return Response("<html>busy</html>", media_type="text/html")
    if card == "slow":
        await asyncio.sleep(_TOO_LATE_S)
    if card == "full":
        return JSONResponse({"error": "busy"}, 503)
    if card == "busy" and _turned_away[key] < _TURNED_AWAY:
        _turned_away[key] += 1
        return JSONResponse({"error": "busy"}, 503)
    return JSONResponse({"id": f"ch_{secrets.token_hex(8)}", "amount": body["amount"]}, 201)


async def refund(request: Request) -> Response:
    """Give something back."""
    return JSONResponse({"id": f"re_{secrets.token_hex(8)}", "charge": request.path_params["id"]}, 201)


async def mail(request: Request) -> Response:
    """Take a mail; an address that begins with `bounce` is refused."""
    body = await request.json()
    if body["to"].startswith("bounce"):
        return JSONResponse({"error": "bounced"}, 500)
    return JSONResponse({"queued": True}, 202)


async def voucher(request: Request) -> Response:
    """Show a voucher."""
    percent = _VOUCHERS.get(request.path_params["code"])
    return JSONResponse({"error": "unknown"}, 404) if percent is None else JSONResponse({"percent": percent})


async def account(request: Request) -> Response:
    """Show an account."""
    return JSONResponse({"account": request.path_params["name"], "paid_out": 250_000})


app = Starlette(
    routes=[
        Route("/charges", charge, methods=["POST"]),
        Route("/charges/{id}/refunds", refund, methods=["POST"]),
        Route("/mails", mail, methods=["POST"]),
        Route("/vouchers/{code}", voucher),
        Route("/accounts/{name}", account),
    ]
)
