"""Real ASGI servers on loopback, in a thread of this process, and a client on a bare socket that can go away."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import h11
import hypercorn.asyncio
import hypercorn.config
import uvicorn
import uvloop

from tests.entries.web_behaviours import Answer, WebRequest

_PATIENCE_S = 20
_LEFT_OUT = {"date", "server", "connection", "transfer-encoding", "alt-svc"}
"""Headers that are the server's own."""

Serving = Callable[[Any], AbstractContextManager[tuple[str, int]]]


@contextmanager
def uvicorn_serving(app: Any) -> Iterator[tuple[str, int]]:
    """An app on uvicorn, with its usual event loop and parser; leaving waits for what is under way."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=_PATIENCE_S)
    factory = config.get_loop_factory() if hasattr(config, "get_loop_factory") else uvloop.new_event_loop  # since 0.36
    server = uvicorn.Server(config)

    def serve() -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(server.serve(sockets=[listening]))

    thread = threading.Thread(target=serve)
    thread.start()
    _wait_for(lambda: server.started)
    try:
        yield listening.getsockname()
    finally:
        server.should_exit = True
        thread.join(_PATIENCE_S)
        listening.close()


@contextmanager
def hypercorn_serving(app: Any) -> Iterator[tuple[str, int]]:
    """An app on hypercorn."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = hypercorn.config.Config()
    address = listening.getsockname()
    config.bind = [f"fd://{listening.detach()}"]  # hypercorn closes it: by then the number may be another one's
    config.errorlog = config.accesslog = None
    config.graceful_timeout = _PATIENCE_S
    ended = threading.Event()

    async def until_ended() -> None:
        await asyncio.get_running_loop().run_in_executor(None, ended.wait)

    def serve() -> None:
        asyncio.run(hypercorn.asyncio.serve(app, config, shutdown_trigger=until_ended))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield address
    finally:
        ended.set()
        thread.join(_PATIENCE_S)


def over_http(serving: Serving) -> Callable[[Any, WebRequest], Answer]:
    """A client for `web_behaviours.exercises`: starts a server for the app, asks, and waits until it has ended.

    Requests that are made at the same time share one server.
    """
    running = _Running(serving)

    def request(app: Any, asked: WebRequest) -> Answer:
        address = running.join(app)
        try:
            return _ask(address, asked)
        finally:
            running.leave(app)

    return request


class _Running:
    """Servers by the app that they serve, each with its users; the last one to leave ends it."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.lock = threading.Lock()
        self.servers: dict[int, tuple[Any, tuple[str, int]]] = {}
        self.users: Counter[int] = Counter()

    def join(self, app: Any) -> tuple[str, int]:
        with self.lock:
            if not self.users[id(app)]:
                server = self.serving(app)
                self.servers[id(app)] = (server, server.__enter__())
            self.users[id(app)] += 1
            return self.servers[id(app)][1]

    def leave(self, app: Any) -> None:
        with self.lock:
            self.users[id(app)] -= 1
            if not self.users[id(app)]:
                self.servers.pop(id(app))[0].__exit__(None, None, None)


def _ask(address: tuple[str, int], asked: WebRequest) -> Answer:
    client = h11.Connection(h11.CLIENT)
    target = asked.path + (f"?{asked.query}" if asked.query else "")
    head = h11.Request(method=asked.method, target=target, headers=[*asked.all_headers(), ("connection", "close")])
    status, headers, body = None, [], b""
    with socket.create_connection(address, timeout=_PATIENCE_S) as connection:
        connection.sendall(client.send(head) or b"")
        for part in asked.body:
            connection.sendall(client.send(h11.Data(data=part)) or b"")
        connection.sendall(client.send(h11.EndOfMessage()) or b"")
        while not isinstance(event := client.next_event(), h11.EndOfMessage | h11.ConnectionClosed):
            if event is h11.NEED_DATA:
                client.receive_data(connection.recv(65536))
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
                if asked.leave_after is not None and len(body) >= asked.leave_after:
                    body = body[: asked.leave_after]
                    break
    return Answer(status, tuple(sorted(pair for pair in headers if pair[0] not in _LEFT_OUT)), body)


def _wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "the server doesn't start"
        time.sleep(0.002)
