"""Websockets on a real uvicorn: clients that talk, are closed on, refused, left by an error, and one that breaks."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, ClassVar

from packaging.version import Version
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from pytest_fluxrun.context import entered
from pytest_fluxrun.entries.asgi import entry
from pytest_fluxrun.testing.entry import EntryContract, Exercise
from tests.entries import websocket_apps
from tests.entries.asgi_servers import uvicorn_serving
from tests.entries.websocket_behaviours import RAISED


def talking(path: str, *texts: str, breaks: bool = False) -> Callable[[Any, Any], Any]:
    """A client in no run: sends each text and waits for an answer, then closes, or drops the connection."""

    def invoke(app: Any, _: Any) -> list[Any]:
        seen: list[Any] = []
        with entered(None), uvicorn_serving(app) as (host, port):
            try:
                with connect(f"ws://{host}:{port}{path}") as client:
                    if breaks:
                        seen.append(client.recv())
                        client.socket.shutdown(socket.SHUT_RDWR)
                        return seen
                    for text in texts:
                        client.send(text)
                        seen.append(client.recv())
            except InvalidStatus as refused:
                seen.append(refused.response.status_code)
            except ConnectionClosed as closed:
                seen.append((closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else None)
        return seen

    return invoke


def starlette(outside: Any) -> Any:
    return websocket_apps.starlette(outside.url)


TOLD = Version(version("uvicorn")) < Version("0.36")
"""uvicorn 0.29 says of a broken connection that it broke (1006), 0.54 what it says of a close without a code (1005)."""


class TestStarletteWebsocketsOnUvicorn(EntryContract):
    entry = entry
    subject = "Starlette on uvicorn, websockets"
    library = "uvicorn"
    exercises: ClassVar[Mapping[str, Exercise]] = {
        "websocket-echo": Exercise(starlette, talking("/ws/echo", "one", "two"), ending={"status": 101}, calls=2),
        "websocket-closed-by-app": Exercise(
            starlette, talking("/ws/close", "blue"), ending={"status": 404, "cut_short": False}, calls=1
        ),
        "websocket-refused": Exercise(starlette, talking("/ws/refuse"), ending={"status": 403}, calls=1),
        "websocket-raised-error": Exercise(starlette, talking("/ws/raise", "EUR"), error=RAISED, calls=1),
        "websocket-disconnect": Exercise(
            starlette, talking("/ws/push", breaks=True), ending={"disconnected": TOLD, "cut_short": False}
        ),
    }
    detached = frozenset(exercises)
