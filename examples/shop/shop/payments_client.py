"""The payment provider's API as the shop uses it: holds, charges, quotes, events, receipts. Knows nothing of orders."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from typing import TYPE_CHECKING, Any

import httpx

from shop.problems import CardDeclined, PaymentsFailed, PaymentsTimedOut
from shop.settings import PAYMENTS_URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

logger = logging.getLogger(__name__)

_TRIES = 3
_FIRST_PAUSE_S = 0.02


class Payments:
    """One connection pool to the payment provider.

    Every method raises `CardDeclined`, `PaymentsTimedOut` or `PaymentsFailed`.
    """

    def __init__(self, base_url: str) -> None:
        self._client = httpx.AsyncClient(base_url=base_url, timeout=httpx.Timeout(2.0, read=0.4))

    async def aclose(self) -> None:
        """Close the pool."""
        await self._client.aclose()

    async def hold(self, amount_cents: int, currency: str, card: str) -> str:
        """Hold an amount on a card; a hold that is never captured lapses by itself. Returns its id."""
        held = await self._post("/v1/holds", {"amount": amount_cents, "currency": currency, "card": card})
        return str(held["id"])

    async def capture(self, hold_id: str, amount_cents: int) -> str:
        """Charge an amount, at most the one that is held. Returns the charge's id."""
        charge = await self._post(f"/v1/holds/{hold_id}/capture", {"amount": amount_cents})
        return str(charge["id"])

    async def refund(self, charge_id: str, reason: str) -> str:
        """Give a charge back. Returns the refund's id."""
        return str((await self._post("/v1/refunds", {"charge": charge_id, "reason": reason}))["id"])

    async def send_receipt(self, charge_id: str, email: str) -> str:
        """Have a receipt mailed. Returns its number."""
        return str((await self._post("/v1/receipts", {"charge": charge_id, "email": email}))["number"])

    async def quote(self, amount_cents: int) -> dict[str, Any]:
        """Ask what a charge would cost the shop; each answer differs, as providers bid."""
        return await self._get("/v1/quotes", amount=amount_cents)

    async def charge(self, charge_id: str) -> dict[str, Any]:
        """Return the state of a charge."""
        return await self._get(f"/v1/charges/{charge_id}")

    async def parcel(self, order_id: str) -> dict[str, Any]:
        """Return where the parcel of an order is."""
        return await self._get(f"/v1/parcels/{order_id}")

    async def events(self, charge_id: str, count: int) -> AsyncIterator[str]:
        """Yield the data of each server-sent event about a charge."""
        params = {"count": count}
        async with self._client.stream("GET", f"/v1/charges/{charge_id}/events", params=params) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    yield line.removeprefix("data: ")

    async def _get(self, path: str, **params: int) -> dict[str, Any]:
        return _read(await self._send(self._client.build_request("GET", path, params=params)))

    async def _post(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        for attempt in range(_TRIES):
            response = await self._send(self._client.build_request("POST", path, json=body, headers=headers))
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            pause_s = _FIRST_PAUSE_S * 2**attempt + random.uniform(0, 0.01)
            logger.warning("payments are busy, try %d of %d, waiting %.3f s", attempt + 1, _TRIES, pause_s)
            await asyncio.sleep(pause_s)
        return _read(response)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._client.send(request)
        except httpx.TimeoutException as error:
            logger.exception("payments did not answer %s", request.url.path)
            raise PaymentsTimedOut from error
        except httpx.TransportError as error:
            logger.exception("payments broke off %s", request.url.path)
            raise PaymentsFailed from error


def _read(response: httpx.Response) -> dict[str, Any]:
    if response.status_code == httpx.codes.PAYMENT_REQUIRED:
        raise CardDeclined
    if not response.is_success:
        logger.error("payments answered %d", response.status_code)
        raise PaymentsFailed
    try:
        answer: dict[str, Any] = response.json()
    except ValueError as error:
        raise PaymentsFailed from error
    return answer


payments = Payments(PAYMENTS_URL)
