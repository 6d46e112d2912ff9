"""The lifespan protocol of ASGI: one conversation with an app, held open between items; and its end while recording."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pytest_fluxrun.entries.web.asgi_exchange import Message, Send
from pytest_fluxrun.entry import flush_runs
from pytest_fluxrun.errors import UnrecordedCall

__all__ = ["Lifespan", "flushing"]

_log = logging.getLogger("pytest_fluxrun")


class Lifespan:
    """The server's side. Its tasks belong to the stage, which starts and stops them.

    Attributes:
        state: what start-up put there for each request.
        failure: why start-up failed, or "".
    """

    def __init__(self, app: Any) -> None:
        self.state: dict[str, Any] = {}
        self.failure = ""
        self._app = app
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._up = asyncio.Event()
        self._down = asyncio.Event()

    async def serve(self) -> None:
        """Hold the conversation, to be run as a task of its own."""
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._incoming.get, self._send)
        except UnrecordedCall as missed:
            self.failure = str(missed)
        except Exception:  # ASGI lifespan 2.0: it says so that it doesn't speak the protocol, and the server continues
            _log.debug("the application raised in its lifespan; it goes on without one", exc_info=True)
        finally:
            self._up.set()
            self._down.set()

    async def started(self) -> None:
        """Ask for start-up and wait for it."""
        await self._incoming.put({"type": "lifespan.startup"})
        await self._up.wait()

    async def stopped(self) -> None:
        """Ask for shut-down and wait for it."""
        await self._incoming.put({"type": "lifespan.shutdown"})
        await self._down.wait()

    async def _send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            self.failure = message.get("message") or "lifespan.startup.failed"
        (self._up if message["type"].startswith("lifespan.startup") else self._down).set()


def flushing(send: Send) -> Send:
    """`send`, which stores what was recorded before it says that shut-down is complete.

    A server that ends on a signal may never run exit handlers (uvicorn raises the signal again).
    """

    async def flush_first(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown"):
            await asyncio.get_running_loop().run_in_executor(None, flush_runs)
        await send(message)

    return flush_first
