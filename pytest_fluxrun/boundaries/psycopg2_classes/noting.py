"""Typecasters in Python, made to note what text each value was made of: it is recorded in the value's place."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

__all__ = ["wrap_new_type"]


def wrap_new_type(original: Callable[..., Any]) -> Callable[..., Any]:
    """`extensions.new_type`, through which the extras and the app make them."""

    @functools.wraps(original)
    def new_type(oids: Any, name: str, adapter: Callable[[Any, Any], Any]) -> Any:
        return original(oids, name, _noting(adapter))

    return new_type


def _noting(adapter: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    @functools.wraps(adapter)
    def cast(value: Any, cursor: Any) -> Any:
        made = adapter(value, cursor)
        if isinstance(value, str):
            outcome = getattr(cursor, "_fx_outcome", None)
            if outcome is not None and not outcome.played:
                outcome.note(made, value)
        return made

    return cast
