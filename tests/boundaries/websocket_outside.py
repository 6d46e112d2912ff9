"""The outside of the websocket tests: a real server on loopback that counts its connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from http import HTTPStatus
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

__all__ = ["WebsocketOutside"]


class WebsocketOutside:
    """A threaded server on 127.0.0.1.

    Attributes:
        url: its URL without a slash at its end; `refused` one of a port with no server, `nowhere` of no such host.
    """

    nowhere = "ws://nowhere.invalid"

    def __init__(self) -> None:
        self._hits = 0
        self._gone = threading.Event()
        self._open: set[Any] = set()
        self._server = serve(
            self._handle,
            "127.0.0.1",
            0,
            process_request=self._process,
            select_subprotocol=_subprotocol,
        )
        port = self._server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self._free = socket.socket()
        self._free.bind(("127.0.0.1", 0))
        self.refused = f"ws://127.0.0.1:{self._free.getsockname()[1]}"

    def calls(self) -> int:
        return self._hits

    def reset(self) -> None:
        """Nothing is kept between connections."""

    def take_away(self) -> None:
        if not self._gone.is_set():
            self._gone.set()
            self._server.shutdown()
            self._thread.join()
            self._free.close()

    def _process(self, connection: Any, request: Any) -> Any:
        self._hits += 1
        if request.path == "/forbidden":
            return connection.respond(HTTPStatus.FORBIDDEN, "not you\n")
        if request.path == "/plain":
            return connection.respond(HTTPStatus.OK, "no websocket here\n")
        return None

    def _handle(self, connection: Any) -> None:
        name = connection.request.path.strip("/").partition("?")[0]
        with contextlib.suppress(ConnectionClosed):
            getattr(self, f"_{name}")(connection)

    @staticmethod
    def _echo(connection: Any) -> None:
        for message in connection:
            connection.send(message)

    @staticmethod
    def _ticker(connection: Any) -> None:
        for number in range(3):
            connection.send(f"tick {number}")
        connection.recv()

    @staticmethod
    def _feed(connection: Any) -> None:
        for number in range(3):
            connection.send(f"tick {number}")
        connection.close(1000, "done")

    @staticmethod
    def _fragments(connection: Any) -> None:
        connection.send(iter(["un", "even", " parts"]))
        connection.recv()

    @staticmethod
    def _pinging(connection: Any) -> None:
        connection.ping("are you there").wait(5)
        connection.send("you were there")
        connection.recv()

    @staticmethod
    def _leave(connection: Any) -> None:
        connection.close(1000, "bye")

    @staticmethod
    def _kick(connection: Any) -> None:
        connection.close(4003, "not welcome")

    @staticmethod
    def _drop(connection: Any) -> None:
        connection.socket.shutdown(socket.SHUT_RDWR)

    def _silent(self, connection: Any) -> None:
        connection.recv()

    @staticmethod
    def _headers(connection: Any) -> None:
        connection.send(connection.request.headers.get("X-Name", "none"))
        connection.recv()


def _subprotocol(_: Any, offered: Any) -> Any:
    return "chat" if "chat" in offered else None
