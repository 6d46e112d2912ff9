"""The server's side of a recorded ASGI conversation: gives an app what it received, when it received it.

A message comes after as many sends and asks of the app as had been before it, and as long after the last of them: an
app that answers the client, one that polls, and one that is overtaken by it are driven as they were.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from pytest_fluxrun.context import current_lane
from pytest_fluxrun.entries.calling.within import awaited_within
from pytest_fluxrun.entries.web.asgi_exchange import Exchange, Message
from pytest_fluxrun.entry import Driving
from pytest_fluxrun.errors import DeadlineExceeded
from pytest_fluxrun.values import Value, load_error

__all__ = ["drive"]

_ROW = 7
_SAME_MOMENT_S = 0.005
"""What came so soon after the app's last step comes at once: the clock of an app that never waits is behind."""
_SLACK_S = 1.0
"""Of virtual time, which costs none: the clock may run ahead of the app a little, since it moves when it is read."""


async def drive(app: Any, scope: Message, exchange: Exchange, recorded: dict[str, Any], driving: Driving) -> Value:
    """Drive an app as recorded and return the outcome."""
    peer = _Peer(exchange, recorded, driving)
    error: BaseException | None = None
    with peer.cancelling():
        try:
            await awaited_within(app, scope, peer.receive, peer.send)
        except (DeadlineExceeded, KeyboardInterrupt):
            raise
        except BaseException as raised:  # the outcome of the run, whatever it is
            error = raised
    return exchange.outcome(exchange.failure(error, current_lane()))


class _Peer:
    """What a server and a client were to the app."""

    def __init__(self, exchange: Exchange, recorded: dict[str, Any], driving: Driving) -> None:
        self._exchange = exchange
        self._driving = driving
        self._events: deque[list[Any]] = deque(recorded["events"])
        self._broken = recorded.get("broken")
        ended = recorded.get("ended") or {"ns": 0, "cancelled": False, "gone_after": None}  # the oldest lack it
        self._ended_s: float = ended["ns"] / 1e9
        self._cancelled = ended["cancelled"]
        exchange.gone_after = ended["gone_after"]
        self._waiting: list[asyncio.Future[None]] = []

    async def receive(self) -> Message:
        """The next recorded message, in its time; after the last one, the server's parting."""
        exchange = self._exchange
        exchange.asked_for_more(0)
        self._tell()
        while self._events:
            event = self._events[0]
            await self._until_due(event)
            if not self._events or self._events[0] is not event:
                continue  # another `receive` has had it meanwhile
            self._events.popleft()  # not before: one that is cancelled while it waits has received nothing
            self._tell()
            message = exchange.message(event)
            exchange.received(message, event[0])
            return message
        await self._until(lambda: exchange.answered, for_ever=not exchange.parts_unanswered)
        message = exchange.parting()
        exchange.received(message, 0)
        return message

    async def send(self, message: Message) -> None:
        """Take what the app sends; fail where it failed."""
        exchange = self._exchange
        if exchange.gone_after is not None and exchange.sends >= exchange.gone_after and self._events:
            # The recorded app had heard by now that the client was gone: let this one hear that before it goes on.
            await self._until(lambda: not self._events)
            await asyncio.sleep(_SAME_MOMENT_S)  # on the clock: until nothing else is left to do
        exchange.sent(message, 0)
        self._tell()
        if self._broken is not None and exchange.sends >= self._broken[0]:
            error = load_error(self._broken[1])
            exchange.disconnected = True
            raise error

    def cancelling(self) -> contextlib.AbstractContextManager[None]:
        """Cancel the app when the server had done so; code that ends before isn't."""
        return _cancelled_after(self._ended_s) if self._cancelled else contextlib.nullcontext()

    async def _until_due(self, event: list[Any]) -> None:
        """Until the app has sent and asked as often as it had by then, and as long after as it had been then."""
        if len(event) < _ROW:  # the oldest recordings know the time alone
            await self._driving.until(event[0])
            return
        exchange = self._exchange
        sends, asks, since_ns = event[4:]
        await self._until(lambda: exchange.sends >= sends and exchange.asks >= asks)
        if since_ns / 1e9 > _SAME_MOMENT_S:
            await asyncio.sleep(since_ns / 1e9)

    async def _until(self, true: Callable[[], bool], *, for_ever: bool = False) -> None:
        """Until the app has made something true; code that does so no more, as long as the recorded run took."""
        if true():
            return  # no timer for what most often is so already
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if for_ever else self._ended_s + _SLACK_S):
                while not true():
                    told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiting.append(told)
                    await told

    def _tell(self) -> None:
        """The app has made a step."""
        waiting, self._waiting = self._waiting, []
        for told in waiting:
            if not told.done():
                told.set_result(None)


@contextlib.contextmanager
def _cancelled_after(seconds: float) -> Iterator[None]:
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(seconds, task.cancel)
    try:
        yield
    finally:
        timer.cancel()
