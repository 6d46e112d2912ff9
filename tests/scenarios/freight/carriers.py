"""The carriers' gateway and a customer's webhook server, as the desk finds them on loopback; some answers are held."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse

app = FastAPI()
seen: Counter[str] = Counter()
holding: dict[str, tuple[asyncio.Event, asyncio.Event]] = {}
"""That an answer is held, and that it is released."""


async def _held(name: str) -> None:
    """Wait until somebody releases what is held under a name."""
    held, released = holding.setdefault(name, (asyncio.Event(), asyncio.Event()))
    held.set()
    await asyncio.wait_for(released.wait(), 10)


@app.get("/health")
async def health() -> str:
    return "up"


@app.get("/held/{name}")
async def held(name: str) -> None:
    """Answers as soon as something is held under the name."""
    await asyncio.wait_for(holding.setdefault(name, (asyncio.Event(), asyncio.Event()))[0].wait(), 10)


@app.post("/release/{name}")
async def release(name: str) -> None:
    holding[name][1].set()


@app.get("/rates")
async def rates(origin: str, destination: str, teu: int, x_api_key: Annotated[str, Header()]) -> Any:
    """503 at the first question about Durban, 404 where nobody sails."""
    if destination == "BRSSZ":
        raise HTTPException(404, "no service")
    if destination == "ZADUR":
        seen["durban"] += 1
        if seen["durban"] % 2:
            return JSONResponse({"busy": True}, 503, {"Retry-After": "0.02"})
    price = Decimal(1000 + secrets.randbelow(900)) + Decimal("0.5")
    return {"per_teu": str(price), "currency": "USD", "offer": secrets.token_hex(6), "for": teu, "key": x_api_key[:3]}


@app.get("/voyages/{number}/space")
async def space(number: str, teu: int) -> Any:
    if teu == 13:
        await _held("space")
    until = datetime.now(UTC) + timedelta(hours=24)
    return {"voyage": number, "available": teu < 500, "held_until": until.isoformat()}


@app.get("/vessels/{imo}/position")
async def position(imo: int) -> Any:
    seen[f"position {imo}"] += 1
    if imo == 9839430 and seen[f"position {imo}"] == 1:
        return JSONResponse({"busy": True}, 503, {"Retry-After": "0.02"})
    return {"latitude": 50.1 + secrets.randbelow(100) / 100, "longitude": 3.25, "knots": 14.5, "at": datetime.now(UTC)}


@app.post("/addresses/validate")
async def validate(body: dict[str, str]) -> Any:
    if "hold" in body["text"]:
        await _held("address")
    return {"text": " ".join(body["text"].split()).title(), "confidence": 0.93}


@app.get("/exchange/{currency}")
async def exchange(currency: str) -> Any:
    return {"currency": currency, "euros": "0.0861", "source": "spot"}


@app.post("/bookings", status_code=201)
async def bookings(body: dict[str, Any]) -> Any:
    """Busy at the first booking of a voyage with six TEU; full beyond eight."""
    if body["teu"] > 8:
        return JSONResponse({"full": True}, 409)
    seen[f"booking {body['teu']}"] += 1
    if body["teu"] == 6 and seen["booking 6"] == 1:
        return JSONResponse({"busy": True}, 503)
    return {"confirmed_at": datetime.now(UTC).isoformat(), "number": secrets.token_hex(4)}


@app.post("/hooks/acme")
async def hook(request: Request, x_freight_signature: Annotated[str, Header()]) -> Any:
    await request.body()
    return {"seen": x_freight_signature.startswith("t=")}


@app.post("/hooks/refused")
async def refused() -> Response:
    return Response("gone", 410)
