"""A crossing whose live call the library makes in several steps of its own: connect, send, wait for the head."""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

from pytest_fluxrun.boundary import Boundary, Call

__all__ = ["Stepwise"]

R = TypeVar("R")


class _Live:
    """What the crossing waits for while the library is at it; never seen by an event loop."""

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self)


class Stepwise(Generic[R]):
    """One `Session.acall`, held open over several awaits of one task.

    One that is dropped without an end ends as the garbage collector finds it, so that a run never stays inside.

    Attributes:
        live: the session wants the library to go on, and to say how it ended; else `answer` holds what it answered.
    """

    def __init__(self, session: Any, boundary: Boundary[R], call: Call) -> None:
        self.session = session
        self._crossing: Coroutine[Any, Any, R] = session.acall(boundary, call, _Live)
        self.live = False
        self.answer: R

    async def begin(self) -> None:
        """Ask the session.

        Raises:
            BaseException: what it answered instead.
        """
        await self._until_live()

    def succeed(self, result: R) -> None:
        """The library got an answer."""
        if self.live:
            self.live = False
            try:
                self._crossing.send(result)
            except StopIteration:
                return

    def fail(self, error: BaseException) -> None:
        """The library failed. Raises nothing: the library raises the error itself."""
        if self.live:
            self.live = False
            try:
                self._crossing.throw(error)
            except BaseException as raised:  # it goes through the session and comes back
                if raised is not error:
                    raise

    @types.coroutine
    def _until_live(self) -> Generator[Any, Any, None]:
        """Pass on what the crossing awaits, up to where it wants the live call or has its answer."""
        step, sent = self._crossing.send, None
        try:
            while True:
                awaited = step(sent)
                if type(awaited) is _Live:
                    self.live = True
                    return
                try:
                    step, sent = self._crossing.send, (yield awaited)
                except BaseException as thrown:  # cancelled, say: the crossing has to know
                    step, sent = self._crossing.throw, thrown
        except StopIteration as over:
            self.answer = over.value
