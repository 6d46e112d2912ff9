"""Reports the result of a password check to the lane, which serves it at replay where an operand is a redaction token.

The same protocol as `hmac.compare_digest` (`Lane.ambient`), under a function name of its own.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from pytest_fluxrun.boundary import VERIFICATION_PREFIX
from pytest_fluxrun.context import current_lane

__all__ = ["verifying"]


def verifying(
    name: str,
    *,
    operands: Callable[..., tuple[Any, ...]],
    told: Callable[[Any], int | None] = lambda result: result if isinstance(result, bool) else None,
    shown: Callable[[int], Any] = bool,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A seam for a function that checks a password.

    Args:
        name: of the function, as bundles keep it, e.g. `bcrypt.checkpw`.
        operands: takes the call's arguments and gives the password and the hash.
        told: a live result as a number to keep, or None where it tells nothing.
        shown: a kept number as the function gives it; may raise what the function raises.
    """
    function = f"{VERIFICATION_PREFIX}{name}"

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def verify(*args: Any, **kwargs: Any) -> Any:
            lane = current_lane()
            ambient = None if lane is None else lane.ambient
            if ambient is None:
                return original(*args, **kwargs)
            if callable(ambient):
                served = ambient(function, *operands(*args, **kwargs))
                return original(*args, **kwargs) if served is NotImplemented else shown(served)
            caller = sys._getframe(1)  # noqa: SLF001 - the only way to the calling code
            try:
                result = original(*args, **kwargs)
            except Exception as error:
                _keep(ambient, function, caller, told(error))
                raise
            _keep(ambient, function, caller, told(result))
            return result

        return verify

    return wrap


def _keep(reads: list[Any], function: str, caller: FrameType, number: int | None) -> None:
    if number is not None:
        reads.append((function, caller.f_code, caller.f_lasti, number))
