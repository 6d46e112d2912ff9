"""The transport of a connection in a process that replays: asyncpg's protocol writes to it, and hears what is played.

Nothing that a replayed run writes is sent. Made around a live connection's transport, it passes all on outside of runs.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from pytest_fluxrun.context import current_lane

__all__ = ["PlayedTransport", "wire_of"]

_SYNC: Final = b"S\x00\x00\x00\x04"
_FLUSH: Final = b"H\x00\x00\x00\x04"
_ASKING: Final = frozenset(b"Qcf")
"""Messages of one write that the server answers: a simple query, the end of a COPY or its failure."""
_TERMINATE: Final = b"X"
_wires: weakref.WeakSet[PlayedTransport] = weakref.WeakSet()


def wire_of(pid: int, secret: int) -> PlayedTransport | None:
    """The transport of the connection that a request to cancel names."""
    named = (
        wire for wire in list(_wires) if (wire.protocol.backend_pid, wire.protocol.backend_secret) == (pid, secret)
    )
    return next(named, None)


class PlayedTransport(asyncio.Transport):
    """Plays the server to one protocol.

    Args:
        protocol: asyncpg's.
        inner: the transport of the live connection that this one stands around, if there is one.
    """

    def __init__(self, protocol: Any, inner: Any = None) -> None:
        super().__init__()
        self.inner = inner
        self.protocol = protocol
        _wires.add(self)
        self._stages: deque[list[bytes]] = deque()
        self._pieces: deque[bytes] = deque()
        self._playing = False
        self._paused = False
        self._closing = False
        self._lost: BaseException | bool | None = False

    async def play(
        self,
        stages: Iterable[list[bytes]],
        run: Callable[[], Awaitable[Any]],
        *,
        lost: BaseException | bool | None = False,
    ) -> Any:
        """Call into the protocol, and let it hear a stage of pieces each time that it waits for the server.

        Args:
            lost: with what the connection breaks after them; False: it doesn't.
        """
        before = self._playing
        self._stages, self._lost, self._playing = deque(stages), lost, True
        try:
            return await run()
        finally:
            self._playing = before
            self._stages.clear()

    def hear(self, data: bytes) -> None:
        """Let the protocol hear something at once."""
        before, self._playing = self._playing, True
        try:
            self.protocol.data_received(data)
        finally:
            self._playing = before

    def write(self, data: Any) -> None:
        """Answer what asks for an answer."""
        if self.is_live():
            self.inner.write(data)
            return
        if bytes(data[:1]) == _TERMINATE:
            self._terminate()
        elif bytes(data[-5:]) in (_SYNC, _FLUSH) or data[0] in _ASKING:
            self._answer()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """As `write`, for pieces of one message or more."""
        if self.is_live():
            self.inner.writelines(list_of_data)
            return
        for data in list_of_data:
            self.write(data)

    def is_live(self) -> bool:
        """Whether what is written now is sent."""
        if self.inner is None or self._playing:
            return False
        lane = current_lane()
        return lane is None or not getattr(lane.session, "answers", False)

    def _answer(self) -> None:
        if self._stages:
            self._pieces.extend(self._stages.popleft())
            asyncio.get_running_loop().call_soon(self._deliver)
        elif not self._playing:  # nobody answers: no run is replayed here
            self._break(ConnectionResetError("a connection of a replayed run is used outside of it"))

    def _deliver(self) -> None:
        while self._pieces and not self._paused:
            self.hear(self._pieces.popleft())
        if not self._pieces and not self._stages and self._lost is not False:
            lost, self._lost = self._lost, False
            self._break(lost if isinstance(lost, BaseException) else None)

    def _break(self, error: BaseException | None) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, error)

    def _terminate(self) -> None:
        if self.inner is not None:
            self.inner.abort()
        else:
            self._break(None)

    def is_closing(self) -> bool:
        """Whether it was closed or lost."""
        return self._closing if self.inner is None else bool(self.inner.is_closing())

    def close(self) -> None:
        """Break the connection."""
        if self.inner is not None:
            self.inner.close()
        elif not self._closing:
            self._closing = True
            loop = self._protocol_loop()
            if loop is not None:
                loop.call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        """Break the connection."""
        if self.inner is not None:
            self.inner.abort()
        else:
            self.close()

    @staticmethod
    def _protocol_loop() -> asyncio.AbstractEventLoop | None:
        try:
            return asyncio.get_running_loop()
        except RuntimeError:  # the loop of a connection that is thrown away has ended
            return None

    def pause_reading(self) -> None:
        """Keep pieces back."""
        self._paused = True
        if self.inner is not None:
            self.inner.pause_reading()

    def resume_reading(self) -> None:
        """Go on with them."""
        self._paused = False
        if self.inner is not None:
            self.inner.resume_reading()
        if self._pieces:
            asyncio.get_running_loop().call_soon(self._deliver)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the live connection; there is no socket without one."""
        return default if self.inner is None else self.inner.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits to be sent."""
        if self.inner is not None:
            self.inner.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Nothing waits to be sent."""
        return 0 if self.inner is None else int(self.inner.get_write_buffer_size())
