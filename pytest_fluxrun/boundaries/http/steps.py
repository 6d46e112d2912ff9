"""The steps of a call over HTTP/1 in which it can fail, and what http.client raises for what another library recorded.

The steps are `connect`, `handshake` (TLS, or asking a proxy for a tunnel), `tunnel` (what follows in one), `send` and
`answer`; stored beside an error as `phase`.
"""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Final

from pytest_fluxrun.boundaries.http.failures import Failure

__all__ = ["BEFORE_SENDING", "cause_of", "failing_wire", "is_of_connecting", "phase_of", "raised_by_http_client"]

BEFORE_SENDING: Final = frozenset({"connect", "handshake", "tunnel"})
_CONNECTING: Final = {
    Failure.DNS: "connect",
    Failure.REFUSED: "connect",
    Failure.UNREACHABLE: "connect",
    Failure.CONNECT_TIMEOUT: "connect",
    Failure.POOL_TIMEOUT: "connect",
    Failure.TLS: "handshake",
    Failure.PROXY: "handshake",
    Failure.WRITE_TIMEOUT: "send",
}
_ERRNO: Final = re.compile(r"\[Errno (-?\d+)\] ([^\])>']+)")


def is_of_connecting(error: BaseException) -> bool:
    """Whether the connection itself failed, not what follows: TLS or a proxy's tunnel."""
    return not isinstance(error, ssl.SSLError) and "Tunnel connection failed" not in str(error)


def phase_of(error: Any) -> str:
    """The step in which a recorded error belongs, also where another library recorded it."""
    if error is None:
        return ""
    phase = error.get("phase")
    return str(phase) if phase else _CONNECTING.get(error.get("failure"), "answer")


def cause_of(error: BaseException) -> BaseException:
    """What urllib3, or urllib3-future, named anew as it connected: the operating system's error beneath."""
    below = error.__cause__ or error.__context__
    named = type(error).__name__ in ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")
    return below if named and isinstance(below, OSError) else error


def failing_wire(error: Exception) -> Iterator[bytes]:
    """A wire that fails before the head; one that ends there is what http.client itself calls disconnected."""
    if not isinstance(error, http.client.RemoteDisconnected):
        raise error
    yield b""


def raised_by_http_client(failure: Failure, message: str) -> BaseException:
    """The error of http.client, or of the sockets beneath it, for a failure that another library recorded."""
    found = _ERRNO.search(message)
    number, text = (int(found[1]), found[2].strip()) if found else (None, message)
    match failure:
        case Failure.DNS:
            return socket.gaierror(number or socket.EAI_NONAME, text)
        case Failure.REFUSED:
            return ConnectionRefusedError(number or errno.ECONNREFUSED, "Connection refused")
        case Failure.UNREACHABLE:
            return OSError(number or errno.EHOSTUNREACH, text)
        case Failure.TLS:
            verify = "CERTIFICATE_VERIFY_FAILED" in message
            return ssl.SSLCertVerificationError(1, message) if verify else ssl.SSLError(1, message)
        case Failure.PROXY:
            return OSError(message if "Tunnel" in message else f"Tunnel connection failed: {message}")
        case Failure.DROPPED:
            return http.client.RemoteDisconnected("Remote end closed connection without response")
        case Failure.INCOMPLETE:
            return http.client.IncompleteRead(b"")
        case Failure.PROTOCOL:
            return http.client.BadStatusLine(message)
        case _:
            return TimeoutError("timed out")
