"""Exchange rates, cached in the process: the one piece of warm state that the shop has."""

from __future__ import annotations

import threading
import time
from decimal import Decimal

import httpx

import pytest_fluxrun as fluxrun
from shop.problems import UnknownCurrency
from shop.settings import PAYMENTS_URL

_FRESH_S = 30.0


class RateCache:
    """What one euro costs in other currencies; asks the payment provider at most every 30 s for each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Decimal]] = {}

    def rate(self, currency: str) -> Decimal:
        """Return what one euro costs in `currency`.

        Raises:
            UnknownCurrency: The provider has no such rate.

        """
        with self._lock:
            asked_at, rate = self._known.get(currency, (float("-inf"), Decimal(0)))
            if time.monotonic() - asked_at > _FRESH_S:
                rate = _ask(currency)
                self._known[currency] = (time.monotonic(), rate)
            return rate

    def known(self) -> dict[str, Decimal]:
        """Return every rate that is in the cache, however old."""
        with self._lock:
            return {currency: rate for currency, (_, rate) in sorted(self._known.items())}


def _ask(currency: str) -> Decimal:
    with httpx.Client(base_url=PAYMENTS_URL, timeout=2.0) as client:
        response = client.get(f"/v1/rates/{currency}")
    if response.status_code == httpx.codes.NOT_FOUND:
        raise UnknownCurrency
    response.raise_for_status()
    return Decimal(response.json()["rate"])


rates = fluxrun.host("rates", RateCache())
