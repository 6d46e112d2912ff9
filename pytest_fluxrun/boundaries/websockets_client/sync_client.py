"""The sync client of the library websockets: opening a connection, and what passes over it.

A played connection has one end of a pair of sockets of this process, which nothing is read from; its thread belongs to
no run. What the peer said is given on the thread that waits for it.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pytest_fluxrun.boundaries.http.exchange import Exchange
from pytest_fluxrun.boundaries.websocket.channel import Arrived, Channel, Closed, WebsocketLibrary, websocket_url
from pytest_fluxrun.boundaries.websockets_client.closing import (
    closed_of,
    end_thread,
    feed_close_locked,
    receive_now,
)
from pytest_fluxrun.boundaries.websockets_client.handshake import HANDSHAKES, Asked, exchange_of, wire_of
from pytest_fluxrun.boundaries.websockets_client.messages import (
    Answered,
    Opened,
    Raised,
    Sent,
    arrived_of,
    closing_text,
    decoded,
    last_ping,
    opened_of,
)
from pytest_fluxrun.boundary import Call, Patch
from pytest_fluxrun.context import crossing, entered

__all__ = ["SyncClient"]


class SyncClient:
    """The seams of `websockets.sync.client`."""

    def __init__(self, library: WebsocketLibrary) -> None:
        self._library = library

    def patches(self, module: Any) -> Iterable[Patch]:
        """Opening, and what passes over an open connection."""
        if hasattr(module, "reconnect"):
            yield Patch(module.reconnect, "open_connection", self._wrap_open_sync)
        else:
            yield Patch(module, "connect", functools.partial(self._wrap_connect_sync, module))
        connection = module.ClientConnection
        yield Patch(connection, "recv", self._wrap_recv_sync)
        yield Patch(connection, "recv_streaming", self._wrap_recv_streaming_sync)
        yield Patch(connection, "send", self._wrap_send_sync)
        yield Patch(connection, "close", self._wrap_close_sync)
        yield Patch(connection, "ping", self._wrap_ping_sync)
        if hasattr(connection, "keepalive"):
            yield Patch(connection, "keepalive", _wrap_keepalive_sync)

    def _wrap_open_sync(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def open_connection(opening: Any, deadline: Any) -> Any:
            def played(peer: socket.socket, create: Callable[..., Any]) -> Any:
                before = opening.sock, opening.create_connection
                opening.sock, opening.create_connection = peer, create
                opening.enable_tls = lambda sock, _: sock
                try:
                    return original(opening, deadline)
                finally:
                    del opening.enable_tls
                    opening.sock, opening.create_connection = before

            return self._open_sync(
                opening.uri,
                opening.additional_headers,
                lambda: original(opening, deadline),
                played,
                opening.create_connection,
            )

        return open_connection

    def _wrap_connect_sync(self, module: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def connect(uri: str, **kwargs: Any) -> Any:
            def played(peer: socket.socket, create: Callable[..., Any]) -> Any:
                over_nothing = {
                    "sock": peer,
                    "create_connection": create,
                    **({"ssl": _NoTls()} if "ssl" in kwargs else {}),
                }
                return original(uri, **{**kwargs, **over_nothing})

            create = kwargs.get("create_connection") or module.ClientConnection
            return self._open_sync(
                uri, kwargs.get("additional_headers"), lambda: original(uri, **kwargs), played, create
            )

        return connect

    def _open_sync(
        self, uri: str, headers: Any, live: Callable[[], Any], played: Callable[..., Any], create: Callable[..., Any]
    ) -> Any:
        session = crossing()
        if session is None:
            return live()
        asked, raised = Asked(uri, headers), Raised()
        connections: list[Any] = []

        def opened() -> Exchange:
            try:
                connections.append(live())
            except Exception as error:
                response = getattr(error, "response", None)
                if response is None:
                    raise
                raised.error = error
                return exchange_of(response, session)
            asked.request = connections[0].request
            return exchange_of(connections[0].response, session)

        exchange = session.call(HANDSHAKES, Call(asked.form), opened)
        raised.again()
        if connections:
            connection = connections[0]
        else:
            ours, peer = _pair()
            try:
                connection = played(ours, functools.partial(_create_played, create, exchange, peer))
            except BaseException:  # the recorded answer opened none
                peer.close()
                raise
        channel = Channel(self._library, websocket_url(uri), exchange.connection)
        connection._fluxrun = Opened(channel, played=not connections)  # noqa: SLF001 - found by the other seams
        return connection

    def _wrap_recv_sync(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def recv(connection: Any, timeout: float | None = None, decode: Any = None) -> Any:
            arguments = (timeout,) if decode is None else (timeout, decode)
            session = crossing()
            if session is None:
                return original(connection, *arguments)
            opened, raised = opened_of(self._library, connection), Raised()

            def live() -> Arrived:
                try:
                    return arrived_of(original(connection, *arguments))
                except Exception as error:
                    return raised.closing(connection, error)

            arrived = opened.channel.receive(session, live)
            opened.over = arrived.closed is not None
            raised.again()
            if arrived.closed is not None:
                end_thread(connection, arrived.closed)
                return original(connection, *arguments)
            return decoded(arrived.payload, decode)

        return recv

    def _wrap_recv_streaming_sync(self, original: Callable[..., Iterator[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        def recv_streaming(connection: Any, decode: Any = None) -> Iterator[Any]:
            session = crossing()
            arguments = () if decode is None else (decode,)
            fragments = original(connection, *arguments)
            if session is None:
                yield from fragments
                return
            opened, raised = opened_of(self._library, connection), Raised()

            def live() -> Arrived:
                try:
                    return arrived_of(next(fragments))
                except StopIteration:
                    return Arrived("whole")
                except Exception as error:
                    return raised.closing(connection, error)

            while True:
                arrived = opened.channel.receive(session, live, control="fragment")
                opened.over = arrived.closed is not None
                raised.again()
                if arrived.closed is not None:
                    end_thread(connection, arrived.closed)
                    next(original(connection, *arguments))
                if arrived.what == "whole":
                    return
                yield decoded(arrived.payload, decode)

        return recv_streaming

    def _wrap_send_sync(self, original: Callable[..., None]) -> Callable[..., Any]:
        @functools.wraps(original)
        def send(connection: Any, message: Any, text: Any = None) -> None:
            session = crossing()
            arguments = {} if text is None else {"text": text}
            if session is None:
                original(connection, message, **arguments)
                return
            opened, sent, raised = opened_of(self._library, connection), Sent(message, text), Raised()

            def live() -> Arrived | None:
                try:
                    original(connection, sent.passing(), **arguments)
                except Exception as error:
                    return raised.closing(connection, error)
                return None

            arrived = opened.channel.send(session, sent.payload, live)
            opened.over = arrived is not None and arrived.closed is not None
            raised.again()
            if arrived is not None and arrived.closed is not None:
                end_thread(connection, arrived.closed)
                original(connection, message, **arguments)

        return send

    def _wrap_close_sync(self, original: Callable[..., None]) -> Callable[..., Any]:
        @functools.wraps(original)
        def close(connection: Any, code: int = 1000, reason: str = "") -> None:
            session = crossing()
            opened = opened_of(self._library, connection)
            if session is None or opened.over:
                original(connection, code, reason)
                return

            def live() -> Arrived:
                original(connection, code, reason)
                return Arrived("over", closed=closed_of(connection))

            call = Call(opened.channel.form("send", closing_text(code, reason), control="close"))
            arrived = session.call(self._library, call, live)
            opened.over = True
            if opened.played:
                if arrived.closed.peer_first:
                    end_thread(connection, arrived.closed)
                else:
                    _answer_close(connection, arrived.closed)
                original(connection, code, reason)

        return close

    def _wrap_ping_sync(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def ping(connection: Any, *args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is None:
                return original(connection, *args, **kwargs)
            opened = opened_of(self._library, connection)
            pongs: list[Any] = []

            def live() -> Arrived:
                pongs.append(original(connection, *args, **kwargs))
                return Arrived("pong", extra=Answered(pongs[0]))

            call = Call(opened.channel.form("send", control="ping"))
            arrived = session.call(self._library, call, live)
            if pongs:
                return pongs[0]
            pong = original(connection, *args, **kwargs)
            if arrived.extra is not None:
                connection.acknowledge_pings(last_ping(connection))
            return pong

        return ping


class _Nowhere(socket.socket):
    """One end of a pair, which takes the settings of a TCP socket."""

    def setsockopt(self, *_: Any) -> None:
        """Nothing to set."""


def _pair() -> tuple[socket.socket, socket.socket]:
    ours, peer = socket.socketpair()
    return _Nowhere(fileno=ours.detach()), peer


class _NoTls:
    """Stands for a TLS context where the socket leads nowhere."""

    def wrap_socket(self, sock: socket.socket, **_: Any) -> socket.socket:
        """The socket as it is."""
        return sock


class _ResponseReceived:
    """Of a played sync connection, what its handshake waits on: the answer comes with the wait."""

    def __init__(self, inner: Any, answer: Callable[[], None]) -> None:
        self._inner = inner
        self._answer = answer

    def set(self) -> None:
        """As the event."""
        self._inner.set()

    def wait(self, timeout: float | None = None) -> bool:
        """As the event."""
        self._answer()
        return bool(self._inner.wait(timeout))


def _create_played(
    create: Callable[..., Any], exchange: Exchange, peer: socket.socket, *args: Any, **kwargs: Any
) -> Any:
    """A connection over a pair of sockets, whose thread is none of the run's, about to get its handshake's answer."""
    with entered(None):
        connection = create(*args, **kwargs)
    connection._fluxrun_peer = peer  # noqa: SLF001
    connection.ping_interval = connection.close_timeout = None  # nobody answers pings; the peer's close is recorded

    def answer() -> None:
        receive_now(connection, wire_of(exchange, connection.request.headers["Sec-WebSocket-Key"]))

    connection.response_rcvd = _ResponseReceived(connection.response_rcvd, answer)
    return connection


def _answer_close(connection: Any, closed: Closed) -> None:
    """Have the peer answer the close frame that is about to be sent."""
    send_data = connection.send_data

    def send_and_close() -> None:
        connection.send_data = send_data
        send_data()
        feed_close_locked(connection, closed)

    connection.send_data = send_and_close


def _wrap_keepalive_sync(original: Callable[..., None]) -> Callable[..., Any]:
    @functools.wraps(original)
    def keepalive(connection: Any) -> None:
        with entered(None):  # its pings are the library's, not the run's
            original(connection)

    return keepalive
