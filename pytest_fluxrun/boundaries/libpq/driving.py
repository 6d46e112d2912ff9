"""Driving psycopg's generators: a live one beneath a crossing, a played one without a socket."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

from psycopg import waiting

from pytest_fluxrun.boundary import Boundary, Call
from pytest_fluxrun.errors import UnrecordedCall

__all__ = ["Crossing", "Driven", "aplay", "play", "thrown_away"]

_READY: Final = waiting.Ready.RW


class Crossing:
    """What a played connection's generator yields: a call to be made of a session."""

    __slots__ = ("call", "session")

    def __init__(self, session: Any, call: Call) -> None:
        self.session = session
        self.call = call


class Driven:
    """A generator of psycopg's as an awaitable: what it waits for goes up to psycopg."""

    __slots__ = ("_generator",)

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __await__(self) -> Generator[Any, Any, Any]:
        generator: Generator[Any, Any, Any] = self._generator
        return generator


def play(boundary: Boundary[Any], generator: Generator[Any, Any, Any]) -> Any:
    """Drive a generator of a played connection to its end: what psycopg's `wait` does, with no socket."""
    try:
        step = next(generator)
        while True:
            if type(step) is not Crossing:
                step = generator.send(_READY)
                continue
            answer, failure = None, None
            try:
                answer = step.session.call(boundary, step.call, _nothing_live)
            except (
                BaseException
            ) as error:  # thrown outside of this block, or the driver's error would have it as context
                failure = error
            step = generator.send(answer) if failure is None else generator.throw(failure)
    except StopIteration as stop:
        return stop.value


async def aplay(boundary: Boundary[Any], generator: Generator[Any, Any, Any]) -> Any:
    """`play` in a coroutine."""
    try:
        step = next(generator)
        while True:
            if type(step) is not Crossing:
                step = generator.send(_READY)
                continue
            answer, failure = None, None
            try:
                answer = await step.session.acall(boundary, step.call, _nothing_live)
            except (
                BaseException
            ) as error:  # thrown outside of this block, or the driver's error would have it as context
                failure = error
            step = generator.send(answer) if failure is None else generator.throw(failure)
    except StopIteration as stop:
        return stop.value


def thrown_away(generator: Any, error: BaseException) -> None:
    """Tell a live generator that nobody waits for it any more, at once: a crossing in it ends with the wait."""
    if getattr(generator, "gi_frame", None) is None or generator.gi_running:
        return
    try:
        generator.throw(error)
    except BaseException:  # the error itself, or what came of it: the caller raises its own
        return
    generator.close()


def _nothing_live() -> Any:
    raise UnrecordedCall("a played connection has no server", asked="a statement")
