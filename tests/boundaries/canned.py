"""A server on loopback that answers each path with fixed bytes, whatever HTTP says of them; and that can be a proxy."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

__all__ = ["ANSWERS", "CannedOutside"]

ANSWERS = {
    "/json": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    "/old": b"HTTP/1.0 200 Fine\r\nContent-Type: text/plain\r\n\r\nuntil the end",
    "/closing": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
    "/no-reason": b"HTTP/1.1 299 \r\nContent-Length: 2\r\n\r\nok",
    "/early": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nafter",
    "/trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
    b"5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 11\r\n\r\n",
    "/cut-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nff\r\nonly a part",
    "/cut-between": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "/twice": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
    "/garbage": b"SSH-2.0-OpenSSH_9.6\r\n",
    "/not-modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n",
    "/later": b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    "/cut-head": b"HTTP/1.1 200 OK\r\nContent-Le",
}
_CLOSED = frozenset({"/old", "/closing", "/cut-chunk", "/cut-between", "/garbage", "/cut-head"})
"""Answers after which the connection is closed: those that don't say where they end, and those cut off."""


class CannedOutside:
    """The server.

    Attributes:
        url: its URL; as a proxy it answers for any host, and refuses a tunnel to `forbidden.example`.
        received: how many bytes it was sent.
        bodies: the request bodies, without transfer coding.
    """

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listening.getsockname()
        self.url = f"http://{self.host}:{self.port}"
        self.received = 0
        self.bodies: list[bytes] = []
        self._hits = 0
        self._asked_later = 0
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def calls(self) -> int:
        return self._hits

    def reset(self) -> None:
        self._asked_later = 0

    def take_away(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as lines:
            while self._answer(connection, lines):
                pass

    def _answer(self, connection: socket.socket, lines: Any) -> bool:
        head = []
        while (line := lines.readline()) not in (b"\r\n", b""):
            head.append(line)
        self.received += sum(map(len, head))
        if not head:
            return False
        method, target, _ = head[0].decode().split(" ")
        if method == "CONNECT":
            forbidden = target.startswith("forbidden.example")
            connection.sendall(b"HTTP/1.1 407 Denied\r\n\r\n" if forbidden else b"HTTP/1.1 200 Connected\r\n\r\n")
            return not forbidden
        self._hits += 1
        path = "/" + target.split("/", 3)[3] if target.startswith("http://") else target
        if b"100-continue" in b"".join(head).lower() and path != "/refuses":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._body(head, lines)
        self.bodies.append(body)
        if path.startswith("/later"):
            self._asked_later += 1
            path = "/json" if self._asked_later % 2 == 0 else "/later"
        echoed = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        connection.sendall(echoed if path == "/echo" else ANSWERS.get(path, ANSWERS["/json"]))
        return path not in _CLOSED

    def _body(self, head: list[bytes], lines: Any) -> bytes:
        headers = {line.partition(b":")[0].strip().lower(): line.partition(b":")[2].strip() for line in head[1:]}
        if headers.get(b"transfer-encoding") == b"chunked":
            parts = []
            while size := int(lines.readline(), 16):
                parts.append(lines.read(size))
                lines.readline()
            lines.readline()
            return b"".join(parts)
        body: bytes = lines.read(int(headers.get(b"content-length", b"0")))
        self.received += len(body)
        return body
