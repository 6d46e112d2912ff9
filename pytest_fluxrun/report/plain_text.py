"""Recorded text made fit to show: nothing that steers a terminal, nothing longer than a reader takes in. Pure."""

from __future__ import annotations

from typing import Any, Final

import orjson

__all__ = ["bounded", "printable", "shortened", "shown"]

_LONGEST: Final = 160


def printable(text: str, *, keep: str = "") -> str:
    """Text with each control character as its escape, but for those in `keep`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)


def bounded(text: str, longest: int, *, keep: str = "") -> str:
    """`printable` text, cut where it is longer, with how long it was."""
    kept = printable(text[:longest], keep=keep)
    return kept if len(text) <= longest else f"{kept}… ({len(text):,} characters)"


def shortened(text: str, longest: int = _LONGEST) -> str:
    """Text on one line of at most `longest` characters, `…` where it was cut."""
    line = printable(" ".join(text[: 4 * longest].split()) if any(map(str.isspace, text)) else text)
    return line if len(line) <= longest and len(text) <= 4 * longest else f"{line[: longest - 1]}…"


def shown(value: Any) -> str:
    """A value for a reader: text and bytes by what they say, structures as JSON where they can be."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return repr(value)
