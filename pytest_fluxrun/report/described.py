"""Values in a report: what they are, and, only where the report holds values, what they say. Pure.

No digest stands for a hidden value: that of a short one can be guessed.
"""

from __future__ import annotations

import re
from typing import Any, Final

from pytest_fluxrun.judgement.comparison import ABSENT
from pytest_fluxrun.report.document import Described
from pytest_fluxrun.report.plain_text import bounded

__all__ = ["LONGEST", "MOST_PLACES", "bare_path", "described", "legible", "type_and_size"]

LONGEST: Final = 4_000
"""Characters that a report with values holds of one value."""
MOST_PLACES: Final = 100
"""Places that a report names of one outcome, and of one call."""
_NAMES: Final[tuple[tuple[type, str, str], ...]] = (
    (bool, "boolean", ""),
    (int, "integer", ""),
    (float, "number", ""),
    (str, "string", "character"),
    (bytes, "bytes", "byte"),
    (dict, "object", "key"),
    (list, "array", "item"),
)
_PATH: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_][\w-]{0,39}(?=\.|\[|: | \(|$)|\[\d{1,6}\])*")
_END: Final = re.compile(r"$|: | \(")


def described(value: Any, *, values: bool) -> Described:
    """A value for a report.

    Args:
        values: whether it may say what the value is.
    """
    name, size, _ = _named(value)
    return Described(type=name, size=size, text=legible(repr(value)) if values else type_and_size(value))


def type_and_size(value: Any) -> str:
    """`string of 12 characters`, `object of 3 keys`, `integer`."""
    name, size, unit = _named(value)
    return name if size is None else f"{name} of {size:,} {unit}{'' if size == 1 else 's'}"


def bare_path(path: str) -> str:
    """A path without what follows it, and with `*` from the first key on that may be a value itself.

    `call[3].request.body.amount: 1 → 2` is `call[3].request.body.amount`, `response.body.a@b` is `response.body.*`.
    """
    known = _PATH.match(path)
    found = known[0] if known else ""
    return found if _END.match(path, len(found)) else f"{found}.*".lstrip(".")


def legible(text: str) -> str:
    """Printable text, cut where it is too long for a report."""
    return bounded(text, LONGEST, keep="\n\t")


def _named(value: Any) -> tuple[str, int | None, str]:
    if value is None:
        return "null", None, ""
    if value is ABSENT:
        return "absent", None, ""
    name, unit = next(((name, unit) for kind, name, unit in _NAMES if isinstance(value, kind)), ("", ""))
    return name or type(value).__name__, len(value) if unit else None, unit
