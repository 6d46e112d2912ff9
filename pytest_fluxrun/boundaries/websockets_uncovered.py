"""The clients of the library websockets that aren't covered, the legacy one and trio's: refused by name.

What they send and receive nobody sees: a run that opens such a connection is recorded as one that can't be replayed.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.websocket.channel import Channel, websocket_url
from pytest_fluxrun.boundaries.websockets_client.messages import MessageLibrary, Uncovered
from pytest_fluxrun.boundary import Call, Patch
from pytest_fluxrun.context import crossing

__all__ = ["UncoveredBoundary", "boundary"]


class UncoveredBoundary(MessageLibrary):
    """Connections of `websockets.legacy` and `websockets.trio`."""

    name: ClassVar[str] = "websockets-uncovered"
    modules = ("websockets.legacy.client", "websockets.trio.client")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Opening a connection."""
        legacy = hasattr(module, "Connect")
        owner, attribute = (module.Connect, "__await_impl__") if legacy else (module.connect, "connect")
        yield Patch(owner, attribute, functools.partial(self._wrap_uncovered, module.__name__))

    def _wrap_uncovered(self, client: str, original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def opening(connecting: Any, *args: Any) -> Any:
            session = crossing()
            if session is None:
                return await original(connecting, *args)
            uri = connecting._uri if hasattr(connecting, "_uri") else connecting.uri  # noqa: SLF001
            form = Channel(self, websocket_url(uri), None).form("send", control=f"{client}, which isn't covered, opens")
            opened: list[Any] = []

            async def live() -> Uncovered:
                opened.append(await original(connecting, *args))
                return Uncovered()

            await session.acall(self, Call(form), live)
            return opened[0]

        return opening


boundary = UncoveredBoundary()
