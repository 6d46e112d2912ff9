"""Bodies and answers in the form that bundles hold, the same for every web entry. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pytest_fluxrun.entry import dump_raised
from pytest_fluxrun.values import Value, encode

__all__ = ["FIRST_SERVER_ERROR", "answer", "outcome", "size_of", "text_or_bytes", "to_bytes"]

FIRST_SERVER_ERROR: Final = 500
"""From this status on an answer says that the server failed."""
_LONGEST_SIZE: Final = 18


def answer(status: int, headers: Iterable[tuple[str, str]], body: bytes, *, complete: bool) -> dict[str, Value]:
    """A response in an outcome.

    Args:
        headers: in order, names as sent.
        complete: all of it was given to the server.
    """
    return {
        "status": status,
        "headers": encode([[name, value] for name, value in headers]),
        "body": encode(text_or_bytes(body)),
        "complete": complete,
    }


def outcome(response: dict[str, Value] | None, error: BaseException | None, *, disconnected: bool) -> dict[str, Value]:
    """What came of a request; `response` is None where the application began no answer."""
    return {
        "response": response,
        "error": None if error is None else dump_raised(error),
        "disconnected": disconnected,
    }


def size_of(header: str) -> int | None:
    """What a Content-Length says, or None where it says nothing that a body could have."""
    return int(header) if header.isdecimal() and len(header) <= _LONGEST_SIZE else None


def text_or_bytes(body: bytes) -> str | bytes:
    """The body as text where it is UTF-8: bundles hold it, and people read it, as such."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body


def to_bytes(body: Any) -> bytes:
    """What `text_or_bytes` was given."""
    return body.encode("utf-8") if isinstance(body, str) else bytes(body)
