"""werkzeug: which route a request took, under Flask and Quart too; what `check_password_hash` said at recording.

The run under way is told the rule, for the index; a recorded verdict on a password that is a token is served at replay.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.passwords.verifying import verifying
from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.entry import note_route

__all__ = ["boundary"]


class Werkzeug(Seams):
    """Two seams; a copy of `check_password_hash` made by `from` before `init` escapes."""

    name: ClassVar[str] = "werkzeug"
    modules: ClassVar[tuple[str, ...]] = ("werkzeug.routing.matcher", "werkzeug.security")

    def patches(self, module: Any) -> Iterable[Patch]:
        """`StateMachineMatcher.match` (werkzeug 2.2); `check_password_hash`."""
        if module.__name__ == "werkzeug.routing.matcher":
            yield Patch(module.StateMachineMatcher, "match", _match)
        else:
            yield Patch(module, "check_password_hash", verifying("werkzeug.check_password_hash", operands=_operands))


def _match(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def match(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        note_route(found[0].rule)
        return found

    return match


def _operands(pwhash: Any, password: Any) -> tuple[Any, ...]:
    return pwhash, password


boundary = Werkzeug()
