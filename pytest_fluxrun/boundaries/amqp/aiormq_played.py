"""The server's side of an aiormq connection that is opened in a replay: a handshake, and nobody behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from pytest_fluxrun.boundaries.amqp.pamqp_frames import method

__all__ = ["PlayedTransport"]

_frame: Any = import_module("pamqp.frame")
_CAPABILITIES: Final = dict.fromkeys(
    (
        *("publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify"),
        *("connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos"),
    ),
    True,
)
"""What every RabbitMQ of today can do."""


class PlayedTransport:
    """A transport factory without a network.

    Args:
        facts: what a recorded server said of itself.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = facts
        self._reader: asyncio.StreamReader | None = None

    async def create(self, url: Any, **_: Any) -> tuple[asyncio.StreamReader, PlayedTransport]:
        """A reader that says what the server says while a connection is opened, and this as its writer."""
        del url
        self._reader = asyncio.StreamReader()
        properties = self._facts.get("server_properties") or {"product": "RabbitMQ", "capabilities": _CAPABILITIES}
        tune = {"channel_max": self._facts.get("channel_max", 2047), "frame_max": self._facts.get("frame_max", 131072)}
        start = {
            "version_major": 0,
            "version_minor": 9,
            "server_properties": properties,
            "mechanisms": "PLAIN AMQPLAIN EXTERNAL",
            "locales": "en_US",
        }
        self._say("Connection.Start", start)
        self._say("Connection.Tune", {**tune, "heartbeat": 0})
        self._say("Connection.OpenOk", {"known_hosts": ""})
        return self._reader, self

    def _say(self, name: str, fields: Mapping[str, Any]) -> None:
        assert self._reader is not None
        self._reader.feed_data(_frame.marshal(method(name, fields), 0))

    def write(self, data: bytes) -> None:
        """Nothing is sent; closing is confirmed."""
        while data:
            try:
                consumed, _, sent = _frame.unmarshal(data)
            except Exception:  # the protocol header, and whatever else is no frame
                return
            if getattr(sent, "name", "") == "Connection.Close":
                self._say("Connection.CloseOk", {})
            data = data[consumed:]

    def writelines(self, lines: Any) -> None:
        """Nothing is sent."""
        self.write(b"".join(lines))

    async def drain(self) -> None:
        """Nothing waits."""

    wait_closed = drain

    def can_write_eof(self) -> bool:
        """There is no end to write."""
        return False

    def is_closing(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """The reader has come to its end."""
        if self._reader is not None:
            self._reader.feed_eof()

    abort = close

    @property
    def transport(self) -> PlayedTransport:
        """Itself."""
        return self
