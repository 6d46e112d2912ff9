"""A recorded HTTP body on its way to the app: each chunk not before its time on the run's clock, then its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.http.exchange import Exchange, settled_ns
from pytest_fluxrun.context import Clock

__all__ = ["AsyncPlayback", "Playback", "SyncPlayback"]


class Playback:
    """What the sync and the async iteration share.

    Args:
        exchange: a loaded one.
        clock: the run's virtual clock; without one nothing waits.
        reading_on: raises what reading beyond the recorded part of an abandoned body raises.
        failure: makes the error of a body that failed.
    """

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock | None,
        *,
        reading_on: ReadingOn,
        failure: Callable[[Exchange], BaseException],
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._reading_on = reading_on
        self._failure = failure
        self._start_ns = (
            0
            if clock is None
            else clock.now_ns()
            - settled_ns(exchange.end, exchange.ended_ns, len(exchange.chunks), exchange.header_names())
        )

    def _wait_s(self, offset_ns: int) -> float:
        """Seconds from now to a recorded offset on the run's virtual clock."""
        if self._clock is None or self._clock.over:
            return 0.0
        return max(0, self._start_ns + offset_ns - self._clock.now_ns()) / 1e9

    @property
    def _left(self) -> bool:
        """Whether the recorded program read no further than this.

        Raises:
            BaseException: the body ended in it.
        """
        if self._exchange.end == "error":
            raise self._failure(self._exchange)
        return self._exchange.end != "eof"


class SyncPlayback(Playback):
    """The body for a thread, which the run's clock puts to sleep."""

    def __iter__(self) -> Iterator[bytes]:
        for chunk, offset_ns in zip(self._exchange.chunks, self._exchange.times_ns, strict=True):
            self._sleep(self._wait_s(offset_ns))
            yield chunk
        self._sleep(self._wait_s(self._exchange.ended_ns))
        if self._left:
            self._reading_on.refuse(len(self._exchange.chunks))

    def _sleep(self, seconds: float) -> None:
        if seconds and self._clock is not None:
            self._clock.sleep(seconds)


class AsyncPlayback(Playback):
    """The body for a coroutine. One that was cancelled waits for the app's own timer."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk, offset_ns in zip(self._exchange.chunks, self._exchange.times_ns, strict=True):
            if seconds := self._wait_s(offset_ns):
                await asyncio.sleep(seconds)
            yield chunk
        if seconds := self._wait_s(self._exchange.ended_ns):
            await asyncio.sleep(seconds)
        if self._exchange.end == "cancelled":
            await asyncio.get_running_loop().create_future()
        if self._left:
            await self._reading_on.arefuse(len(self._exchange.chunks))
