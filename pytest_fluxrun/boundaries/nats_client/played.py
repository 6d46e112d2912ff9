"""A transport for nats-py that has no network: a replay's client shakes hands with it, and nobody is behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["FACTS", "PlayedTransport"]

FACTS: Final[Mapping[str, Any]] = {
    "server_id": "REPLAYED",
    "version": "2.10.0",
    "proto": 1,
    "headers": True,
    "jetstream": True,
    "max_payload": 1048576,
    "client_id": 1,
}
"""What a server says of itself where no recording tells."""


class PlayedTransport:
    """See `nats.aio.transport.Transport`.

    Args:
        facts: what the server said of itself.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        info = json.dumps({**facts, "tls_required": False, "auth_required": False})
        self._lines = [f"INFO {info}\r\n".encode()]
        self._closed = asyncio.Event()

    async def connect(self, *args: Any, **kwargs: Any) -> None:
        """There is nobody to connect to."""
        del args, kwargs

    connect_tls = connect

    def write(self, payload: bytes) -> None:
        """Only what belongs to the handshake is answered."""
        if b"PING" in payload:
            self._lines.append(b"PONG\r\n")
        elif b"CONNECT" in payload and b'"verbose": true' in payload:
            self._lines.append(b"+OK\r\n")

    def writelines(self, payload: Any) -> None:
        """Nothing is sent."""

    async def readline(self) -> bytes:
        """What the server says while a client connects."""
        return self._lines.pop(0) if self._lines else b""

    async def read(self, buffer_size: int) -> bytes:
        """Nothing comes until the transport is closed."""
        del buffer_size
        await self._closed.wait()
        return b""

    async def drain(self) -> None:
        """Nothing waits."""

    wait_closed = drain

    def close(self) -> None:
        """The reader comes to its end."""
        self._closed.set()

    def at_eof(self) -> bool:
        """Once it is closed."""
        return self._closed.is_set()

    def __bool__(self) -> bool:
        return True
