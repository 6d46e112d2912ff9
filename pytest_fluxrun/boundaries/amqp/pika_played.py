"""A pika connection that has no socket: what a replay gives in place of the one that was recorded."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

__all__ = ["CAPABILITIES", "PlayedConnection", "PlayedLoop"]

CAPABILITIES: Final = (
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
)
"""What every RabbitMQ of today can do: what a connection is told that no recording tells more of."""
_FRAME_MAX: Final = 131072
_select: Any = import_module("pika.adapters.select_connection")


class PlayedLoop:
    """Holds timers, and lets no time pass: an exchange says how many of them were due in it."""

    READ, WRITE, ERROR = _select.IOLoop.READ, _select.IOLoop.WRITE, _select.IOLoop.ERROR

    def __init__(self) -> None:
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._asked: list[Callable[[], None]] = []
        self._count, self._now = 0, 0.0

    def call_later(self, delay: float, callback: Callable[[], None]) -> int:
        """One more timer."""
        self._count += 1
        self._timers.append((self._now + delay, self._count, callback))
        return self._count

    def add_callback(self, callback: Callable[[], None]) -> None:
        """What another thread asks for, to be called in the next exchange."""
        self._asked.append(callback)

    add_callback_threadsafe = add_callback

    def remove_timeout(self, timeout: Any) -> None:
        """One timer less."""
        self._timers = [timer for timer in self._timers if timer[1] != timeout]

    def fire(self, count: int, waited: float) -> None:
        """So many timers, or all that are due after a wait; and before them what other threads asked for."""
        asked, self._asked = self._asked, []
        for callback in asked:
            callback()
        self._now += waited
        count = max(count, sum(timer[0] <= self._now for timer in self._timers)) if waited else count
        for timer in sorted(self._timers, key=lambda timer: timer[:2])[:count]:
            self._timers.remove(timer)
            timer[2]()

    def poll(self) -> None:
        """Nothing comes by itself."""

    process_timeouts = activate_poller = close = poll


class PlayedConnection(_select.SelectConnection):  # type: ignore[misc]
    """An open connection of which every frame is served."""

    def __init__(self, parameters: Any, facts: dict[str, Any]) -> None:
        self.loop = PlayedLoop()
        super().__init__(parameters, custom_ioloop=self.loop, internal_connection_workflow=False)
        self.server_properties = facts.get("server_properties") or {
            "product": "RabbitMQ",
            "capabilities": dict.fromkeys(CAPABILITIES, True),
        }
        self.server_capabilities = self.server_properties.get("capabilities", {})
        self.params.channel_max = facts.get("channel_max") or self.params.channel_max
        self.params.frame_max = facts.get("frame_max") or _FRAME_MAX
        self.params.heartbeat = facts.get("heartbeat", 0)
        self._body_max_length = self._get_body_frame_max_length()
        self._opened = True
        self._set_connection_state(self.CONNECTION_OPEN)

    def _adapter_disconnect_stream(self) -> None:
        self._on_stream_terminated(None)

    def _adapter_emit_data(self, data: bytes) -> None:
        """Nothing is sent."""


PlayedConnection.__name__ = "SelectConnection"  # as pika's own errors name a connection
