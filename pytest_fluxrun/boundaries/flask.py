"""Flask: the error that it makes a 500 of.

Records nothing of its own: the run under way is told the error, which no server ever sees.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.entry import note_error

__all__ = ["boundary"]


class Flask(Seams):
    """Where an exception ends that no handler of the application took."""

    name: ClassVar[str] = "flask"
    modules: ClassVar[tuple[str, ...]] = ("flask.app",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """`Flask.handle_exception`, which sends `got_request_exception`: a signal has no seam that can be verified."""
        yield Patch(module.Flask, "handle_exception", _handle_exception)


def _handle_exception(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def handle_exception(self: Any, e: Exception) -> Any:
        note_error(e)
        return original(self, e)

    return handle_exception


boundary = Flask()
