"""What the payment provider tells the shop: signed, fresh, and taken in once."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from sqlalchemy import update

from shop.database import Order, PaymentEvent, open_session
from shop.problems import BadSignature
from shop.settings import WEBHOOK_SECRET

logger = logging.getLogger(__name__)
router = APIRouter(prefix="/webhooks")

_TOLERANCE_S = 300


class Event(BaseModel):
    """An event as the provider sends it."""

    id: str
    kind: str
    charge: str


@router.post("/payments")
async def take_event(request: Request, payments_signature: Annotated[str, Header()] = "") -> dict[str, str]:
    """Check the signature over the raw body, then take the event in."""
    body = await request.body()
    _verify(payments_signature, body)
    event = Event.model_validate_json(body)
    return {"event": event.id, "result": await run_in_threadpool(_take, event)}


def _verify(header: str, body: bytes) -> None:
    """Check a header `t=<unix seconds>,v1=<hex>`, where v1 is HMAC-SHA256 over `t`, a dot, and the body."""
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    signed_at = parts.get("t", "")
    expected = hmac.new(WEBHOOK_SECRET, signed_at.encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), parts.get("v1", "").encode()):
        logger.warning("a webhook with a wrong signature was refused")
        raise BadSignature
    if abs(time.time() - int(signed_at)) > _TOLERANCE_S:
        logger.warning("a webhook that was signed at %s was refused", signed_at)
        raise BadSignature


def _take(event: Event) -> str:
    with open_session.begin() as session:
        if session.get(PaymentEvent, event.id):
            return "known"
        session.add(PaymentEvent(id=event.id, kind=event.kind, received_at=datetime.now(UTC)))
        if event.kind == "charge.refunded":
            session.execute(update(Order).where(Order.charge_id == event.charge).values(status="refunded"))
    return "taken"
