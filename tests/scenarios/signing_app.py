"""A service that signs with secrets of its environment: what it shows, and what it sends to a gateway."""

from __future__ import annotations

import hashlib
import hmac
import os

import pytest_fluxrun as fluxrun

fluxrun.init(project="signing")

import httpx
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from itsdangerous import URLSafeSerializer

api = FastAPI()
gateway = FastAPI()


@api.get("/feed/{name}", response_class=HTMLResponse)
def feed(name: str) -> HTMLResponse:
    """A page with a link that only this service can make, and a tag of all of it."""
    signed = URLSafeSerializer(os.environ["SIGNING_SECRET"]).dumps(name)
    page = f'<h1>{name}</h1><a href="/feed/{signed}.xml">Subscribe</a>'
    return HTMLResponse(page, headers={"etag": f'"{hashlib.md5(page.encode(), usedforsecurity=False).hexdigest()}"'})


@api.get("/card/{name}", response_class=HTMLResponse)
def card(name: str) -> str:
    """A signed link, and the same one drawn."""
    signed = URLSafeSerializer(os.environ["SIGNING_SECRET"]).dumps(name)
    drawn = "".join(f"<i style='width:{ord(letter) - 44}px'></i>" * (1 + ord(letter) % 2) for letter in signed)
    return f'<a href="/join/{signed}">{drawn}</a>'


@api.post("/refund/{amount}")
def refund(amount: int) -> object:
    """A request whose body is signed, as payment gateways want it."""
    text = f"refund|{amount}|EUR"
    checksum = hmac.new(os.environ["GATEWAY_SECRET"].encode(), text.encode(), hashlib.sha256).hexdigest()
    asked = {"amount": amount, "currency": "EUR", "checksum": checksum}
    return httpx.post(f"{os.environ['GATEWAY']}/refunds", json=asked).json()


@api.get("/health")
def health() -> str:
    return "ok"


@gateway.post("/refunds")
def refunds(asked: dict[str, object]) -> object:
    return {"refunded": asked["amount"]}


app = fluxrun.instrument(api)
