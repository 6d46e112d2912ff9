"""What the seams of the blocking and the asyncio client have in common: crossing in the step that tells the result."""

from __future__ import annotations

import functools
from typing import Any, NoReturn

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.redis_client.exchange import Exchange
from pytest_fluxrun.boundaries.redis_client.link import Link
from pytest_fluxrun.boundaries.redis_client.wire import commands_in, is_local
from pytest_fluxrun.boundary import Boundary, Call, Pending

__all__ = [
    "AGAIN",
    "connecting",
    "nothing",
    "now_ns",
    "raise_again",
    "reading_on",
    "served",
    "subscribing",
]


class _Again:
    """What reading one more reply of an exchange tells the session: it has crossed already."""

    def end(self, result: Any) -> None:
        """Nothing."""

    def fail(self, error: BaseException) -> None:
        """Nothing."""


AGAIN: Pending = _Again()


def served(exchange: Exchange) -> Call:
    """The call that a replay's exchange crosses as: what concerns the connection alone is answered without a record."""
    commands = commands_in(exchange.chunks or b"")
    if is_local(commands):
        exchange.otherwise = functools.partial(_confirmed, len(commands))
    return exchange


def connecting(link: Link) -> Call:
    """The call for connecting."""
    return Call(link.connecting(), nothing)


def subscribing(link: Link, chunks: Any) -> Call:
    """The call for subscribing, whose confirmation is a message."""
    return Exchange(link.database, link.which, chunks)


def reading_on(boundary: Boundary[Any], session: Any, exchange: Exchange) -> ReadingOn:
    """What refuses to read more replies than the recording holds."""
    return ReadingOn(boundary, session, exchange.form, of="reply")


def now_ns() -> int:
    """The clock on which calls begin."""
    return ambient.monotonic_ns()


def raise_again(error: BaseException) -> NoReturn:
    """A live call that has failed already."""
    raise error


def nothing() -> None:
    """What a connection is answered that isn't made."""


def _confirmed(count: int) -> Exchange:
    exchange = Exchange()
    exchange.replies = ["OK"] * count
    return exchange
