"""The seams of redis-py's asyncio connections: connect, send, look for and read replies."""

# ruff: noqa: SLF001 - the seams are private to redis-py's connections; 4.6 to 8.1 have the same
from __future__ import annotations

import asyncio
import functools
import inspect
import math
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn

from pytest_fluxrun.boundaries.redis_client.exchange import Exchange
from pytest_fluxrun.boundaries.redis_client.link import Link, link_here, link_of, session_of
from pytest_fluxrun.boundaries.redis_client.stand_in import StandIn
from pytest_fluxrun.boundaries.redis_client.steps import (
    AGAIN,
    connecting,
    now_ns,
    reading_on,
    served,
    subscribing,
)
from pytest_fluxrun.boundaries.redis_client.wire import frozen
from pytest_fluxrun.boundary import Boundary
from pytest_fluxrun.context import beneath

__all__ = ["Awaiting"]

_PACKED: Final = (str, bytes, tuple)
_UNCONNECTED: Final = frozenset({type(None), StandIn})
_Method = Callable[..., Awaitable[Any]]


class Awaiting:
    """Wraps the methods of `redis.asyncio.connection.AbstractConnection`, and of those that override them."""

    def __init__(self, boundary: Boundary[Any], reply_error: type[Exception]) -> None:
        self._boundary = boundary
        self._reply_error = reply_error

    def connect(self, original: _Method) -> _Method:
        """Connecting crosses, with all that is said on a new connection beneath it."""

        @_awaited(original)
        def connect(connection: Any, *args: Any, **kwargs: Any) -> Awaitable[Any]:
            if connection._reader is not None and type(connection._writer) not in _UNCONNECTED:  # nothing is done then
                return original(connection, *args, **kwargs) if args or kwargs else original(connection)
            return self._connect(original, connection, *args, **kwargs)

        return connect

    def send(self, original: _Method) -> _Method:
        """Sending crosses by itself only where it fails, or is about channels."""

        @functools.wraps(original)
        async def send_packed_command(connection: Any, command: Any, check_health: Any = True) -> Any:  # noqa: FBT002 - as redis-py's
            link = link_here(connection)
            if link is None:
                drop_stand_in(connection)
                return await original(connection, command, check_health)
            if type(command) is not list and not isinstance(command, _PACKED):
                command = list(command)
            chunks = frozen(command)
            session: Any = link.session()
            if session.answers:
                if not connection.is_connected:
                    await connection.connect()
            elif type(connection._writer) is StandIn:
                drop_stand_in(connection)
            exchange = link.ask(chunks)
            if exchange is None:
                if link.renewing:
                    return None
                live = functools.partial(original, connection, command, check_health)
                return await self._subscribe(session, link, chunks, live)
            if session.answers:
                return None
            try:
                return await original(connection, command, check_health)
            except BaseException as error:
                link.exchange = None
                if error is not link.failed:
                    await session.acall(self._boundary, exchange, functools.partial(_fail, error))
                raise

        return send_packed_command

    def read(self, original: _Method) -> _Method:
        """The first reply's reading crosses; those after it belong to the same exchange."""
        boundary, reply_error = self._boundary, self._reply_error

        @functools.wraps(original)
        async def read_response(connection: Any, *args: Any, **kwargs: Any) -> Any:
            link = link_here(connection)
            if link is None:
                return await original(connection, *args, **kwargs)
            session: Any = link.session()
            exchange = link.exchange
            if session.answers:
                reply = await self._served(session, link, connection, args, kwargs)
            elif exchange is None or link.receiving:
                wait = self._receive if _wait_s(args, kwargs) is None else self._poll
                reply = await wait(session, link, connection, functools.partial(original, connection, *args, **kwargs))
            else:
                pending = AGAIN if exchange.crossed else session.begin(boundary, exchange)
                exchange.crossed = True
                try:
                    reply = (
                        await original(connection, *args, **kwargs) if args or kwargs else await original(connection)
                    )
                    exchange.keep(reply, connection.encoder)
                except reply_error as error:  # it is a reply too
                    exchange.keep(error, connection.encoder)
                    pending.end(exchange)
                    raise
                except BaseException as failure:
                    exchange.failure = failure if exchange.replies else None
                    pending.fail(failure)
                    raise
                pending.end(exchange)
                return reply
            if isinstance(reply, reply_error):
                raise reply from None
            return reply

        return read_response

    def look(self, original: _Method) -> _Method:
        """Whether something lies on an idle connection: nothing does where none is connected."""

        @_awaited(original)
        def can_read(connection: Any) -> Awaitable[Any]:
            session = session_of(connection)
            return original(connection) if session is None or not session.answers else _given(False)

        return can_read

    def check_health(self, original: _Method) -> _Method:
        """The connection's own PING is no call of the program."""

        @_awaited(original)
        def check_health(connection: Any) -> Awaitable[Any]:
            session = session_of(connection) if connection.health_check_interval else None
            if session is None:
                return original(connection)
            return _given(None) if session.answers else _beneath(original, connection)

        return check_health

    async def _connect(self, original: _Method, connection: Any, *args: Any, **kwargs: Any) -> Any:
        """See `connect`, for a connection that isn't connected, or only to a stand-in."""
        session = session_of(connection)
        if session is None:
            drop_stand_in(connection)
            return await original(connection, *args, **kwargs)
        if session.answers and connection.is_connected:
            return None
        drop_stand_in(connection)
        link = link_of(connection, session)
        live = functools.partial(original, connection, *args, **kwargs)
        try:
            await session.acall(self._boundary, connecting(link), live)
        except BaseException as error:
            link.failed = error
            raise
        link.connected(connection)
        if session.answers:
            await self._connected(connection, link)
        return None

    async def _subscribe(self, session: Any, link: Link, chunks: Any, live: Callable[[], Awaitable[Any]]) -> None:
        async def send() -> None:
            await live()

        await session.acall(self._boundary, subscribing(link, chunks), send)

    async def _read(self, exchange: Exchange, connection: Any, live: Callable[[], Awaitable[Any]]) -> Exchange:
        """Read a reply live and keep it; one that is an error is a reply too."""
        try:
            reply = await live()
        except self._reply_error as error:
            reply = error
        except BaseException as failure:
            exchange.failure = failure if exchange.replies else None
            raise
        exchange.live = reply
        exchange.keep(reply, connection.encoder)
        return exchange

    async def _receive(
        self,
        session: Any,
        link: Link,
        connection: Any,
        live: Callable[[], Awaitable[Any]],
        since_ns: int | None = None,
    ) -> Any:
        """The next message, of which a failure is one."""
        exchange = link.message()
        link.polls = 0

        async def receive() -> Exchange:
            try:
                return await self._read(exchange, connection, live)
            except Exception as failure:  # it comes after the looks at which nothing was there, which it keeps
                exchange.failure = failure
                return exchange

        exchange.started_ns = since_ns
        await session.acall(self._boundary, exchange, receive)
        if exchange.failure is not None:
            raise exchange.failure
        return exchange.live

    async def _poll(self, session: Any, link: Link, connection: Any, live: Callable[[], Awaitable[Any]]) -> Any:
        """The next message if it comes in time, else None; only one that came crosses, and keeps how often none did."""
        since_ns = now_ns()
        try:
            reply = await live()
        except Exception as failure:
            come = functools.partial(_fail, failure)
        else:
            if reply is None:
                link.polls += 1
                return None
            come = functools.partial(_given, reply)
        return await self._receive(session, link, connection, come, since_ns)

    async def _served(
        self, session: Any, link: Link, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The next reply, or message, of a replay; None for a message that doesn't come in time."""
        raw = args[0] if args else kwargs.get("disable_decoding", False)
        exchange = link.exchange
        try:
            if exchange is None or link.receiving:
                if not await self._has_come(session, link, _wait_s(args, kwargs)):
                    return None
                exchange, link.ahead, link.polls = link.ahead, None, 0
            elif not exchange.crossed:
                exchange.crossed = True
                exchange.answer(await session.acall(self._boundary, served(exchange), _never))
            assert exchange is not None
            try:
                reply = exchange.serve(connection.encoder, raw=raw)
            except LookupError:
                await reading_on(self._boundary, session, exchange).arefuse(len(exchange.replies))
        except BaseException:
            if kwargs.get("disconnect_on_error", True):
                await connection.disconnect(nowait=True)
            raise
        connection.next_health_check = math.inf
        return reply

    async def _has_come(self, session: Any, link: Link, wait_s: float | None) -> bool:
        """At replay: whether a message is there, after as many looks as there were; without a time to wait it is."""
        if link.ahead is None:
            exchange = link.message()
            exchange.otherwise = None if wait_s is None else _nothing
            link.foresaw(exchange, await session.acall(self._boundary, exchange, _never))
        if wait_s is None or link.is_ready():
            return True
        await asyncio.sleep(max(0.0, wait_s))
        return False

    @staticmethod
    async def _connected(connection: Any, link: Link) -> None:
        """What is left of connecting where nobody is connected to: a client that subscribed does so again."""
        connection._reader = connection._writer = StandIn()
        connection._connect_callbacks = [ref for ref in connection._connect_callbacks if ref()]
        link.renewing = True
        try:
            for ref in connection._connect_callbacks:
                callback = ref()
                if callback is not None and inspect.isawaitable(task := callback(connection)):
                    await task
        finally:
            link.renewing = False


def drop_stand_in(connection: Any) -> None:
    """A connection that a replay left behind isn't connected."""
    if type(connection._writer) is StandIn:
        connection._reader = connection._writer = None


def _wait_s(args: tuple[Any, ...], kwargs: dict[str, Any]) -> float | None:
    """How long `read_response` is to wait for a message; None: until one comes."""
    wait_s: float | None = args[1] if len(args) > 1 else kwargs.get("timeout")
    return None if wait_s == math.inf else wait_s


async def _fail(error: BaseException) -> NoReturn:
    raise error


async def _given(reply: Any) -> Any:
    return reply


async def _beneath(original: _Method, connection: Any) -> Any:
    with beneath():
        return await original(connection)


def _awaited(original: _Method) -> Callable[[_Method], _Method]:
    """`functools.wraps` for a seam that hands on the original's coroutine, and still counts as a coroutine function.

    Coroutines of its own around those of the steps would cost every command a microsecond.
    """

    def wrap(seam: _Method) -> _Method:
        wrapped = functools.wraps(original)(seam)
        if sys.version_info >= (3, 12):
            return inspect.markcoroutinefunction(wrapped)
        wrapped._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
        return wrapped

    return wrap


async def _never() -> NoReturn:
    raise AssertionError("a replay makes no live call")


def _nothing() -> None:
    """No message has come."""
