"""A GET of a development environment, for `fluxrun extend`: through httpx, whatever library the app uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from pytest_fluxrun.boundaries.http.exchange import Exchange
from pytest_fluxrun.boundary import Request
from pytest_fluxrun.environments import address_of

__all__ = ["asked_anew"]

_TIMEOUT_S: Final = 30
_OF_THE_CONNECTION: Final = frozenset({"host", "connection", "content-length", "transfer-encoding"})


def asked_anew(request: Request, environment: Mapping[str, Any]) -> Exchange:
    """The answer to a request of the kind http, its body whole and with its content coding.

    The environment's key `http` says for the URL's origin (`https://pay.example`) to which origin it goes.

    Raises:
        SettingsError: it doesn't say so.
        httpx.HTTPError: it gave no answer.
    """
    url = urlsplit(request["url"])
    origin = f"{url.scheme}://{url.netloc}"
    target = address_of(environment, "http", origin).rstrip("/") + request["url"][len(origin) :]
    headers = [(name, value) for name, value in request["headers"] if name.lower() not in _OF_THE_CONNECTION]
    with httpx.Client(timeout=_TIMEOUT_S) as client, client.stream(request["method"], target, headers=headers) as got:
        exchange = Exchange(
            got.status_code, list(got.headers.raw), http_version=got.http_version, reason=got.reason_phrase
        )
        exchange.begin()
        for chunk in got.iter_raw():
            exchange.add(chunk)
        exchange.finish("eof")
    return exchange
