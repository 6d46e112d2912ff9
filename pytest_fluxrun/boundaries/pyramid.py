"""Pyramid: which route a request took, and the error that an exception view made an answer of.

Records nothing of its own: the run under way is told both.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.entry import note_error, note_route

__all__ = ["boundary"]


class Pyramid(Seams):
    """Where the route is found and where an exception meets its view."""

    name: ClassVar[str] = "pyramid"
    modules: ClassVar[tuple[str, ...]] = ("pyramid.urldispatch", "pyramid.tweens")

    def patches(self, module: Any) -> Iterable[Patch]:
        """`RoutesMapper.__call__`; the exception view tween's handler."""
        if module.__name__ == "pyramid.urldispatch":
            yield Patch(module.RoutesMapper, "__call__", _find_route)
        else:
            yield Patch(module, "_error_handler", _error_handler)


def _find_route(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def find_route(self: Any, request: Any) -> Any:
        found = original(self, request)
        if found["route"] is not None:
            note_route(found["route"].pattern)
        return found

    return find_route


def _error_handler(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def error_handler(request: Any, exc: Exception) -> Any:
        response = original(request, exc)
        note_error(exc)  # a view took it; otherwise it was raised again
        return response

    return error_handler


boundary = Pyramid()
