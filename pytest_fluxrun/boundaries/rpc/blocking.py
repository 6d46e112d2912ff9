"""Calls of grpc's blocking API, beneath its own Python code: teed while they are recorded, played at replay.

What is passed up looks like the events of grpc's C core; rendezvous, futures, iterators and errors are grpc's own.
"""

from __future__ import annotations

import threading
from collections import namedtuple
from collections.abc import Callable, Iterable
from typing import Any, Final

from pytest_fluxrun.boundaries.rpc.opened import Opened
from pytest_fluxrun.context import entered
from pytest_fluxrun.errors import UnrecordedCall

__all__ = ["Event", "Metadatum", "PlayedCall", "Player", "TeedCall", "message_of", "teed"]

# Types of operations: grpc_op_type in grpc/impl/grpc_types.h, unchanged since 1.0.
_SEND_MESSAGE: Final = 1
_SEND_CLOSE: Final = 2
_RECEIVE_INITIAL: Final = 4
_RECEIVE_MESSAGE: Final = 5
_RECEIVE_STATUS: Final = 6
_INTERNAL: Final = 13
_OPERATION_COMPLETE: Final = 2

Metadatum = namedtuple("_Metadatum", ("key", "value"))  # type: ignore[name-match]  # noqa: PYI024 - as grpc's own


def message_of(batches: Iterable[Iterable[Any]]) -> bytes | None:
    """The request among the operations that a call begins with; None where requests are a stream."""
    sent = (operation for batch in batches for operation in batch if int(operation.type()) == _SEND_MESSAGE)
    return next((bytes(operation._message) for operation in sent), None)  # noqa: SLF001 - there is no public way


# -- recording


def _note(opened: Opened, event: Any, messages: list[bytes]) -> None:
    """Keep what an event of the core brought; `messages` are those handed over and not yet gone out."""
    answer = opened.answer
    for operation in event.batch_operations or ():
        kind = int(operation.type())
        if kind == _SEND_MESSAGE and messages:
            opened.send(messages.pop(0))
        elif kind == _RECEIVE_INITIAL:
            answer.initial = tuple(operation.initial_metadata() or ())
        elif kind == _RECEIVE_MESSAGE and operation.message() is not None:
            answer.add(operation.message())
        elif kind == _RECEIVE_STATUS:
            answer.finish(
                operation.code(), operation.details(), operation.trailing_metadata(), operation.error_string()
            )


def teed(opened: Opened, tag: Callable[[Any], Any] | None, messages: list[bytes]) -> Callable[[Any], Any] | None:
    """The handler of an event, which notes it first and then runs in the lane of the call."""
    if tag is None:
        return None

    def handle(event: Any) -> Any:
        _note(opened, event, messages)
        with entered(opened.lane):
            return tag(event)

    return handle


class TeedCall:
    """A live call of a run. `call` is the core's own, with or without a `next_event`."""

    def __init__(self, opened: Opened, call: Any, messages: list[bytes]) -> None:
        self._opened = opened
        self._call = call
        self._messages = messages

    def next_event(self) -> Any:
        """The event that came with the call, else the next one."""
        answer = self._opened.answer
        event, answer.event = answer.event, None
        if event is None:
            event = self._call.next_event()
            _note(self._opened, event, self._messages)
        return event

    def note_first(self, event: Any) -> None:
        """Note the event of a call that is over with it, and keep it for whoever asks next."""
        _note(self._opened, event, self._messages)
        self._opened.answer.event = event

    def operate(self, operations: Iterable[Any], tag: Any) -> Any:
        """Hand operations to the core."""
        for operation in operations:
            kind = int(operation.type())
            if kind == _SEND_MESSAGE:
                self._messages.append(bytes(operation._message))  # noqa: SLF001 - as in message_of
                self._opened.answer.sent += 1  # now: what answers it may come before the core says that it went out
            self._opened.answer.asked += kind == _RECEIVE_MESSAGE
        return self._call.operate(operations, teed(self._opened, tag, self._messages))

    def cancel(self, code: Any, details: Any) -> Any:
        """The app cancels."""
        self._opened.answer.cancel()
        return self._call.cancel(code, details)


# -- replaying


class _Operation:
    """One operation that is over, as the core shows it."""

    def __init__(self, kind: int, call: PlayedCall, message: bytes | None) -> None:
        self._kind = kind
        self._call = call
        self._message = message

    def type(self) -> int:
        return self._kind

    def initial_metadata(self) -> Any:
        return tuple(Metadatum(*pair) for pair in self._call.opened.answer.initial or ())

    def message(self) -> bytes | None:
        return self._message

    def code(self) -> int | None:
        return self._call.status[0]

    def details(self) -> str | None:
        return self._call.status[1]

    def trailing_metadata(self) -> Any:
        return self._call.status[2]

    def error_string(self) -> str | None:
        return self._call.status[3]


class Event:
    """Operations that are over together."""

    completion_type = _OPERATION_COMPLETE
    success = True

    def __init__(self, batch_operations: tuple[_Operation, ...], tag: Any) -> None:
        self.batch_operations = batch_operations
        self.tag = tag


class _Batch:
    """Operations under way together. Each receive takes the next message's number."""

    def __init__(self, call: PlayedCall, operations: Iterable[Any], tag: Any) -> None:
        self.call = call
        self.tag = tag
        self.kinds = [int(operation.type()) for operation in operations]
        self.number = -1
        self.sent: bytes | None = None
        for operation in operations:
            if int(operation.type()) == _SEND_MESSAGE:
                self.sent = bytes(operation._message)  # noqa: SLF001 - as in message_of
        if _RECEIVE_MESSAGE in self.kinds:
            self.number = call.received
            call.received += 1

    def wait_s(self) -> float | None:
        """Seconds until it is over; None: not before something else happens."""
        call, answer = self.call, self.call.opened.answer
        if call.stopped:
            return 0.0
        waits = [0.0]
        if self.number >= 0:
            if self.number < len(answer.messages):
                if not call.has_sent(answer.after[self.number]):
                    return None
                waits.append(call.opened.wait_s(answer.times_ns[self.number]))
            elif not call.is_over(self):
                return None
            else:
                waits.append(call.opened.wait_s(answer.ended_ns))
        if _RECEIVE_STATUS in self.kinds or (_RECEIVE_INITIAL in self.kinds and answer.initial is None):
            if not call.is_over(self):
                return None
            waits.append(call.opened.wait_s(answer.ended_ns))
        return max(waits)

    def event(self) -> Event:
        """What its end looks like."""
        call = self.call
        message = None
        if 0 <= self.number < len(call.opened.answer.messages) and not call.stopped:
            message = call.opened.answer.messages[self.number]
            call.delivered += 1
        if _RECEIVE_STATUS in self.kinds:
            call.finished = True
        return Event(tuple(_Operation(kind, call, message) for kind in self.kinds), self.tag)


class Player:
    """Events of played calls, in the order in which they are due: of one call, or of all that a channel manages."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._batches: list[_Batch] = []

    def add(self, batch: _Batch) -> None:
        """Operations begin."""
        with self._changed:
            self._batches.append(batch)
            self._changed.notify_all()

    def stir(self) -> None:
        """Something changed that waiting depends on."""
        with self._changed:
            self._changed.notify_all()

    def is_busy(self) -> bool:
        """Whether operations are under way."""
        return bool(self._batches)

    def next_event(self) -> Event:
        """Wait on the run's clock for the next event. A message that goes out crosses here, not under grpc's locks."""
        batch = self._next_batch()
        if batch.sent is not None and batch.call.streams and not batch.call.stopped:
            try:
                batch.call.opened.send(batch.sent)
            except UnrecordedCall as error:  # latched by the session; here it must not end grpc's own thread
                batch.call.stop(_INTERNAL, str(error))
            batch.call.sent += 1
            self.stir()
        if _SEND_CLOSE in batch.kinds:
            batch.call.closed = True
            self.stir()
        return batch.event()

    def _next_batch(self) -> _Batch:
        with self._changed:
            while True:
                waits = [(wait_s, number) for number, batch in enumerate(self._batches)
                         if (wait_s := batch.wait_s()) is not None]  # fmt: skip
                if waits and min(waits)[0] <= 0:
                    return self._batches.pop(min(waits)[1])
                self._changed.wait(min(waits)[0] if waits else None)


class PlayedCall:
    """A call of a run that is replayed, as the core's own looks to grpc's Python code.

    Args:
        streams: requests are a stream.
        handled: `event.tag` takes the events (of a channel's thread), and runs in the lane of the call.
    """

    def __init__(self, opened: Opened, player: Player, batches: Iterable[tuple[Any, Any]], *, streams: bool) -> None:
        answer = opened.answer
        self.opened = opened
        self.streams = streams
        self.received = self.delivered = self.sent = 0
        self.closed = not streams
        self.stopped = self.finished = False
        trailing = tuple(Metadatum(*pair) for pair in answer.trailing)
        self.status: tuple[int | None, str | None, Any, str | None] = (
            answer.code, answer.details, trailing, answer.debug,
        )  # fmt: skip
        self._player = player
        for operations, tag in batches:
            self._start(operations, tag)

    def has_sent(self, number: int) -> bool:
        """Whether so many requests are out, or no more will be."""
        return self.sent >= number or self.closed

    def is_over(self, batch: _Batch) -> bool:
        """Whether the status may come: it was recorded, and all before it has been taken."""
        answer = self.opened.answer
        taken = self.delivered + (0 <= batch.number < len(answer.messages))
        return answer.end == "eof" and taken >= len(answer.messages) and self.has_sent(answer.after_end)

    def next_event(self) -> Event:
        """The next event of a call that nobody else manages."""
        return self._player.next_event()

    def operate(self, operations: Iterable[Any], tag: Any) -> bool:
        """Begin operations; False: the call is over."""
        if self.finished:
            return False
        answer = self.opened.answer
        kinds = [int(operation.type()) for operation in operations]
        beyond = _RECEIVE_MESSAGE in kinds and self.received >= max(len(answer.messages), answer.asked)
        if beyond and answer.end != "eof" and not self.stopped:
            self.opened.reading_on.refuse(len(answer.messages))
        self._start(operations, tag)
        return True

    def cancel(self, code: Any, details: Any) -> None:
        """The app cancels: all that is under way is over."""
        self.stop(int(code), details)

    def stop(self, code: int, details: str) -> None:
        """End the call with this status, whatever was recorded."""
        if not self.finished and not self.stopped:
            self.stopped, self.status = True, (code, details, (), None)
            self._player.stir()

    def _start(self, operations: Iterable[Any], tag: Any) -> None:
        lane = self.opened.lane

        def handle(event: Any) -> Any:
            with entered(lane):
                return tag(event)

        self._player.add(_Batch(self, operations, None if tag is None else handle))
