"""What librdkafka tells a producer while it polls: kept back until that call is recorded, and told again at replay."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from pytest_fluxrun.boundaries.kafka.confluent_plain import error_of, error_plain, message_of, message_plain

__all__ = ["EVENTS", "Reports"]

EVENTS: Final = ("error_cb", "stats_cb", "throttle_cb")
"""Settings that are callbacks for what concerns the producer, no message of it."""
_THROTTLED: Final = ("broker_name", "broker_id", "throttle_time")


@dataclass(slots=True, eq=False)
class _Arrived:
    """Something that librdkafka told.

    Attributes:
        session: the run that it belongs to; None: the one that polls.
        plain: makes it as data.
        call: tells the program.
    """

    session: Any
    plain: Callable[[], dict[str, Any]]
    call: Callable[[], Any]
    recorded: bool = False


@dataclass(slots=True)
class _Sent:
    """A run's messages: how many have been produced, and at replay the callbacks of those not reported yet."""

    count: int = 0
    waiting: dict[int, Callable[[Any, Any], Any]] = field(default_factory=dict)


class Reports:
    """Of one producer, for all runs that use it.

    Args:
        tells_all: a flush calls each callback and raises the last error (since 2.13); before, the first one ends it.

    Attributes:
        produced: how many messages, inside and outside of runs.
    """

    def __init__(self, *, tells_all: bool) -> None:
        self._tells_all = tells_all
        self._arrived: deque[_Arrived] = deque()
        self._sent: weakref.WeakKeyDictionary[Any, _Sent] = weakref.WeakKeyDictionary()
        self._events: dict[str, Callable[[Any], Any]] = {}
        self.produced = 0

    def __len__(self) -> int:
        """What arrived and isn't told yet: a callback before it failed."""
        return len(self._arrived)

    def kept_back(self, settings: dict[str, Any]) -> dict[str, Any]:
        """A producer's settings, with callbacks that only note what is told them."""
        self._events = {name: settings[name] for name in EVENTS if callable(settings.get(name))}
        return {**settings, **{name: partial(self._happened, name) for name in self._events}}

    def number(self, session: Any) -> int:
        """Of one more message of a run."""
        sent = self._sent.setdefault(session, _Sent())
        sent.count += 1
        return sent.count - 1

    def noting(self, session: Any, number: int, callback: Callable[[Any, Any], Any]) -> Callable[[Any, Any], None]:
        """Recording side: what to give librdkafka in the place of a message's callback."""
        return partial(self._reported, weakref.ref(session), number, callback)

    def expect(self, session: Any, number: int, callback: Callable[[Any, Any], Any]) -> None:
        """Replaying side: a report on this message may be played."""
        self._sent[session].waiting[number] = callback

    def awaited(self, session: Any = None) -> int:
        """Replaying side: messages, of one run or of all, whose callbacks are still to be called."""
        runs = self._sent.values() if session is None else [self._sent.get(session, _Sent())]
        return sum(len(sent.waiting) for sent in runs)

    def take(self, session: Any) -> tuple[dict[str, Any], ...]:
        """Recording side: what has arrived for a run since it was asked last."""
        found = [arrived for arrived in tuple(self._arrived) if arrived.session in (None, session)]
        new = [arrived for arrived in found if not arrived.recorded]
        for arrived in new:
            arrived.recorded = True
        return tuple(arrived.plain() for arrived in new)

    def play(self, session: Any, plain: Iterable[dict[str, Any]]) -> None:
        """Replaying side: let what was recorded arrive again, as far as the program still asks for it."""
        sent = self._sent.setdefault(session, _Sent())
        for one in plain:
            if "event" in one:
                callback: Any = self._events.get(one["event"])
                told: tuple[Any, ...] = (_event_of(one),)
            else:
                callback = sent.waiting.pop(one["number"], None)
                told = (error_of(one["failure"]), message_of(one))
            if callback is not None:
                self._arrived.append(_Arrived(session, dict, partial(callback, *told), recorded=True))

    def tell(self) -> None:
        """Call the callbacks; the first error ends it and leaves the others for the next poll, as librdkafka does."""
        while self._arrived:
            try:
                arrived = self._arrived.popleft()
            except IndexError:  # another thread polls too
                return
            arrived.call()

    def tell_all(self) -> None:
        """Call the callbacks as a flush does."""
        failure: Exception | None = None
        while self._arrived:
            try:
                self.tell()
            except Exception as error:
                if not self._tells_all:
                    raise
                failure = error
        if failure is not None:
            raise failure

    def _reported(
        self, session: weakref.ref[Any], number: int, callback: Callable[[Any, Any], Any], error: Any, message: Any
    ) -> None:
        def plain() -> dict[str, Any]:
            value = message_plain(message)
            return {**value, "payload": value["value"], "number": number, "failure": error_plain(error)}

        self._arrived.append(_Arrived(session() or _GONE, plain, partial(callback, error, message)))

    def _happened(self, name: str, told: Any) -> None:
        plain = partial(_event_plain, name, told)
        self._arrived.append(_Arrived(None, plain, partial(self._events[name], told)))


_GONE: Final = object()
"""Stands for a run that is over and forgotten."""


def _event_plain(name: str, told: Any) -> dict[str, Any]:
    """An error, statistics as JSON, or a throttling."""
    if isinstance(told, str):
        return {"event": name, "payload": told}
    if hasattr(told, "throttle_time"):
        return {"event": name, "throttled": [getattr(told, part) for part in _THROTTLED]}
    return {"event": name, "failure": error_plain(told)}


def _event_of(plain: dict[str, Any]) -> Any:
    """The same again."""
    if "payload" in plain:
        return plain["payload"]
    if "throttled" in plain:
        from confluent_kafka import ThrottleEvent

        return ThrottleEvent(*plain["throttled"])
    return error_of(plain["failure"])
