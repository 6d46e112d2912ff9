"""Why an HTTP call got no answer, in words that every library shares: what one recorded, another can raise. No I/O."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

__all__ = ["Failure", "chain", "failure_of"]


class Failure(StrEnum):
    """What stood in the way; stored beside the error under `failure`, so never rename one."""

    DNS = "dns"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    PROXY = "proxy"
    CONNECT_TIMEOUT = "connect-timeout"
    POOL_TIMEOUT = "pool-timeout"
    WRITE_TIMEOUT = "write-timeout"
    READ_TIMEOUT = "read-timeout"
    DROPPED = "dropped"
    INCOMPLETE = "incomplete"
    PROTOCOL = "protocol"


_MOST_LINKS = 16
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it holds: causes, contexts, and errors among its arguments or as its `reason`."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < _MOST_LINKS:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        below = (link.__cause__, link.__context__, getattr(link, "reason", None), *link.args)
        waiting += [other for other in below if isinstance(other, BaseException)]


def failure_of(error: BaseException, *, connecting: bool) -> Failure | None:
    """The failure that an error of the standard library tells, itself or somewhere in its chain; None: it tells none.

    Args:
        error: what a library raised, or what lies beneath it.
        connecting: no connection was made yet, so that a time-out is one of connecting.
    """
    return next((found for link in chain(error) if (found := _one(link, connecting=connecting))), None)


def _one(error: BaseException, *, connecting: bool) -> Failure | None:
    import http.client  # not above: its first import wakes a boundary that needs this module

    if isinstance(error, socket.gaierror):
        return Failure.DNS
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLZeroReturnError | ssl.SSLEOFError):
        return Failure.TLS
    if isinstance(error, http.client.IncompleteRead):
        return Failure.INCOMPLETE
    if isinstance(error, ConnectionRefusedError):
        return Failure.REFUSED
    if isinstance(error, ConnectionError | ssl.SSLError):
        return Failure.DROPPED
    if isinstance(error, TimeoutError):
        return Failure.CONNECT_TIMEOUT if connecting else Failure.READ_TIMEOUT
    if isinstance(error, http.client.HTTPException):
        return Failure.PROTOCOL
    return Failure.UNREACHABLE if isinstance(error, OSError) and error.errno in _UNREACHABLE else None
