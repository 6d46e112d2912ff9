"""The clock, recorded and served value by value: through the C extension, or attribute wrappers where it is absent.

The wrappers see calls through the module `time`. They don't see copies made before them (default arguments, `from time
import time`) nor `datetime.now()` and `date.today()`, whose C types can't be patched: those read the real clock when
recording and, by way of time-machine, the run's virtual one when replaying (`replaying.traveller`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial, wraps
from importlib import import_module
from typing import Any

from pytest_fluxrun import ambient
from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import LANE

__all__ = ["boundary"]

_FUNCTIONS = (
    "time",
    "time_ns",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "localtime",
    "gmtime",
)


class Clock(Seams):
    """Wall and steady clocks. Ambient: read, never matched."""

    name = "clock"
    modules = ("time",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """Interpose natively, or give the wrappers of the module `time`."""
        if ambient.is_native():
            ambient.install()
            return ()
        _load_time_machine()
        present = _read("time.localtime", module.localtime)
        return (
            *(Patch(module, name, partial(_wrapped, f"time.{name}")) for name in _FUNCTIONS),
            Patch(module, "ctime", partial(_text, module.asctime, present, 0)),
            Patch(module, "asctime", partial(_text, module.asctime, present, 0)),
            Patch(module, "strftime", partial(_text, module.strftime, present, 1)),
        )


def _load_time_machine() -> None:
    """Where time-machine is installed, have it look at the clocks now.

    When it is first imported it takes what the module `time` holds for functions in C, whatever that is: a wrapper
    there would end the process as soon as somebody travels.
    """
    with suppress(ImportError):
        import_module("_time_machine")


def _wrapped(function: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """A clock function that is a read where it is given no time."""
    read = _read(function, original)

    @wraps(original)
    def clock(*arguments: Any) -> Any:
        if arguments and arguments[0] is not None:
            return original(*arguments)
        return read(sys._getframe(1))  # noqa: SLF001 - the reader's frame

    return clock


def _read(function: str, original: Callable[..., Any]) -> Callable[[Any], Any]:
    def read(frame: Any) -> Any:
        lane = LANE.get()
        reads = None if lane is None else lane.ambient
        if reads is None:
            return original()
        if type(reads) is list:
            value = original()
            if len(reads) < ambient.MOST_READS_PER_LANE:
                reads.append((function, frame.f_code, frame.f_lasti, value))
            return value
        value = reads(function)
        return original() if value is NotImplemented else value

    return read


def _text(
    from_struct: Callable[..., str], present: Callable[[Any], Any], given: int, original: Callable[..., str]
) -> Callable[..., str]:
    """A text of the present time, made by the original from a `localtime` that is a read."""

    @wraps(original)
    def text(*arguments: Any) -> str:
        if len(arguments) == given and LANE.get() is not None:
            return from_struct(*arguments, present(sys._getframe(1)))  # noqa: SLF001 - the reader's frame
        return original(*arguments)

    return text


boundary = Clock()
