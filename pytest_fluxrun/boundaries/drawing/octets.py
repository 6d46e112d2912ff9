"""Random octets of other makers than `os.urandom`, recorded and served as its reads are."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Final

from pytest_fluxrun import ambient
from pytest_fluxrun.context import LANE
from pytest_fluxrun.places import past_libraries

__all__ = ["drawn"]

_AS: Final = "os.urandom"


def drawn(
    original: Callable[..., Any],
    *,
    size_of: Callable[..., int],
    octets_of: Callable[[Any], bytes] = bytes,
    made_of: Callable[[bytes], Any] = bytes,
) -> Callable[..., Any]:
    """A function that draws: in a run its octets are recorded; at replay they are the recorded ones, else others.

    Args:
        size_of: takes the call's arguments, gives how many octets it draws.
        octets_of: what of a result is random.
        made_of: the result that they make.
    """

    @functools.wraps(original)
    def draw(*arguments: Any, **named: Any) -> Any:
        lane = LANE.get()
        reads: Any = None if lane is None else lane.ambient
        if lane is None or reads is None:
            return original(*arguments, **named)
        if type(reads) is not list:
            octets = reads(_AS, size_of(*arguments, **named))
            if octets is not NotImplemented:
                return made_of(octets)
        lane.ambient = None  # what it draws beneath is part of it
        try:
            value = original(*arguments, **named)
        finally:
            lane.ambient = reads
        if type(reads) is list and len(reads) < ambient.MOST_READS_PER_LANE:
            frame = past_libraries(sys._getframe(1))  # noqa: SLF001 - the reader's frame
            reads.append((_AS, frame.f_code, frame.f_lasti, octets_of(value)))
        return value

    return draw
