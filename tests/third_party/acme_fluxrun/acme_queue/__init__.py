"""A tiny queue client: one TCP connection per call, a JSON line each way."""

from __future__ import annotations

import json
import socket
from typing import Any


class QueueError(Exception):
    """The queue refused."""


class Client:
    """Speaks to a queue at (host, port)."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address

    def publish(self, topic: str, message: dict[str, Any]) -> int:
        """Append a message; its number in the topic."""
        return self._call({"do": "publish", "topic": topic, "message": message})

    def peek(self, topic: str) -> list[dict[str, Any]]:
        """The messages of a topic."""
        return self._call({"do": "peek", "topic": topic})

    def _call(self, request: dict[str, Any]) -> Any:
        with socket.create_connection(self.address, 5) as connection, connection.makefile("rw") as stream:
            stream.write(json.dumps(request) + "\n")
            stream.flush()
            answer = json.loads(stream.readline())
        if "error" in answer:
            raise QueueError(answer["error"])
        return answer["ok"]
