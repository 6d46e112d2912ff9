"""The server's side of ASGI, in this process: puts a web request to an app, and runs its lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.entries.web_behaviours import Answer, WebRequest

_PATIENCE_S = 15
_OF_THE_MOMENT = frozenset({"date", "expires", "server"})


class _Peer:
    """One client, as a server like uvicorn shows it: sends to one that has gone are dropped without a word."""

    def __init__(self, request: WebRequest) -> None:
        parts = request.body or (b"",)
        self.incoming = [
            {"type": "http.request", "body": part, "more_body": number + 1 < len(parts)}
            for number, part in enumerate(parts)
        ]
        self.leave_after = request.leave_after
        self.start: Any = None
        self.body = b""
        self.over = asyncio.Event()

    async def receive(self) -> Any:
        if self.incoming:
            return self.incoming.pop(0)
        await self.over.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            assert self.start is None, "a second start"
            self.start = message
            return
        assert message["type"] == "http.response.body", message
        if self.over.is_set():
            return
        self.body += message.get("body", b"")
        left = self.leave_after is not None and len(self.body) >= self.leave_after
        if left:
            self.body = self.body[: self.leave_after]
        if left or not message.get("more_body", False):
            self.over.set()


async def request(app: Any, asked: WebRequest) -> Answer:
    """Put a request to an app and wait until the app has returned."""
    peer, raised = _Peer(asked), ""
    try:
        await asyncio.wait_for(app(scope_of(asked), peer.receive, peer.send), _PATIENCE_S)
    except Exception as error:  # the server would log it
        raised = f"{type(error).__name__}: {error}"
    start = peer.start or {}
    headers = (
        (bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in start.get("headers", ())
    )
    return Answer(
        status=start.get("status"),
        headers=tuple(sorted((name.lower(), value) for name, value in headers if name.lower() not in _OF_THE_MOMENT)),
        body=peer.body,
        raised=raised,
    )


def scope_of(asked: WebRequest) -> dict[str, Any]:
    """The scope of an HTTP request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "query_string": asked.query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in asked.all_headers()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
    }


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
    """Run an app's start-up and shut-down around the block; gives the state for the requests' scopes."""
    state: dict[str, Any] = {}
    incoming: asyncio.Queue[Any] = asyncio.Queue()
    told: asyncio.Queue[str] = asyncio.Queue()

    async def send(message: Any) -> None:
        await told.put(message["type"])

    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
    task = asyncio.create_task(app(scope, incoming.get, send))
    await incoming.put({"type": "lifespan.startup"})
    assert "lifespan.startup.complete" == await asyncio.wait_for(told.get(), _PATIENCE_S)
    try:
        yield state
    finally:
        await incoming.put({"type": "lifespan.shutdown"})
        await asyncio.wait_for(task, _PATIENCE_S)
