"""What a callable can be called with: how application objects are told apart without being called. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["called_with", "is_called_with", "is_called_with_any", "parameter_names"]


def called_with(target: Any) -> Callable[..., Any] | None:
    """The function that runs when the object is called: itself, or its class's `__call__`; None: it can't be called."""
    if inspect.isclass(target):
        return None
    if inspect.isroutine(target) or inspect.iscoroutinefunction(target):
        return target  # type: ignore[no-any-return]  # routines and partials are callables
    return getattr(target, "__call__", None)  # noqa: B004 - the method itself


def is_called_with(call: Callable[..., Any], count: int) -> bool:
    """Whether so many positional arguments are what it takes: as many fit, and one fewer doesn't."""
    return _fits(call, count) and not _fits(call, count - 1)


def is_called_with_any(call: Callable[..., Any]) -> bool:
    """Whether it takes any number of positional arguments, and none by name but what it passes on.

    `werkzeug.Request.application` gives such a function, which looks like the one that it wraps, of another signature;
    `wsgiref.validate.validator` another. One that passes keywords on to what it wraps has that one's signature.
    """
    kinds = [one.kind for one in inspect.signature(call, follow_wrapped=False).parameters.values()]
    both = [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]
    return kinds == both[:1] or (kinds == both and not hasattr(call, "__wrapped__"))


def parameter_names(call: Callable[..., Any]) -> list[str]:
    """Of the positional parameters without a default; [] where the signature can't be read."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one.name for one in parameters if one.kind in positional and one.default is one.empty]


def _fits(call: Callable[..., Any], count: int) -> bool:
    try:
        inspect.signature(call).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True
