"""The outsides of the boundary tests: a real HTTP server on loopback with a hit counter, and real database files."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gzip
import json
import os
import shutil
import socket
import sqlite3
import ssl
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import brotli
import pytest
import trustme
import zstandard

from tests.boundaries.canned import CannedOutside


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536  # head and body in one packet: else each kept-alive answer waits 40 ms for an acknowledgement
    server: HttpOutside.Server

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""

    def handle_any(self) -> None:
        self.server.hits += 1
        body = self._read_body()
        path = self.path.partition("?")[0]
        answer = getattr(self, f"answer_{path.strip('/').partition('/')[0]}", None)
        if answer is None:
            self._send(404, b"no such path", content_type="text/plain")
        else:
            answer(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = handle_any

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline() or b"0", 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, status: int, body: bytes, *, content_type: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def answer_json(self, body: bytes) -> None:
        self._send(200, json.dumps({"path": self.path, "body": body.decode("latin-1"), "list": [1, 2]}).encode())

    def answer_echo(self, body: bytes) -> None:
        self._send(201, body, content_type=self.headers.get("Content-Type", "application/octet-stream"))

    def answer_authorization(self, _: bytes) -> None:
        self._send(200, self.headers.get("Authorization", "none").encode(), content_type="text/plain")

    def answer_length(self, body: bytes) -> None:
        self._send(200, str(len(body)).encode(), content_type="text/plain")

    def answer_gzip(self, _: bytes) -> None:
        self._send(200, gzip.compress(b'{"zipped": true}' * 50, mtime=0), Content_Encoding="gzip")

    def answer_brotli(self, _: bytes) -> None:
        self._send(200, brotli.compress(b'{"packed": true}' * 50), Content_Encoding="br")

    def answer_zstd(self, _: bytes) -> None:
        self._send(200, zstandard.ZstdCompressor().compress(b'{"packed": true}' * 50), Content_Encoding="zstd")

    def answer_large(self, _: bytes) -> None:
        self._send(200, b"0123456789abcdef" * 65_536, content_type="text/plain")

    def answer_parts(self, _: bytes) -> None:
        part = b"--of-two\r\nContent-Type: application/json\r\n\r\n"
        body = part + b'{"part": 1}\r\n' + part + b'{"part": 2}\r\n--of-two--\r\n'
        self._send(200, body, content_type="multipart/mixed; boundary=of-two")

    def answer_flaky(self, _: bytes) -> None:
        self.server.asked += 1
        if self.server.asked % 2:
            self._send(503, b"busy", content_type="text/plain", Retry_After="0")
        else:
            self._send(200, b"well", content_type="text/plain")

    def answer_hangup(self, _: bytes) -> None:
        self.close_connection = True

    def answer_status(self, _: bytes) -> None:
        self._send(int(self.path.rsplit("/", 1)[1]), b'{"error": "as asked"}')

    def answer_redirect(self, _: bytes) -> None:
        self._send(302, b"", Location="/json?redirected=1")

    def answer_keep(self, _: bytes) -> None:
        self._send(307, b"", Location="/echo")

    def answer_cookie(self, _: bytes) -> None:
        self._send(
            200, self.headers.get("Cookie", "none").encode(), content_type="text/plain", Set_Cookie="sid=abc; Path=/"
        )

    def answer_latin(self, _: bytes) -> None:
        self._send(200, "naïve".encode("latin-1"), content_type="text/plain; charset=latin-1", X_Name="na\xefve")

    def answer_sse(self, _: bytes) -> None:
        self._chunked("text/event-stream", [f"data: {n}\n\n".encode() for n in range(4)])

    def answer_lines(self, _: bytes) -> None:
        self._chunked("text/plain", [b"one\ntw", b"o\nthree\n"])

    def _chunked(self, content_type: str, chunks: list[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.flush()
            time.sleep(0.003)
        self.wfile.write(b"0\r\n\r\n")

    def answer_drop(self, _: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"only this")
        self.wfile.flush()
        self.close_connection = True

    def answer_stall(self, _: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"first")
        self.wfile.flush()
        self.server.gone.wait(5)
        self.close_connection = True

    def answer_slow(self, _: bytes) -> None:
        self.server.gone.wait(5)
        self.close_connection = True


class HttpOutside:
    """A threaded server on 127.0.0.1.

    Attributes:
        url: its URL without a slash at its end; `secure` is the same server over TLS, made on first use.
        ca_file: the certificate authority that signed the certificate of `secure`.
        refused: the URL of a port with no server; `nowhere` one whose host has no address.
    """

    nowhere = "http://nowhere.invalid"

    class Server(ThreadingHTTPServer):
        """Counts its requests."""

        daemon_threads = True
        hits = 0
        asked = 0
        gone: threading.Event

        def handle_error(self, *_: object) -> None:
            """A client that goes away in the middle is part of the tests."""

    def __init__(self) -> None:
        self._gone = threading.Event()
        self._threads: list[threading.Thread] = []
        self._servers: list[HttpOutside.Server] = []
        self.server = self._serve()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._free = socket.socket()
        self._free.bind(("127.0.0.1", 0))
        self.refused = f"http://127.0.0.1:{self._free.getsockname()[1]}"
        self._served = True

    def _serve(self, context: ssl.SSLContext | None = None) -> Server:
        server = self.Server(("127.0.0.1", 0), _Handler)
        server.gone = self._gone
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        self._servers.append(server)
        self._threads.append(thread)
        return server

    @functools.cached_property
    def secure(self) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _certificate()[1].configure_cert(context)
        return f"https://127.0.0.1:{self._serve(context).server_port}"

    @property
    def ca_file(self) -> str:
        return _certificate()[0]

    def calls(self) -> int:
        return sum(server.hits for server in self._servers)

    def reset(self) -> None:
        self.server.asked = 0

    def take_away(self) -> None:
        if self._served:
            self._served = False
            self._gone.set()
            for server, thread in zip(self._servers, self._threads, strict=True):
                server.shutdown()
                thread.join()
                server.server_close()
            self._free.close()


@functools.cache
def _certificate() -> tuple[str, trustme.LeafCert]:
    """A certificate authority's file and a certificate of it for this machine; one pair per process."""
    authority = trustme.CA()
    path = Path(tempfile.mkdtemp(prefix="fluxrun-ca-")) / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    return str(path), authority.issue_cert("127.0.0.1", "localhost")


class FileOutside:
    """A database file with two tables; a call is an opening of the file, as the interpreter's audit events tell."""

    _outsides: ClassVar[weakref.WeakSet[FileOutside]] = weakref.WeakSet()

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened = 0
        self._present = True
        self.reset()
        self._outsides.add(self)

    @classmethod
    def _audit(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "sqlite3.connect":
            for outside in list(cls._outsides):
                outside.opened += str(outside.path) in os.fsdecode(arguments[0])

    def calls(self) -> int:
        return self.opened

    def reset(self) -> None:
        self.path.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(
                "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL, data BLOB, added TIMESTAMP);"
                "INSERT INTO item VALUES (1, 'one', 1.5, x'00ff', '2024-01-02 03:04:05'), (2, 'two', 2.0, NULL, NULL),"
                " (3, 'three', 3.25, x'', '2024-01-02 03:04:05.000006');"
                "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT UNIQUE);"
            )

    def take_away(self) -> None:
        self._present = False
        self.path.unlink()

    def stays_away(self) -> bool:
        """Whether the file is still gone after `take_away`."""
        return self._present or not self.path.exists()


sys.addaudithook(FileOutside._audit)


@pytest.fixture(scope="session")
def psycopg_schema(postgres_port: int) -> Iterator[Any]:
    """What `Postgres` takes: made once, as its tables are filled anew for each test."""
    from tests.boundaries.psycopg_outside import prepared_schema

    with prepared_schema(postgres_port) as direct:
        yield direct


@pytest.fixture
def http_outside() -> Iterator[HttpOutside]:
    outside = HttpOutside()
    yield outside
    outside.take_away()


@pytest.fixture
def file_outside(tmp_path: Path) -> Iterator[Any]:
    outside = FileOutside(tmp_path / "shop.db")
    yield outside
    assert outside.stays_away(), "the file came back"


@pytest.fixture
def canned() -> Iterator[CannedOutside]:
    """The server of fixed answers."""
    outside = CannedOutside()
    yield outside
    outside.take_away()
