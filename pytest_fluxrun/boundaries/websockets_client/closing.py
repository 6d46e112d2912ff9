"""How a connection of the library `websockets` ended, read from it and played to it, so that it closes by itself."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from pytest_fluxrun.boundaries.websocket.channel import Closed
from pytest_fluxrun.context import entered
from pytest_fluxrun.values import dump_error, load_error

__all__ = ["closed_of", "end_thread", "feed_close", "feed_close_locked", "is_over", "receive_now"]

_NO_STATUS = 1005
_CAUSES = ("connection_exc", "recv_exc", "recv_events_exc")
"""Where versions keep the error that cut the connection."""
_JOIN_S = 5.0


def closed_of(connection: Any) -> Closed:
    """How a live connection ended."""
    protocol = connection.protocol
    causes = (getattr(connection, name, None) for name in _CAUSES)
    cause = next((cause for cause in causes if cause is not None), None)
    return Closed(
        received=_pair(protocol.close_rcvd),
        sent=_pair(protocol.close_sent),
        peer_first=bool(protocol.close_rcvd_then_sent),
        cause=None if cause is None else dump_error(cause),
    )


def is_over(connection: Any) -> bool:
    """Whether nothing more passes in either direction."""
    return bool(connection.protocol.state.name == "CLOSED")


def feed_close(connection: Any, closed: Closed) -> None:
    """End a played asyncio connection as recorded."""
    if is_over(connection):
        return
    _fail_first(connection, closed)
    if closed.received is not None:
        connection.data_received(_frame(*closed.received))
    if not connection.connection_lost_waiter.done():
        connection.eof_received()
        connection.connection_lost(None if closed.cause is None else load_error(closed.cause))


def feed_close_locked(connection: Any, closed: Closed) -> None:
    """End a played sync connection as recorded; its protocol's mutex is held."""
    if is_over(connection):
        return
    _fail_first(connection, closed)
    if closed.received is not None:
        connection.protocol.receive_data(_frame(*closed.received))
        connection.protocol.events_received()
        connection.send_data()
    if closed.cause is not None:
        name = next(name for name in _CAUSES if hasattr(connection, name))
        setattr(connection, name, load_error(closed.cause))
    _leave(connection._fluxrun_peer)  # noqa: SLF001 - the other end of its socket: its own thread ends it


def receive_now(connection: Any, data: bytes) -> None:
    """Give bytes to a played sync connection, on the thread that waits for what they bring."""
    with connection.protocol_mutex:
        connection.protocol.receive_data(data)
        events = connection.protocol.events_received()
        connection.send_data()
    for event in events:
        connection.process_event(event)


def end_thread(connection: Any, closed: Closed) -> None:
    """End a played sync connection as recorded, and wait in real time for its thread."""
    with connection.protocol_mutex:
        feed_close_locked(connection, closed)
    with entered(None):
        connection.recv_events_thread.join(_JOIN_S)


def _leave(peer: socket.socket) -> None:
    """Close a socket in order: with nothing unread in it, which would be a reset."""
    peer.shutdown(socket.SHUT_WR)
    peer.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while peer.recv(65_536):
            pass
    peer.close()


def _fail_first(connection: Any, closed: Closed) -> None:
    """Where the library itself had given the connection up (no pong, an invalid message)."""
    if closed.sent is not None and not closed.peer_first and connection.protocol.close_sent is None:
        connection.protocol.fail(*closed.sent)
        connection.send_data()


def _pair(close: Any) -> tuple[int, str] | None:
    return None if close is None else (int(close.code), close.reason)


def _frame(code: int, reason: str) -> bytes:
    payload = b"" if code == _NO_STATUS else code.to_bytes(2, "big") + reason.encode()
    return bytes((0x88, len(payload))) + payload
