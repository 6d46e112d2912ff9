"""Receivers of webhooks, each with its provider's own verification; answers show what was received, byte by byte."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import os
from typing import Any

import pytest_fluxrun as fluxrun

fluxrun.init(project="hooks")

import stripe
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import SecretStr
from slack_sdk.signature import SignatureVerifier
from svix import Webhook, WebhookVerificationError


class Settings:
    """Secrets as services hold them: read at start, some of them wrapped."""

    def __init__(self) -> None:
        self.stripe = os.environ["STRIPE_WEBHOOK_SECRET"]
        self.github = SecretStr(os.environ["GITHUB_WEBHOOK_SECRET"])
        self.svix = os.environ["SVIX_SECRET"]


settings = Settings()
slack = SignatureVerifier(os.environ["SLACK_SIGNING_SECRET"])
api = FastAPI()


def seen(body: bytes, **more: Any) -> dict[str, Any]:
    """What tells one body from any other."""
    return {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), **more}


@api.get("/health")
async def health() -> str:
    return "up"


@api.post("/stripe")
async def from_stripe(request: Request) -> Response:
    body = await request.body()
    try:
        event = stripe.Webhook.construct_event(body, request.headers.get("stripe-signature"), settings.stripe)
    except stripe.SignatureVerificationError as error:
        return JSONResponse({"refused": str(error).partition(".")[0]}, 400)
    except ValueError as error:
        return JSONResponse({"refused": type(error).__name__}, 422)
    return JSONResponse(seen(body, type=event.type, id=event.id))


@api.post("/github")
async def from_github(request: Request) -> Response:
    body = b"".join([chunk async for chunk in request.stream()])
    key = settings.github.get_secret_value().encode()
    expected = "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, request.headers.get("x-hub-signature-256", "")):
        return JSONResponse({"refused": "signature"}, 401)
    plain = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
    return JSONResponse(seen(body, plain=hashlib.sha256(plain).hexdigest(), lines=plain.count(b"\r\n")))


@api.post("/slack")
async def from_slack(request: Request) -> Response:
    body = await request.body()
    if not slack.is_valid_request(body, dict(request.headers)):
        return JSONResponse({"refused": "signature or time"}, 403)
    return JSONResponse({"size": len(body)})  # no digest: Slack sends a token in the body, which is redacted there


@api.post("/svix")
async def from_svix(request: Request) -> Response:
    body = await request.body()
    try:
        Webhook(settings.svix).verify(body, dict(request.headers))
    except WebhookVerificationError as error:
        return JSONResponse({"refused": str(error)}, 400)
    return JSONResponse(seen(body))


app = fluxrun.instrument(api)
