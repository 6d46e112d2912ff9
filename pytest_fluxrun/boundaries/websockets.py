"""The websocket clients of the library websockets: its asyncio one and its sync one.

A message that is sent or received is an interaction of the kind message; the handshake is one of the kind http. At
replay a connection is the library's own over no network: its closing handshake and its errors come from itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.websockets_client.asyncio_client import AsyncioClient
from pytest_fluxrun.boundaries.websockets_client.messages import MessageLibrary
from pytest_fluxrun.boundaries.websockets_client.sync_client import SyncClient
from pytest_fluxrun.boundary import Patch

__all__ = ["WebsocketsBoundary", "boundary"]


class WebsocketsBoundary(MessageLibrary):
    """Connections of `websockets.connect` and `websockets.sync.client.connect`."""

    name: ClassVar[str] = "websockets"
    modules = ("websockets.asyncio.client", "websockets.sync.client")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Opening, and what passes over an open connection."""
        client = SyncClient(self) if module.__name__ == "websockets.sync.client" else AsyncioClient(self)
        return client.patches(module)


boundary = WebsocketsBoundary()
