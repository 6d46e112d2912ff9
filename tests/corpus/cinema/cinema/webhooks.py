"""What the provider tells the box office: signed, fresh, and taken in once."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time

from flask import Blueprint, Response, jsonify, request

from cinema import database
from cinema.problems import Forged, Problem
from cinema.settings import WEBHOOK_SECRET

logger = logging.getLogger(__name__)
blueprint = Blueprint("webhooks", __name__)

_TOLERANCE_S = 300
_STATUS = {"charge.settled": "settled", "charge.disputed": "disputed"}


@blueprint.post("/webhooks/provider")
def take_event() -> Response:
    """Check the signature over the raw body, then take the event in."""
    body = request.get_data()
    _verify(request.headers.get("Provider-Signature", ""), body)
    event = request.get_json()
    if event["kind"] not in _STATUS:
        raise Problem
    with database.transaction() as connection:
        known = connection.execute("SELECT 1 FROM events WHERE id = ?", (event["id"],)).fetchone()
        if known:
            return jsonify(result="known")
        connection.execute(
            "INSERT INTO events (id, kind, taken_at) VALUES (?, ?, ?)", (event["id"], event["kind"], time.time())
        )
        database.set_status(connection, event["booking"], _STATUS[event["kind"]])
    return jsonify(result="taken")


def _verify(header: str, body: bytes) -> None:
    """Check a header `<unix seconds>.<hex>`: HMAC-SHA256 over the seconds, a dot, and the body."""
    signed_at, _, signature = header.partition(".")
    expected = hmac.new(WEBHOOK_SECRET, signed_at.encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, signature):
        logger.warning("a webhook with a wrong signature was refused")
        raise Forged
    if abs(time.time() - int(signed_at)) > _TOLERANCE_S:
        logger.warning("a webhook that was signed at %s was refused", signed_at)
        raise Forged
