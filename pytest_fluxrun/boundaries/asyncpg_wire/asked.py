"""How a call of asyncpg's protocol crosses: made live and listened to, or played to the protocol."""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pytest_fluxrun.boundaries.asyncpg_wire.description import Description
from pytest_fluxrun.boundaries.asyncpg_wire.link import Link
from pytest_fluxrun.boundaries.asyncpg_wire.outcome import Outcome
from pytest_fluxrun.boundary import Boundary, Call
from pytest_fluxrun.context import beneath, current_lane
from pytest_fluxrun.errors import UnrecordedCall

__all__ = ["Asked", "Run", "aside", "cross", "cross_failed", "playing", "said_before"]

Run = Callable[..., Awaitable[Any]]
"""The library's own method; takes the keyword `timeout` where that is another one than the program gave."""
_AT_ONCE_S: Final = 1e-6
_of_error: weakref.WeakKeyDictionary[BaseException, Outcome] = weakref.WeakKeyDictionary()
"""What the server had said when an error was raised, until that is dumped."""


@dataclass(slots=True, eq=False)
class Asked(Call):
    """A call.

    Attributes:
        outcome: filled by a live call.
        failed: where a recorded error answers it, what the server had said.
        prepares: of preparing a statement, takes what that is like.
    """

    outcome: Outcome = field(default_factory=Outcome)
    failed: Outcome | None = None
    prepares: Callable[[Description], None] | None = None


async def cross(boundary: Boundary[Outcome], session: Any, link: Link, call: Asked, run: Run) -> Any:
    """Let a call cross."""
    outcome = call.outcome
    results: list[Any] = []
    link.lane = current_lane()

    async def live() -> Outcome:
        before, link.heard = link.heard, outcome
        try:
            results.append(await run())
        except Exception as error:
            _keep(error, outcome)
            raise
        finally:
            link.heard = before
        return outcome

    try:
        answer: Outcome = await session.acall(boundary, call, live)
    except asyncio.CancelledError:
        if session.answers:
            link.spoil()
        raise
    except Exception:
        if call.failed is None:
            raise
        answer = call.failed
    return await _play(link, answer, call, run) if answer.played else results[0]


async def cross_failed(boundary: Boundary[Outcome], session: Any, call: Asked, error: BaseException) -> None:
    """Let a call cross that has failed; the error isn't raised here."""
    _keep(error, call.outcome)

    async def live() -> Outcome:
        raise error

    try:
        await session.acall(boundary, call, live)
    except BaseException as raised:
        if raised is not error:
            raise


async def aside(session: Any, link: Link, run: Callable[[], Awaitable[Any]], answer: bytes) -> Any:
    """Do what concerns a connection only, and crosses nowhere.

    Args:
        answer: what a server says to it.
    """
    if session is not None and session.answers:
        return await playing(link).play([[answer]], run)
    with beneath():
        return await run()


def playing(link: Link) -> Any:
    """The transport that plays.

    Raises:
        UnrecordedCall: the connection is a live one.
    """
    if link.wire is None:
        raise UnrecordedCall(
            "this connection was opened before FluxRun's seams were installed",
            asked=f"a call of asyncpg on the database {link.database!r}",
            next_step="open it in the entry or at start-up",
        )
    return link.wire


def said_before(error: BaseException) -> Outcome | None:
    """What the server had said when an error was raised."""
    try:
        return _of_error.get(error)
    except TypeError:  # the built-in errors can't be referred to weakly
        return None


def _keep(error: BaseException, outcome: Outcome) -> None:
    try:
        _of_error[error] = outcome
    except TypeError:
        return


async def _play(link: Link, outcome: Outcome, call: Asked, run: Run) -> Any:
    wire = playing(link)
    if outcome.timed_out:
        return await wire.play((), functools.partial(run, timeout=_AT_ONCE_S))
    link.settle(outcome, call.form()["sql"], failed=call.failed is not None)
    return await wire.play(outcome.stages, run, lost=outcome.lost)
