"""Quart: the error that it makes a 500 or a websocket's close of, and its background tasks. Its routing is werkzeug's.

Records nothing of its own: the run under way is told the error, which no server ever sees, and waits for the tasks.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.entry import note_error, note_task

__all__ = ["boundary"]


class Quart(Seams):
    """Where an exception ends that no handler of the application took, and where a task begins."""

    name = "quart"
    modules = ("quart.app",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """Where the signals of uncaught exceptions are sent; where a background task is added."""
        yield Patch(module.Quart, "handle_exception", _handle)
        yield Patch(module.Quart, "handle_websocket_exception", _handle)
        yield Patch(module.Quart, "add_background_task", _add_background_task)


def _handle(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    async def handle(self: Any, error: Exception) -> Any:
        note_error(error)
        return await original(self, error)

    return handle


def _add_background_task(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def add_background_task(self: Any, *args: Any, **kwargs: Any) -> None:
        before = set(self.background_tasks)
        original(self, *args, **kwargs)
        for task in self.background_tasks - before:
            note_task(task)

    return add_background_task


boundary = Quart()
