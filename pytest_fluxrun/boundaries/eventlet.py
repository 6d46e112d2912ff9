"""eventlet: refused by name, once it has patched the standard library. Its green threads carry no context.

Runs that are recorded in such a process are unready, and none is replayed there. eventlet itself advises to migrate.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Iterable
from typing import Any

from pytest_fluxrun.boundary import Patch, Seams

__all__ = ["boundary"]

_log = logging.getLogger("pytest_fluxrun")


class Eventlet(Seams):
    """Woken by eventlet's import; what is refused is its patching."""

    name = "eventlet"
    modules = ("eventlet",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """`monkey_patch`, to say at once that it isn't supported."""
        if self.unrecordable():
            _warn()
        yield Patch(module, "monkey_patch", _monkey_patch)

    def unrecordable(self) -> str:
        """What of the standard library eventlet has patched in this process."""
        patcher = sys.modules.get("eventlet.patcher")
        patched = sorted(getattr(patcher, "already_patched", ()))
        return f"eventlet has patched {', '.join(patched)}: its green threads carry no context" if patched else ""

    def unreplayable(self) -> str:
        """Likewise: nor do they keep virtual time."""
        return self.unrecordable()


def _monkey_patch(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def monkey_patch(**on: bool) -> None:
        _warn()
        original(**on)

    return monkey_patch


def _warn() -> None:
    _log.warning(
        "FluxRun doesn't support eventlet: its green threads carry no context, so calls can't be told apart by run. "
        "Runs of this process are unready. Serve with threads, asyncio or gevent."
    )


boundary = Eventlet()
