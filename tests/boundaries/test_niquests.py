"""niquests over HTTP/2, one request after another and many on one connection, against a real server."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import niquests
import pytest
import trustme
from hypercorn.asyncio import serve
from hypercorn.config import Config

from pytest_fluxrun.boundaries import concurrent_futures, urllib3_future
from pytest_fluxrun.testing.boundary import BoundaryContract


class Http2Outside:
    """Hypercorn on loopback, which answers each request with its version, its path and its body, in three parts."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        self._config = Config()
        self._config.bind = ["127.0.0.1:0"]
        self._config.certfile = self._config.keyfile = str(folder / "server.pem")
        self._config.errorlog = None
        self._sockets = self._config.create_sockets()
        self._config.create_sockets = lambda: self._sockets  # type: ignore[method-assign]
        self._sockets.secure_sockets[0].listen()  # who connects before the server accepts waits
        self.url = f"https://localhost:{self._sockets.secure_sockets[0].getsockname()[1]}"
        self._hits = 0
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._loop.run_until_complete(serve(self._app, self._config, shutdown_trigger=self._stop.wait))
        self._loop.close()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        self._hits += 1
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = [(b"content-type", b"text/plain"), (b"x-version", scope["http_version"].encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in (b"path ", scope["path"].encode(), body):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def calls(self) -> int:
        return self._hits

    def reset(self) -> None:
        """Each answer is the same anyway."""

    def take_away(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)


def in_turn(outside: Http2Outside) -> Any:
    """A body up, and a stream down."""
    with niquests.Session() as session:
        ask = functools.partial(session.request, verify=outside.ca_file, timeout=5)
        posted = ask("POST", f"{outside.url}/a", data=b" and a body")
        streamed = ask("GET", f"{outside.url}/b", stream=True)
        found = b"".join(streamed.iter_content(3))
        return [posted.http_version, posted.headers["X-Version"], posted.content, streamed.http_version, found]


def multiplexed(outside: Http2Outside) -> Any:
    """Four requests under way on one connection."""
    with niquests.Session(multiplexed=True) as session:
        asked = [session.get(f"{outside.url}/{n}", verify=outside.ca_file, timeout=5) for n in range(4)]
        session.gather()
        return [response.text for response in asked]


class TestNiquestsOverHttp2(BoundaryContract):
    """HTTP/2 is recorded as it is, and played over HTTP/1.1."""

    boundary = urllib3_future.boundary
    carriers = (concurrent_futures.boundary,)
    exercises: ClassVar = {"in-turn": in_turn, "multiplexed": multiplexed}

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Iterator[Http2Outside]:
        found = Http2Outside(tmp_path)
        yield found
        found.take_away()

    def test_server_speaks_http_2(self, outside: Http2Outside) -> None:
        """Else nothing here would be about it."""
        assert [20, "2"] == in_turn(outside)[:2]
