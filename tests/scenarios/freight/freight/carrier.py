"""The carriers' gateway: rates, space, confirmations, positions; and webhooks to customers."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any

import httpx

from freight.settings import settings

__all__ = ["CarrierError", "CarrierGateway", "blocking", "deliver", "gateway", "signature"]


class CarrierError(Exception):
    """The gateway refused, or didn't answer in time."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class CarrierGateway:
    """The gateway for coroutines; one connection pool for the process."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(
            base_url=settings.carrier_url,
            timeout=httpx.Timeout(5.0, connect=1.0),
            headers={"X-Api-Key": settings.carrier_key.get_secret_value()},
        )

    async def close(self) -> None:
        """Close the pool."""
        await self._client.aclose()

    async def _get(self, path: str, *, attempts: int = 3, **params: Any) -> Any:
        """Ask for something, again where the gateway is busy."""
        for attempt in range(1, attempts + 1):
            response = await self._client.get(path, params=params)
            if response.status_code != 503 or attempt == attempts:
                break
            await asyncio.sleep(float(response.headers.get("retry-after", "0.05")) * attempt)
        if response.is_error:
            raise CarrierError(f"{path}: {response.text}", response.status_code)
        return response.json()

    async def spot_rate(self, origin: str, destination: str, teu: int) -> dict[str, Any]:
        """Today's price of a lane."""
        rate: dict[str, Any] = await self._get("/rates", origin=origin, destination=destination, teu=teu)
        return rate

    async def space(self, voyage: str, teu: int) -> bool:
        """Whether a voyage has room."""
        return bool((await self._get(f"/voyages/{voyage}/space", teu=teu))["available"])

    async def position(self, imo: int) -> dict[str, Any]:
        """Where a vessel is."""
        response = await self._client.get(f"/vessels/{imo}/position")
        response.raise_for_status()
        position: dict[str, Any] = response.json()
        return position

    async def validate_address(self, text: str) -> str:
        """An address as the gateway spells it."""
        response = await self._client.post("/addresses/validate", json={"text": text})
        response.raise_for_status()
        return str(response.json()["text"])

    async def exchange_rate(self, currency: str) -> str:
        """Euros for a unit of a currency."""
        return str((await self._get(f"/exchange/{currency}"))["euros"])


def blocking() -> httpx.Client:
    """A client for code that blocks; close it."""
    return httpx.Client(
        base_url=settings.carrier_url,
        timeout=5.0,
        headers={"X-Api-Key": settings.carrier_key.get_secret_value()},
    )


def signature(secret: str, body: bytes, at: int) -> str:
    """What proves that a webhook comes from who knows the secret."""
    return hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()


def deliver(client: httpx.Client, url: str, secret: str, topic: str, body: dict[str, Any]) -> int:
    """Send a webhook; returns the status, 0 where nobody answered."""
    raw = json.dumps(body, sort_keys=True, default=str).encode()
    at = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "X-Freight-Topic": topic,
        "X-Freight-Signature": f"t={at},v1={signature(secret, raw, at)}",
    }
    try:
        return client.post(url, content=raw, headers=headers).status_code
    except httpx.TransportError:
        return 0


gateway = CarrierGateway()
