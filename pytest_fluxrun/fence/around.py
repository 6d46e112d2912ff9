"""The fence around one replayed item: puts the layers up in a safe order and takes them down again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.fence.attempts import Attempt
from pytest_fluxrun.fence.audit import install_hook
from pytest_fluxrun.fence.descriptors import SUPPORTED, DeadEnds
from pytest_fluxrun.fence.methods import MethodSeams
from pytest_fluxrun.fence.rules import Rules, raise_rules
from pytest_fluxrun.fence.writable import writable

__all__ = ["Fence"]

_Path = str | os.PathLike[str]


class Fence:
    """No live side effect gets out of the block; each attempt raises `LeakedCall` at its place and is kept here.

    Process-wide while it is up: it holds for every thread but those of the test run's own machinery. Enter and leave it
    on one thread. One inside another is allowed; the inner one's rules hold.

    Args:
        allow_write: directories and files that may be written and opened as databases.
        project: a directory in which nothing else may be written, wherever it lies.
        keep: sockets of the test run itself, from `baseline()` at the plugin's start.
        on_blocked: told of each attempt at once, on the thread that made it; must not raise.

    Attributes:
        attempts: what was blocked, in order; swallowing the error doesn't take it off.
        layers: which layers hold on this platform: `audit`, `methods`, and on Linux `descriptors`.
        lost: descriptors of connections from before that the run used up; their owners will see them closed.
    """

    layers: tuple[str, ...] = ("audit", "methods", *(("descriptors",) if SUPPORTED else ()))

    def __init__(
        self,
        *,
        allow_write: Iterable[_Path] = (),
        project: _Path | None = None,
        keep: frozenset[int] = frozenset(),
        on_blocked: Callable[[Attempt], None] | None = None,
    ) -> None:
        self._rules = Rules(writable(allow_write, project), keep, on_blocked)
        self._methods = MethodSeams()
        self._dead_ends = DeadEnds(keep)
        self._before: Rules | None = None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What was blocked so far, in order."""
        return tuple(self._rules.attempts)

    @property
    def lost(self) -> tuple[int, ...]:
        """Known after leaving."""
        return self._dead_ends.lost

    def __enter__(self) -> Self:
        """Put the fence up: first no new connection, then no old one, or a client would reconnect in between.

        Raises:
            FluxRunError: too few descriptors are left to set the open connections aside; nothing is fenced.
        """
        install_hook()
        self._methods.set()
        self._before = raise_rules(self._rules)
        try:
            if SUPPORTED:
                self._rules.killed = self._dead_ends.lay()
        except BaseException as error:
            self._lower()
            if not isinstance(error, OSError):
                raise
            raise FluxRunError(
                "the fence could not be put up",
                why=f"setting open connections aside failed: {error.strerror}",
                next_step="raise the limit of open files (`ulimit -n`) or close connections before the replay",
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take the fence down in the opposite order."""
        try:
            self._dead_ends.lift()
        finally:
            self._lower()

    def _lower(self) -> None:
        raise_rules(self._before)
        self._methods.restore()
