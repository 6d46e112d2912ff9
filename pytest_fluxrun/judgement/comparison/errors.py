"""Raised errors: by type, message, notes, the errors that led to them, and a group's members. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from pytest_fluxrun.judgement.comparison.difference import ABSENT, OutcomeDifference, differing
from pytest_fluxrun.values import plain

__all__ = ["error_differences", "error_text"]

_ADDRESS = re.compile(r"(?<= at )0x[0-9a-f]+|(?<=cancel scope )[0-9a-f]+")


def error_differences(recorded: Any, replayed: Any, path: str = "error") -> Iterator[OutcomeDifference]:
    """Two errors as `dump_error` gives them, or None for none. What led to errors of different types isn't compared."""
    if recorded is None and replayed is None:
        return
    if recorded is None or replayed is None:
        yield differing(path, error_text(recorded), error_text(replayed))
        return
    for key in ("type", "message", "notes"):
        if _without_addresses(recorded.get(key)) != _without_addresses(replayed.get(key)):
            yield differing(f"{path}.{key}", _shown(recorded.get(key)), _shown(replayed.get(key)))
    if recorded["type"] == replayed["type"]:
        yield from _behind(recorded, replayed, path)


def error_text(error: Any) -> Any:
    """An error on one line, as `type: message`; ABSENT for none."""
    return ABSENT if error is None else f"{error['type']}: {plain(error['message'])}"


def _behind(recorded: Any, replayed: Any, path: str) -> Iterator[OutcomeDifference]:
    (name, before), (other_name, after) = _led_by(recorded), _led_by(replayed)
    if name == other_name or before is None or after is None:
        yield from error_differences(before, after, f"{path}.{name or other_name}")
    else:
        yield from error_differences(before, None, f"{path}.{name}")
        yield from error_differences(None, after, f"{path}.{other_name}")
    members = zip_longest(recorded.get("group", ()), replayed.get("group", ()))
    for index, (one, other) in enumerate(members):
        yield from error_differences(one, other, f"{path}.group[{index}]")


def _led_by(error: Any) -> tuple[str, Any]:
    """What Python shows above an error: its cause, else the error that was being handled unless that is suppressed."""
    if "cause" in error:
        return "cause", error["cause"]
    if "context" in error and not error.get("suppress"):
        return "context", error["context"]
    return "", None


def _without_addresses(text: Any) -> Any:
    """A message without the addresses of default reprs (`<Order object at 0x7f…>`), which no two processes share."""
    if isinstance(text, list):
        return [_without_addresses(one) for one in text]
    return _ADDRESS.sub("…", text) if isinstance(text, str) else text


def _shown(value: Any) -> Any:
    return ABSENT if value is None else plain(value)
