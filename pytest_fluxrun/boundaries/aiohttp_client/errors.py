"""Errors of aiohttp's client: what they hold that no recording can, and the one for an answer that never came."""

from __future__ import annotations

from typing import Any

__all__ = ["Unanswered", "complete_error"]


class Unanswered(TimeoutError):
    """No answer came until the app gave up: its own time-out for the whole request, or another library's for reading.

    Never raised to the app: at replay its own timers end the wait, as they do live.
    """


def complete_error(error: BaseException, request: Any) -> None:
    """Give a recorded error what its class's constructor takes and no recording holds: the request's own objects."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "ClientConnectorError" in names:
        held = error.args[-1] if error.args and isinstance(error.args[-1], BaseException) else OSError()
        beneath = error.__cause__ if type(error.__cause__) is type(held) else held
        key = _key_of(request, names)
        error.__dict__.update(_conn_key=key, _os_error=beneath)
        if "ClientConnectorCertificateError" in names:
            error.__dict__["_certificate_error"] = beneath
        error.args = (key, beneath)
        if isinstance(error, OSError) and not isinstance(error.errno, int):  # older ones have no number
            error.errno = error.strerror = None
    elif "ClientResponseError" in names:
        error.__dict__.update(request_info=request.request_info, history=())
        error.__dict__.setdefault("headers", None)
        error.args = (request.request_info, ())


def _key_of(request: Any, names: set[str]) -> Any:
    """The connection key; for a proxy that can't be reached, the proxy's."""
    key, proxy = request.connection_key, request.proxy
    if "ClientProxyConnectionError" not in names or proxy is None:
        return key
    return type(request)("GET", proxy, loop=request.loop, ssl=request.ssl).connection_key
