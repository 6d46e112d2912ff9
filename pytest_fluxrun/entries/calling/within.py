"""The frames between FluxRun and a framework that runs the app: see `places`. Nothing else may be in this file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

__all__ = ["awaited_within", "within"]

T = TypeVar("T")


def within(function: Callable[..., T], *args: Any) -> T:
    """Call a framework's own code, which draws entropy beside the app's: recorded and replayed through one frame."""
    return function(*args)


async def awaited_within(function: Callable[..., Awaitable[T]], *args: Any) -> T:
    """`within` for a coroutine function."""
    return await function(*args)
