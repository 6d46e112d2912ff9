"""hmac.compare_digest without the C extension: reports each result to the lane, as the extension does.

The same protocol as clock and entropy (`Lane.ambient`): recording appends (function, code, instruction, result); a
replay is asked with both operands and answers where one is a redaction token, else NotImplemented makes it real.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from pytest_fluxrun.ambient import is_native
from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import current_lane

__all__ = ["boundary"]

FUNCTION: Final = "hmac.compare_digest"


class Verification(Seams):
    """The seams in hmac and secrets; none where the C extension interposes `_operator._compare_digest` itself."""

    name: ClassVar[str] = "verification"
    modules: ClassVar[tuple[str, ...]] = ("hmac", "secrets")

    def patches(self, module: Any) -> Iterable[Patch]:
        """`compare_digest` of the module. A copy made by `from hmac import compare_digest` before `init` escapes."""
        if not is_native():
            yield Patch(module, "compare_digest", _compare_digest)


def _compare_digest(original: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    if hasattr(original, "__fluxrun__"):  # secrets holds what hmac held: already the replacement where hmac came first
        return original

    @functools.wraps(original)
    def compare_digest(a: Any, b: Any, /) -> bool:
        lane = current_lane()
        ambient = None if lane is None else lane.ambient
        if ambient is None:
            return original(a, b)
        if callable(ambient):
            served = ambient(FUNCTION, a, b)
            return original(a, b) if served is NotImplemented else bool(served)
        result = original(a, b)
        caller = sys._getframe(1)  # noqa: SLF001 - the only way to the calling code
        ambient.append((FUNCTION, caller.f_code, caller.f_lasti, result))
        return result

    compare_digest.__fluxrun__ = True  # type: ignore[attr-defined]  # see above
    return compare_digest


boundary = Verification()
