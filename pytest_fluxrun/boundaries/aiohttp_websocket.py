"""aiohttp's websocket client: each message that a connection sends or gives, beneath aiohttp's own handling of them.

At replay aiohttp itself answers pings, closes, keeps the close code; only its queue of messages and its writer are
replaced. The handshake is a hop of the boundary aiohttp. Pings and pongs that are sent are no interactions.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.websocket.channel import Arrived, Channel, WebsocketLibrary, websocket_url
from pytest_fluxrun.boundary import Patch
from pytest_fluxrun.context import crossing

__all__ = ["AiohttpWebsocketBoundary", "boundary"]

_TEXT: Final = 0x1
_BINARY: Final = 0x2
_CLOSE: Final = 0x8


class AiohttpWebsocketBoundary(WebsocketLibrary):
    """Connections of `ClientSession.ws_connect`."""

    name: ClassVar[str] = "aiohttp-websocket"
    modules = ("aiohttp",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """Where a connection is made, once its handshake is over."""
        yield Patch(module.ClientWebSocketResponse, "__init__", functools.partial(self._wrap_init, module))

    def _wrap_init(self, module: Any, original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def __init__(connection: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it is one
            original(connection, *args, **kwargs)
            response = connection._response  # noqa: SLF001 - the answer to the handshake
            hop = getattr(response, "_fluxrun", None)
            channel = Channel(self, websocket_url(str(response.url)), getattr(hop, "connection", None))
            connection._reader = _Reader(module, connection._reader, channel)  # noqa: SLF001
            _watch_writer(connection._writer, channel)  # noqa: SLF001
            if hop is not None and hop.played:
                connection._heartbeat = None  # noqa: SLF001 - nobody answers its pings; what they led to is recorded
                connection._cancel_heartbeat()  # noqa: SLF001

        return __init__


class _Reader:
    """A connection's queue of messages, through the session where there is one."""

    def __init__(self, module: Any, inner: Any, channel: Channel) -> None:
        self._module = module
        self._inner = inner
        self._channel = channel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def read(self) -> Any:
        """The next message."""
        session = crossing()
        if session is None:
            return await self._inner.read()
        got: list[Any] = []

        async def live() -> Arrived:
            message = await self._inner.read()
            got.append(message)
            return Arrived(message.type.name.lower(), _plain(message.data), _plain(message.extra))

        arrived = await self._channel.areceive(session, live)
        return got[0] if got else self._rebuilt(arrived)

    def _rebuilt(self, arrived: Arrived) -> Any:
        return self._module.WSMessage(self._module.WSMsgType[arrived.what.upper()], arrived.payload, arrived.extra)


def _plain(part: Any) -> Any:
    if isinstance(part, bytearray | memoryview):
        return bytes(part)
    return int(part) if isinstance(part, int) else part


def _watch_writer(writer: Any, channel: Channel) -> None:
    """Route the frames of one connection's writer; older versions have another name for the method."""
    name = "send_frame" if hasattr(type(writer), "send_frame") else "_send_frame"
    original: Callable[..., Awaitable[None]] = getattr(writer, name)

    @functools.wraps(original)
    async def send_frame(message: Any, opcode: int, compress: Any = None) -> None:
        session = crossing()
        if session is None or opcode not in (_TEXT, _BINARY, _CLOSE):
            await original(message, opcode, compress)
            return

        async def live() -> None:
            await original(message, opcode, compress)

        if opcode == _CLOSE:
            await channel.aclose(session, _closing(bytes(message)), live)
        else:
            payload = bytes(message)
            await channel.asend(session, payload.decode() if opcode == _TEXT else payload, live)

    setattr(writer, name, send_frame)


def _closing(frame: bytes) -> str:
    """A close frame's code and reason, for people and for comparison."""
    return f"{int.from_bytes(frame[:2], 'big')} {frame[2:].decode(errors='replace')}".strip()


boundary = AiohttpWebsocketBoundary()
