"""The provider of payments, vouchers and mails, as the box office uses it. Knows nothing of bookings."""

from __future__ import annotations

import logging
import time
from typing import Any

import requests

from cinema.problems import CardDeclined, ProviderFailed
from cinema.settings import PROVIDER_URL

logger = logging.getLogger(__name__)

_TRIES = 3
_FIRST_PAUSE_S = 0.01
_TIMEOUT_S = 0.5


class Provider:
    """One pool of connections. Every method raises `CardDeclined` or `ProviderFailed`."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._session = requests.Session()

    def charge(self, amount_cents: int, card: str, reference: str) -> str:
        """Charge a card. Returns the charge's id."""
        body = {"amount": amount_cents, "card": card, "reference": reference}
        return str(self._post("/charges", body, key=reference)["id"])

    def refund(self, charge_id: str, amount_cents: int) -> str:
        """Give a part of a charge back. Returns the refund's id."""
        return str(self._post(f"/charges/{charge_id}/refunds", {"amount": amount_cents}, key=charge_id)["id"])

    def mail(self, to: str, subject: str, text: str) -> None:
        """Send a mail."""
        self._post("/mails", {"to": to, "subject": subject, "text": text}, key=f"{to}/{subject}")

    def voucher_percent(self, code: str) -> int:
        """Return the share that a voucher takes off; 0 for one that isn't known."""
        response = self._send("GET", f"/vouchers/{code}", params={"currency": "EUR"})
        if response.status_code == requests.codes.not_found:
            return 0
        return int(_read(response)["percent"])

    def balance_cents(self, account: str) -> int:
        """Return how much of the takings was paid out to an account."""
        return int(_read(self._send("GET", f"/accounts/{account}"))["paid_out"])

    def _post(self, path: str, body: dict[str, object], *, key: str) -> dict[str, Any]:
        for attempt in range(_TRIES):
            response = self._send("POST", path, json=body, headers={"Idempotency-Key": key})
            if response.status_code != requests.codes.service_unavailable:
                break
            logger.warning("the provider is busy, try %d of %d", attempt + 1, _TRIES)
            time.sleep(_FIRST_PAUSE_S * 2**attempt)
        return _read(response)

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            return self._session.request(method, self._base_url + path, timeout=_TIMEOUT_S, **options)
        except requests.RequestException as error:
            logger.warning("the provider did not answer %s", path)
            raise ProviderFailed from error


def _read(response: requests.Response) -> dict[str, Any]:
    if response.status_code == requests.codes.payment_required:
        raise CardDeclined
    if not response.ok:
        logger.error("the provider answered %d", response.status_code)
        raise ProviderFailed
    try:
        answer: dict[str, Any] = response.json()
    except ValueError as error:
        raise ProviderFailed from error
    return answer


provider = Provider(PROVIDER_URL)
