"""httplib2: which request a connection is for, as it connects before it sends. Its calls cross in http.client, beneath.

Its compressed answers and its cache are its own affair and run at replay as they are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.http_client import boundary as http_client
from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import crossing

__all__ = ["Httplib2Seams", "boundary"]


class Httplib2Seams(Seams):
    """The connections of httplib2."""

    name: ClassVar[str] = "httplib2"
    modules = ("httplib2",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """`_conn_request`, which knows the request, and the two `connect`s of the library's own."""
        yield Patch(module.Http, "_conn_request", _wrap_conn_request)
        yield Patch(module.HTTPConnectionWithTimeout, "connect", http_client.wrap_connect)
        yield Patch(module.HTTPSConnectionWithTimeout, "connect", http_client.wrap_connect)


def _wrap_conn_request(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def conn_request(self: Any, conn: Any, request_uri: str, method: str, *rest: Any, **named: Any) -> Any:
        if crossing() is None:
            return original(self, conn, request_uri, method, *rest, **named)
        known = dict(zip(("body", "headers"), rest, strict=False)) | named
        scheme = "https" if conn.default_port == 443 else "http"
        url = f"{scheme}://{conn.host}:{conn.port}{request_uri}"
        with http_client.intending(method, url, known.get("headers"), known.get("body")):
            return original(self, conn, request_uri, method, *rest, **named)

    return conn_request


boundary = Httplib2Seams()
