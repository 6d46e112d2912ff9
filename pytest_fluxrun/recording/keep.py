"""Keep rules: whether a run that has just ended is worth keeping. Data in, reason out; no I/O."""

from __future__ import annotations

from pytest_fluxrun.config import Settings
from pytest_fluxrun.entry import Ending

__all__ = ["keep_reason"]

_FIRST_SERVER_ERROR = 500
_FIRST_CLIENT_ERROR = 400


def keep_reason(ending: Ending, settings: Settings, *, duration_ns: int, by_hand: bool, draw: float) -> str:
    """Why a run is kept, or "" to let it go.

    Args:
        by_hand: `fluxrun.keep()` was called in it.
        draw: a random number in [0, 1), for the sample of successes.

    Returns:
        One of `raised`, `timed-out`, `5xx`, `disconnected`, `cut-short`, `by-hand`, `4xx`, `slow`, `sample`, or "".
    """
    status = ending.status or 0
    if ending.timed_out:
        reason = "timed-out"
    elif ending.error is not None:
        reason = "raised"
    elif status >= _FIRST_SERVER_ERROR:
        reason = "5xx"
    elif ending.disconnected:
        reason = "disconnected"
    elif ending.cut_short:
        reason = "cut-short"
    elif by_hand:
        reason = "by-hand"
    elif settings.keep_4xx and status >= _FIRST_CLIENT_ERROR:
        reason = "4xx"
    elif settings.slow_s is not None and duration_ns >= settings.slow_s * 1e9:
        reason = "slow"
    else:
        reason = "sample" if draw < settings.sample else ""
    return reason
