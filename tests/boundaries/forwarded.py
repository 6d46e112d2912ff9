"""A server on this machine behind a port of a test's own, which counts what is sent to it and can be taken away."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

__all__ = ["Forwarded"]

_JOIN_S = 2.0


class Forwarded:
    """Forwards connections of 127.0.0.1:`port` to a server. An Outside: subclass it for `reset`.

    Args:
        target: the server's port on 127.0.0.1.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._sent = 0
        self._open: list[socket.socket] = []
        self._copying: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def calls(self) -> int:
        """Connections made and pieces sent to the server so far."""
        return self._sent

    def reset(self) -> None:
        """There is no state here; the server's is the subclass's affair."""

    def take_away(self) -> None:
        """Close the port and every connection through it."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(_JOIN_S)  # from here on no connection and no thread comes to be
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()
        for thread in self._copying:  # what was on its way is counted by now
            thread.join(_JOIN_S)

    close = take_away

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sent += 1
            server = socket.create_connection(("127.0.0.1", self._target))
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [client, server]
            both = (client, server, True), (server, client, False)
            threads = [threading.Thread(target=self._copy, args=one, daemon=True) for one in both]
            self._copying += threads
            for thread in threads:
                thread.start()

    def _copy(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._sent += counts
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
