"""urllib3 1.26 and 2: which request a connection is for before it is sent, and what it makes of a failure to connect.

Its calls cross in http.client, beneath; that also holds for requests, botocore and all else that uses its pools.
urllib3-future in urllib3's place isn't this library: its connections aren't those of http.client.
"""

from __future__ import annotations

import functools
import http.client
import ssl
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.http.steps import cause_of
from pytest_fluxrun.boundaries.http_client import boundary as http_client
from pytest_fluxrun.boundary import Patch, Seams

__all__ = ["Urllib3Seams", "boundary"]


class Urllib3Seams(Seams):
    """The connections and the pool of urllib3."""

    name: ClassVar[str] = "urllib3"
    modules = ("urllib3.connectionpool",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """`urlopen`, which knows the request, and the two `connect`s of the library's own."""
        connection = module.HTTPConnection
        if not issubclass(connection, http.client.HTTPConnection):
            return
        yield Patch(module.HTTPConnectionPool, "urlopen", http_client.wrap_urlopen)
        for owner in (connection, _https_of(module)):
            new_conn = connection._new_conn  # noqa: SLF001 - the step in which it names failures to connect
            wrap = functools.partial(
                http_client.wrap_connect,
                cause=cause_of,
                connected=_connected,
                failing=functools.partial(_fail, new_conn),
            )
            yield Patch(owner, "connect", wrap)
        from urllib3.util import connection as util_connection

        yield Patch(util_connection, "create_connection", _wrap_create_connection)


def _https_of(module: Any) -> Any:
    from urllib3.connection import HTTPSConnection

    del module
    return HTTPSConnection


def _connected(conn: Any) -> None:
    """What `connect` sets besides the socket: who was verified, and whether a proxy was reached."""
    proxy = getattr(conn, "proxy", None)
    verified = conn.default_port == http.client.HTTPS_PORT and _verifies(conn)
    tunnelling = bool(getattr(conn, "_tunnel_host", None))
    conn.is_verified = verified and (tunnelling or not proxy)
    over_tls = verified and str(getattr(proxy, "scheme", "")) == "https"
    if hasattr(conn, "_has_connected_to_proxy"):
        conn._has_connected_to_proxy = bool(proxy)  # noqa: SLF001
        if proxy is not None:
            conn.proxy_is_verified = over_tls
    elif over_tls and conn.tls_in_tls_required:  # 1.26 warns of False where no TLS to the proxy was asked for
        conn.proxy_is_verified = True


def _verifies(conn: Any) -> bool:
    from urllib3.util.ssl_ import resolve_cert_reqs

    context = getattr(conn, "ssl_context", None)
    required = conn.cert_reqs
    mode = resolve_cert_reqs(required) if required is not None or context is None else context.verify_mode
    return mode == ssl.CERT_REQUIRED or bool(conn.assert_fingerprint)


def _fail(new_conn: Callable[[Any], Any], conn: Any, error: BaseException, phase: str) -> None:
    """Let the library name the error as it does where a connection can't be made."""
    if phase == "tunnel":
        conn._has_connected_to_proxy = True  # noqa: SLF001 - it says whose failure it is
    if phase != "connect" or not isinstance(error, OSError):
        return
    conn.socket_options, options = (*(conn.socket_options or ()), _Raises(error)), conn.socket_options
    try:
        new_conn(conn)
    finally:
        conn.socket_options = options


class _Raises:
    """Among a connection's socket options: the error that making a connection raises at replay."""

    def __init__(self, error: OSError) -> None:
        self.error = error


def _wrap_create_connection(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def create_connection(*args: Any, **kwargs: Any) -> Any:
        options = kwargs.get("socket_options") or (args[3] if len(args) > 3 else None) or ()
        for option in options:
            if isinstance(option, _Raises):
                raise option.error
        return original(*args, **kwargs)

    return create_connection


boundary = Urllib3Seams()
