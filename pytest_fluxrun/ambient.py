"""FluxRun's own clocks, and the choice between the C extension and its pure fallback.

The clocks here are the real ones inside a run too. What counts as a read is decided above: this only switches it on.
"""

from __future__ import annotations

import time as _time
from random import Random
from types import ModuleType

from pytest_fluxrun.config import current_settings
from pytest_fluxrun.context import LANE
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.places import is_library

__all__ = [
    "MOST_READS_PER_LANE",
    "displaced",
    "follows_from_seed",
    "install",
    "is_native",
    "monotonic_ns",
    "perf_counter_ns",
    "time_ns",
    "uninstall",
]


def _extension() -> ModuleType | None:
    """The C extension, or None: not built, or in an interpreter that it doesn't serve."""
    try:
        from pytest_fluxrun import _ambient
    except ImportError:
        return None
    return _ambient


_native = _extension()

MOST_READS_PER_LANE: int = 250_000 if _native is None else _native.MOST_READS_PER_LANE
"""Reads beyond this number in one lane are not recorded."""

time_ns = _time.time_ns if _native is None else _native.real_time_ns
monotonic_ns = _time.monotonic_ns if _native is None else _native.real_monotonic_ns
perf_counter_ns = _time.perf_counter_ns if _native is None else _native.real_perf_counter_ns


def is_native() -> bool:
    """Whether the C extension interposes clock and entropy; otherwise attribute wrappers do, and see less."""
    return _native is not None and not current_settings().pure


def install() -> None:
    """Interpose clock and entropy in this process; again: take back what has become free since.

    Raises:
        FluxRunError: another interpreter of the process has them.
    """
    if _native is None or not is_native():
        return
    try:
        _native.install(LANE, is_library)
    except RuntimeError as error:
        raise FluxRunError(
            "clock and entropy can't be recorded in this interpreter",
            why=str(error),
            next_step="call fluxrun.init in one interpreter only",
        ) from error


def uninstall() -> None:
    """Take the interposed functions out again; harmless where there are none."""
    if _native is not None:
        _native.uninstall()


def follows_from_seed(instance: Random) -> bool:
    """Whether the extension has seen the running session seed an instance: its draws are then not recorded."""
    return _native is not None and bool(_native.follows_from_seed(instance))


def displaced() -> tuple[str, ...]:
    """Functions that something else has interposed since, e.g. a running time-machine: runs don't see them read."""
    return () if _native is None else tuple(_native.displaced())
