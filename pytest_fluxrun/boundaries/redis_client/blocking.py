"""The seams of redis-py's blocking connections: connect, send, look for and read replies."""

# ruff: noqa: SLF001 - the seams are private to redis-py's connections; 4.6 to 8.1 have the same
from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final

from pytest_fluxrun.boundaries.redis_client.exchange import Exchange
from pytest_fluxrun.boundaries.redis_client.link import Link, is_receiving, link_here, link_of, session_of
from pytest_fluxrun.boundaries.redis_client.stand_in import StandIn
from pytest_fluxrun.boundaries.redis_client.steps import (
    AGAIN,
    connecting,
    nothing,
    now_ns,
    raise_again,
    reading_on,
    served,
    subscribing,
)
from pytest_fluxrun.boundaries.redis_client.wire import frozen
from pytest_fluxrun.boundary import Boundary
from pytest_fluxrun.context import beneath, virtual_clock

__all__ = ["Blocking"]

_PACKED: Final = (str, bytes, tuple)
_UNCONNECTED: Final = frozenset({type(None), StandIn})
_Method = Callable[..., Any]


class Blocking:
    """Wraps the methods of `redis.connection.AbstractConnection`, and of those that override them."""

    def __init__(self, boundary: Boundary[Any], reply_error: type[Exception]) -> None:
        self._boundary = boundary
        self._reply_error = reply_error

    def connect(self, original: _Method) -> _Method:
        """Connecting crosses, with all that is said on a new connection beneath it."""

        @functools.wraps(original)
        def connect(connection: Any, *args: Any, **kwargs: Any) -> Any:
            if type(connection._sock) not in _UNCONNECTED:  # what the original does then is nothing
                return original(connection, *args, **kwargs) if args or kwargs else original(connection)
            session = session_of(connection)
            if session is None:
                drop_stand_in(connection)
                return original(connection, *args, **kwargs)
            if session.answers and connection._sock is not None:
                return None
            drop_stand_in(connection)
            link = link_of(connection, session)
            try:
                session.call(self._boundary, connecting(link), functools.partial(original, connection, *args, **kwargs))
            except BaseException as error:
                link.failed = error
                raise
            link.connected(connection)
            if session.answers:
                self._connected(connection, link)
            return None

        return connect

    def send(self, original: _Method) -> _Method:
        """Sending crosses by itself only where it fails, or is about channels."""

        @functools.wraps(original)
        def send_packed_command(connection: Any, command: Any, check_health: Any = True) -> Any:  # noqa: FBT002 - as redis-py's
            link = link_here(connection)
            if link is None:
                drop_stand_in(connection)
                return original(connection, command, check_health)
            if type(command) is not list and not isinstance(command, _PACKED):
                command = list(command)
            chunks = frozen(command)
            session: Any = link.session()
            if session.answers:
                if connection._sock is None:
                    connection.connect()
            elif type(connection._sock) is StandIn:
                connection._sock = None
            exchange = link.ask(chunks)
            if exchange is None:
                if link.renewing:
                    return None
                live = functools.partial(original, connection, command, check_health)
                return self._subscribe(session, link, chunks, live)
            if session.answers:
                return None
            try:
                return original(connection, command, check_health)
            except BaseException as error:
                link.exchange = None
                if error is not link.failed:
                    session.call(self._boundary, exchange, functools.partial(raise_again, error))
                raise

        return send_packed_command

    def read(self, original: _Method) -> _Method:
        """The first reply's reading crosses; those after it belong to the same exchange."""
        boundary, reply_error = self._boundary, self._reply_error

        @functools.wraps(original)
        def read_response(connection: Any, *args: Any, **kwargs: Any) -> Any:
            link = link_here(connection)
            if link is None:
                return original(connection, *args, **kwargs)
            session: Any = link.session()
            exchange = link.exchange
            if session.answers:
                reply = self._served(session, link, connection, args, kwargs)
            elif exchange is None or link.receiving:
                live = functools.partial(original, connection, *args, **kwargs)
                reply = self._receive(session, link, connection, live)
            else:
                pending = AGAIN if exchange.crossed else session.begin(boundary, exchange)
                exchange.crossed = True
                try:
                    reply = original(connection, *args, **kwargs) if args or kwargs else original(connection)
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
                try:
                    raise reply
                finally:
                    del reply
            return reply

        return read_response

    def look(self, original: _Method) -> _Method:
        """Looking whether something came: on a subscribed connection the message that did crosses when it is read."""

        @functools.wraps(original)
        def can_read(connection: Any, timeout: float | None = 0) -> Any:
            session = session_of(connection)
            if session is None or not (session.answers or is_receiving(connection)):
                return original(connection, timeout)
            link = link_of(connection, session)
            if session.answers:
                return link.receiving and self._foresee(session, link, timeout)
            since_ns = now_ns()
            try:
                ready = original(connection, timeout)
            except Exception as error:
                self._receive(session, link, connection, functools.partial(raise_again, error))
                raise
            if ready:
                link.since_ns = link.since_ns or since_ns
            else:
                link.polls += 1
            return ready

        return can_read

    def check_health(self, original: _Method) -> _Method:
        """The connection's own PING is no call of the program."""

        @functools.wraps(original)
        def check_health(connection: Any) -> Any:
            if not connection.health_check_interval:
                return None
            session = session_of(connection)
            if session is None:
                return original(connection)
            if session.answers:
                return None
            with beneath():
                return original(connection)

        return check_health

    def _subscribe(self, session: Any, link: Link, chunks: Any, live: Callable[[], Any]) -> None:
        def send() -> None:
            live()

        session.call(self._boundary, subscribing(link, chunks), send)

    def _read(self, exchange: Exchange, connection: Any, live: Callable[[], Any]) -> Exchange:
        """Read a reply live and keep it; one that is an error is a reply too."""
        try:
            reply = live()
        except self._reply_error as error:
            reply = error
        except BaseException as failure:
            exchange.failure = failure if exchange.replies else None
            raise
        exchange.live = reply
        exchange.keep(reply, connection.encoder)
        return exchange

    def _receive(self, session: Any, link: Link, connection: Any, live: Callable[[], Any]) -> Any:
        """The next message, of which a failure is one."""
        exchange, since_ns = link.message(), link.since_ns
        link.polls, link.since_ns = 0, None

        def receive() -> Exchange:
            try:
                return self._read(exchange, connection, live)
            except Exception as failure:  # it comes after the looks at which nothing was there, which it keeps
                exchange.failure = failure
                return exchange

        exchange.started_ns = since_ns
        session.call(self._boundary, exchange, receive)
        if exchange.failure is not None:
            raise exchange.failure
        return exchange.live

    def _served(self, session: Any, link: Link, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The next reply, or message, of a replay."""
        raw = args[0] if args else kwargs.get("disable_decoding", False)
        exchange = link.exchange
        try:
            if exchange is None or link.receiving:
                exchange, link.ahead, link.polls = link.ahead, None, 0
                if exchange is None:
                    exchange = link.message()
                    exchange.answer(session.call(self._boundary, exchange, nothing))
            elif not exchange.crossed:
                exchange.crossed = True
                exchange.answer(session.call(self._boundary, served(exchange), nothing))
            try:
                reply = exchange.serve(connection.encoder, raw=raw)
            except LookupError:
                reading_on(self._boundary, session, exchange).refuse(len(exchange.replies))
        except BaseException:
            if kwargs.get("disconnect_on_error", True):
                connection.disconnect()
            raise
        connection.next_health_check = math.inf
        return reply

    def _foresee(self, session: Any, link: Link, timeout: float | None) -> bool:
        """At replay: whether a message is there, after as many looks as there were."""
        if link.ahead is None:
            exchange = link.message()
            exchange.otherwise = nothing
            link.foresaw(exchange, session.call(self._boundary, exchange, nothing))
        if link.is_ready():
            return True
        clock = virtual_clock()
        if clock is not None:
            clock.sleep(timeout or 0)
        return False

    @staticmethod
    def _connected(connection: Any, link: Link) -> None:
        """What is left of connecting where nobody is connected to: a client that subscribed does so again."""
        connection._sock = StandIn()
        connection._connect_callbacks = [ref for ref in connection._connect_callbacks if ref()]
        link.renewing = True
        try:
            for ref in connection._connect_callbacks:
                callback = ref()
                if callback is not None:
                    callback(connection)
        finally:
            link.renewing = False


def drop_stand_in(connection: Any) -> None:
    """A connection that a replay left behind isn't connected."""
    if type(connection._sock) is StandIn:
        connection._sock = None
