"""Litestar: the error that it makes an answer or a websocket's close of.

Records nothing of its own: the run under way is told the error, which no server ever sees.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.entry import note_error

__all__ = ["boundary"]

_SERVER_ERROR = 500


class Litestar(Seams):
    """Where an exception meets the handlers of the application, or the default one."""

    name = "litestar"
    modules = ("litestar.middleware._internal.exceptions.middleware",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """Two methods of `ExceptionHandlerMiddleware` (litestar 2.9); both are given the exception as `exc`."""
        for name in ("handle_request_exception", "handle_websocket_exception"):
            yield Patch(module.ExceptionHandlerMiddleware, name, _handle)


def _handle(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(original)
    async def handle(*args: Any, exc: Exception, **kwargs: Any) -> None:
        if getattr(exc, "status_code", _SERVER_ERROR) >= _SERVER_ERROR:  # else it is how a handler answers the client
            note_error(exc)
        await original(*args, exc=exc, **kwargs)

    return handle


boundary = Litestar()
