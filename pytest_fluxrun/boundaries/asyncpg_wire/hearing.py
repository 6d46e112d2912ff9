"""What a connection of asyncpg's hears: kept for the call that is under way, or as what the server tells listeners."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.asyncpg_wire.asked import Asked
from pytest_fluxrun.boundaries.asyncpg_wire.link import Link, link_of
from pytest_fluxrun.boundaries.asyncpg_wire.outcome import Outcome
from pytest_fluxrun.boundaries.asyncpg_wire.statements import form
from pytest_fluxrun.boundary import Boundary
from pytest_fluxrun.context import Lane, crossing, current_lane, entered, open_lane

__all__ = ["wrap_add_listener", "wrap_add_log_listener", "wrap_connection_lost", "wrap_data_received"]


def wrap_data_received(
    boundary: Boundary[Outcome], original: Callable[[Any, bytes], None]
) -> Callable[[Any, bytes], None]:
    """The one way by which bytes come."""

    @functools.wraps(original)
    def data_received(self: Any, data: bytes) -> None:
        link = self.__dict__.get("_fx_link")
        if link is None or (link.heard is None and link.listening is None) or self._is_cancelling():
            original(self, data)  # while it is cancelling, what comes is of the call before
            return
        if link.heard is not None:
            link.heard.received.append(bytes(data))
        if link.listening is None:
            original(self, data)
            return
        with entered(_open(link.listening)):
            if link.heard is None:
                _keep_told(boundary, link, bytes(data))
            original(self, data)

    return data_received


def wrap_connection_lost(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """The end of a connection, whoever made it."""

    @functools.wraps(original)
    def connection_lost(self: Any, exc: BaseException | None) -> None:
        link = self.__dict__.get("_fx_link")
        if link is not None:
            if link.heard is not None:
                link.heard.lost = exc
            link.stop_telling()
        original(self, exc)

    return connection_lost


def wrap_add_listener(boundary: Boundary[Outcome], original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
    """From here on the server may tell something that nobody asked for."""

    @functools.wraps(original)
    async def add_listener(self: Any, channel: str, callback: Any) -> None:
        link = link_of(self._protocol)
        session = crossing()
        _listen(link)
        await original(self, channel, callback)
        if session is not None and session.answers and link.teller is None:
            link.teller = asyncio.get_running_loop().create_task(_tell(boundary, session, link))

    return add_listener


def wrap_add_log_listener(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """What listeners do is the run's."""

    @functools.wraps(original)
    def add_log_listener(self: Any, callback: Any) -> None:
        _listen(link_of(self._protocol))
        original(self, callback)

    return add_log_listener


def _listen(link: Link) -> None:
    if crossing() is not None and link.listening is not current_lane():
        link.listening = current_lane()
        link.told = 0
        link.told_ns = ambient.monotonic_ns()


def _open(lane: Lane) -> Lane | None:
    return None if lane.session.closed else lane


def _keep_told(boundary: Boundary[Outcome], link: Link, data: bytes) -> None:
    """Record what came unasked, as the answer to waiting for it."""
    session = crossing()
    if session is None or session.answers or open_lane() is None:
        return
    outcome = Outcome()
    outcome.received.append(data)
    call = _waiting(link)
    call.started_ns, link.told_ns = link.told_ns, ambient.monotonic_ns()
    session.call(boundary, call, lambda: outcome)


def _waiting(link: Link) -> Asked:
    link.told += 1
    request = functools.partial(form, link.database, "LISTEN", None, "", f"message {link.told}")
    return Asked(request, _nothing_told)


def _nothing_told() -> Outcome:
    return Outcome.silent()


async def _tell(boundary: Boundary[Outcome], session: Any, link: Link) -> None:
    """Let a replayed connection hear what was recorded, when its time has come."""
    lane = link.listening
    assert lane is not None
    while link.wire is not None and not link.wire.is_closing():
        with entered(lane):
            outcome = await session.acall(boundary, _waiting(link), _never)
        if outcome.timed_out:
            return
        for stage in outcome.stages:
            for piece in stage:
                link.wire.hear(piece)


async def _never() -> Outcome:
    raise AssertionError("nothing is waited for live")
