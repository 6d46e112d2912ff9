"""An instrumented application: a proxy of it, which knows the name of its runs. What a call does, subclasses say."""

from __future__ import annotations

import copy
from typing import Any, Self, TypeVar

import wrapt

__all__ = ["Instrumented", "instrumented"]


class Instrumented(wrapt.ObjectProxy[Any]):
    """The application; what a subclass doesn't define goes to the original.

    `_self_` is wrapt's prefix for a proxy's own attributes: any other name here would hide one of the application.
    """

    _self_name = ""

    def __init__(self, app: Any, name: str) -> None:
        super().__init__(app)
        self._self_name = name

    def __copy__(self) -> Self:
        return type(self)(copy.copy(self.__wrapped__), self._self_name)


P = TypeVar("P", bound=Instrumented)


def instrumented(app: Any, name: str, proxy: type[P]) -> P:
    """A proxy of the application; the same one again for the same name, and never one of another."""
    if isinstance(app, proxy):
        if app._self_name == name:  # noqa: SLF001 - a proxy's own
            return app
        app = app.__wrapped__
    return proxy(app, name)
