"""The handshake of the library `websockets`: an interaction of the kind http, of which a played connection is made."""

from __future__ import annotations

import errno
import functools
import socket
import ssl
from collections.abc import Callable, Iterable
from http import HTTPStatus
from importlib import import_module
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.http.exchange import Exchange
from pytest_fluxrun.boundaries.http.failures import Failure, failure_of
from pytest_fluxrun.boundaries.http.library import HttpLibrary
from pytest_fluxrun.boundaries.http.wire import Framing, framed_head
from pytest_fluxrun.boundaries.websocket.channel import next_number, websocket_url
from pytest_fluxrun.boundary import Patch

__all__ = ["HANDSHAKES", "Asked", "exchange_of", "wire_of"]

_OWN: Final[dict[Failure, Callable[[str], BaseException]]] = {
    Failure.DNS: functools.partial(socket.gaierror, socket.EAI_NONAME),
    Failure.REFUSED: functools.partial(ConnectionRefusedError, errno.ECONNREFUSED),
    Failure.UNREACHABLE: functools.partial(OSError, errno.EHOSTUNREACH),
    Failure.TLS: functools.partial(ssl.SSLError, 1),
    Failure.CONNECT_TIMEOUT: TimeoutError,
    Failure.POOL_TIMEOUT: TimeoutError,
    Failure.READ_TIMEOUT: TimeoutError,
    Failure.WRITE_TIMEOUT: TimeoutError,
}


class _Handshakes(HttpLibrary):
    """Opening handshakes; its seams are those of the boundary websockets."""

    name: ClassVar[str] = "websockets"
    modules = ()
    packages = frozenset({"websockets", "builtins", "socket", "ssl", "asyncio"})

    def patches(self, module: Any) -> Iterable[Patch]:
        """None of its own."""
        del module
        return ()

    def failure(self, error: BaseException) -> Failure | None:
        """By the class; for errors of the standard library, by those."""
        name = type(error).__name__
        if "Proxy" in name:
            return Failure.PROXY
        if name == "InvalidMessage":
            return Failure.DROPPED
        return failure_of(error, connecting=True)

    def raised_for(self, failure: Failure, message: str) -> BaseException:
        """What websockets raises for the failure: errors of the standard library, or its own."""
        if failure in _OWN:
            return _OWN[failure](message)
        exceptions = import_module("websockets.exceptions")
        kind = exceptions.ProxyError if failure is Failure.PROXY else exceptions.InvalidMessage
        error: BaseException = kind(message)
        return error


HANDSHAKES = _Handshakes()


class Asked:
    """A handshake as it goes out."""

    def __init__(self, uri: str, headers: Any) -> None:
        self._uri = uri
        self._headers = headers
        self.request: Any = None

    def form(self) -> dict[str, Any]:
        """The request of the kind http."""
        headers = self._headers or () if self.request is None else self.request.headers.raw_items()
        pairs = headers.items() if hasattr(headers, "items") else headers
        return {
            "method": "GET",
            "url": websocket_url(self._uri),
            "headers": [[name.lower(), value] for name, value in pairs],
            "body": "",
            "streamed": False,
        }


def exchange_of(response: Any, session: Any) -> Exchange:
    """The answer to a handshake; one that opened a connection gives it its number."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.raw_items()]
    exchange = Exchange(
        response.status_code, headers, http_version="HTTP/1.1", reason=response.reason_phrase, response=response
    )
    if response.body:
        exchange.add(bytes(response.body))
    exchange.finish("eof")
    if exchange.status == HTTPStatus.SWITCHING_PROTOCOLS:
        exchange.connection = next_number(session)
    return exchange


def wire_of(exchange: Exchange, key: str) -> bytes:
    """The recorded answer as a server would send it to a handshake with this key."""
    framing = Framing.of(exchange.headers)
    body = (framing.frame(exchange.chunks) if exchange.chunks else b"") + framing.terminator()
    return framed_head(exchange, websocket_key=key) + body
