"""Telemetry: what instruments inside an app send about it. It is part of no run, and a process that replays sends none.

Knows no library and no fence. What isn't sent is listed, so that nothing is dropped unseen.
"""

from __future__ import annotations

import functools
import re
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final, ParamSpec, TypeVar

from pytest_fluxrun.context import APART, entered

__all__ = [
    "Addresses",
    "address_of",
    "apart",
    "dead_ends",
    "drop",
    "drop_from_now_on",
    "droppable",
    "dropping",
    "take_dropped",
]

P = ParamSpec("P")
T = TypeVar("T")
_MOST_LISTED: Final = 200


class _Ledger:
    """What was not sent since somebody last asked; safe from any thread."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._unnamed = 0
        self._lock = threading.Lock()

    def add(self, text: str) -> None:
        with self._lock:
            if text in self._counts or len(self._counts) < _MOST_LISTED:
                self._counts[text] += 1
            else:
                self._unnamed += 1

    def take(self) -> tuple[str, ...]:
        with self._lock:
            counts, self._counts = self._counts, Counter()
            unnamed, self._unnamed = self._unnamed, 0
        if unnamed:
            counts["more, of other sorts"] = unnamed
        return tuple(text if count == 1 else f"{text} ×{count}" for text, count in counts.items())


_ledger: _Ledger | None = None
dead_ends: weakref.WeakSet[Any] = weakref.WeakSet()
"""Objects that lead nowhere: what is sent through them is listed and dropped where it is sent."""


def drop_from_now_on() -> None:
    """Send no telemetry from this process any more: it replays.

    For good and not for the length of a replay, because batches are sent later, by threads and at exit.
    """
    global _ledger  # noqa: PLW0603 - one answer for the process
    if _ledger is None:
        _ledger = _Ledger()


def dropping() -> bool:
    """Whether this process sends no telemetry."""
    return _ledger is not None


def drop(text: str) -> bool:
    """Ask before sending. True: don't; it is listed.

    Args:
        text: what would be sent by which library to where, without secrets.
    """
    if _ledger is None:
        return False
    _ledger.add(text)
    return True


def take_dropped() -> tuple[str, ...]:
    """What was not sent since the last call, one line each, with how often; at the end how many more have no line."""
    return () if _ledger is None else _ledger.take()


def apart(function: Callable[P, T]) -> Callable[P, T]:
    """`function`, run apart: what it calls, waits for and starts belongs to no run, and isn't missed there."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with entered(APART):
            return function(*args, **kwargs)

    return run


def droppable(
    sent: Callable[..., str], instead: Callable[[], Any] = lambda: None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A seam for a function that sends: run apart, and in a process that replays listed and not called.

    Args:
        sent: takes the function's arguments and says what would be sent by which library to where, without secrets;
            "" where this call sends nothing.
        instead: makes what the caller gets of a call that is dropped.
    """

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        live = apart(original)

        @functools.wraps(original)
        def send(*args: Any, **kwargs: Any) -> Any:
            text = sent(*args, **kwargs) if dropping() else ""
            return instead() if text and drop(text) else live(*args, **kwargs)

        return send

    return wrap


def address_of(url: str) -> str:
    """Where a URL leads, without what may be secret in it: no user, no password, no query."""
    scheme, found, rest = url.partition("://")
    shown = (rest if found else url).rpartition("@")[2].partition("?")[0]
    return f"{scheme}://{shown}" if found else shown


class Addresses:
    """The addresses that the setting `telemetry` lists, e.g. `https://collector.example/*`, `udp://127.0.0.1:8125`.

    Args:
        listed: URLs in which `*` stands for anything.
    """

    __slots__ = ("_pattern",)

    def __init__(self, listed: Iterable[str]) -> None:
        patterns = [".*".join(map(re.escape, address.split("*"))) for address in listed]
        self._pattern = re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else None

    def __bool__(self) -> bool:
        return self._pattern is not None

    def __contains__(self, url: str) -> bool:
        return self._pattern is not None and self._pattern.fullmatch(url) is not None
