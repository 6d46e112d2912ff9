"""Run ids: UUIDv7 (RFC 9562) in 26 characters of lower-case Crockford base32. Their order is that of time."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from typing import Final

from pytest_fluxrun.bundle.base32 import ALPHABET

__all__ = ["RUN_ID_PATTERN", "is_run_id", "new_run_id", "run_id_time_ns"]

RUN_ID_PATTERN: Final = "[0-7][0-9a-hjkmnp-tv-z]{25}"
_RUN_ID: Final = re.compile(RUN_ID_PATTERN)
_LENGTH: Final = 26
_NS_PER_MS: Final = 1_000_000
_RANDOM_BITS: Final = 74
_RANDOM_MASK: Final = (1 << _RANDOM_BITS) - 1
_LOW_MASK: Final = (1 << 62) - 1


class _Sequence:
    """The last id's time and random bits as one integer, so that ids of one process only grow."""

    def __init__(self) -> None:
        self.reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.reset)

    def reset(self) -> None:
        """Forget the last id and take a new lock: a forked child may have inherited a held one."""
        self._lock = threading.Lock()
        self._last = -1

    def following(self, fresh: int, step: int) -> int:
        """Return `fresh`, or the last id plus `step` where `fresh` isn't beyond it."""
        with self._lock:
            self._last = fresh if fresh > self._last else self._last + step
            return self._last


_SEQUENCE: Final = _Sequence()


def new_run_id(now_ns: int | None = None, random_bytes: Callable[[int], bytes] = os.urandom) -> str:
    """Return a run id that no other process makes, and that is greater than every earlier one of this process.

    Thread-safe and fork-safe. A clock that goes back doesn't make ids go back.

    Args:
        now_ns: Unix time in nanoseconds; the wall clock if None.
        random_bytes: returns that many random bytes. Unlike the data key, an id needn't be unpredictable.
    """
    time_ms = (time.time_ns() if now_ns is None else now_ns) // _NS_PER_MS
    noise = int.from_bytes(random_bytes(14), "big")
    fresh = (time_ms & ((1 << 48) - 1)) << _RANDOM_BITS | (noise & _RANDOM_MASK)
    value = _SEQUENCE.following(fresh, 1 + (noise >> _RANDOM_BITS))
    uuid = (value >> _RANDOM_BITS) << 80 | 0x7 << 76 | ((value >> 62) & 0xFFF) << 64 | 0b10 << 62 | (value & _LOW_MASK)
    return "".join(ALPHABET[(uuid >> shift) & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))


def is_run_id(text: str) -> bool:
    """Return whether `text` has the form of a run id."""
    return _RUN_ID.fullmatch(text) is not None


def run_id_time_ns(run_id: str) -> int:
    """Return the Unix time in nanoseconds at which a run id was made, to the millisecond.

    Raises:
        ValueError: `run_id` has another form.
    """
    if not is_run_id(run_id):
        message = f"not a run id: {run_id!r}"
        raise ValueError(message)
    value = 0
    for character in run_id:
        value = value << 5 | ALPHABET.index(character)
    return (value >> 80) * _NS_PER_MS
