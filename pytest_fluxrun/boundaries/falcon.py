"""Falcon, WSGI: which route a request took, and the error that a handler made an answer of.

Records nothing of its own: the run under way is told both.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.entry import note_error, note_route

__all__ = ["boundary"]


class Falcon(Seams):
    """Where a responder is found and where an exception meets its handler."""

    name: ClassVar[str] = "falcon"
    modules: ClassVar[tuple[str, ...]] = ("falcon.app",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """Two methods of `App`, looked up at each request; handlers are bound when the application is made."""
        yield Patch(module.App, "_get_responder", _get_responder)
        yield Patch(module.App, "_handle_exception", _handle_exception)


def _get_responder(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def get_responder(self: Any, req: Any) -> Any:
        found = original(self, req)
        if found[3]:
            note_route(found[3])
        return found

    return get_responder


def _handle_exception(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def handle_exception(self: Any, req: Any, resp: Any, ex: Exception, params: Any) -> Any:
        note_error(ex)
        return original(self, req, resp, ex, params)

    return handle_exception


boundary = Falcon()
