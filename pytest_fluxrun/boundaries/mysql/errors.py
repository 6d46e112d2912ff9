"""Errors of the drivers of MySQL: which of them leave their connection closed."""

from __future__ import annotations

from typing import Final

__all__ = ["SERVER_LOST", "leaves_closed"]

SERVER_LOST: Final = 2013
_GONE: Final = 2006
_OUT_OF_STEP: Final = "Packet sequence number wrong"


def leaves_closed(error: BaseException) -> bool:
    """Whether a driver closes a connection as it raises an error: it was lost, or what comes over it makes no sense."""
    if not isinstance(error, Exception):
        return True
    first = error.args[0] if error.args else None
    return first in (_GONE, SERVER_LOST) or (isinstance(first, str) and first.startswith(_OUT_OF_STEP))
