"""Which recorded values a plain test can't come to again: made of the clock's fine ticks or of randomness. Pure.

A text that the run was given (in its input, in an answer, in its environment) comes again, whatever it looks like.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Iterator
from typing import Any, Final

from pytest_fluxrun.export.literals import Source
from pytest_fluxrun.run import Run
from pytest_fluxrun.tokens import any_of
from pytest_fluxrun.values import plain

__all__ = ["ANY", "MadeAnew"]

ANY: Final = Source("ANY")
"""`unittest.mock.ANY` in the exported file: equal to everything."""
_LOOKS_DRAWN: Final = re.compile(
    r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|(?<![0-9A-Za-z])(?=[A-Za-z]*[0-9])[0-9A-Za-z_-]{20,}(?![0-9A-Za-z])"
    r"|(?<![0-9a-f])[0-9a-f]{16,}(?![0-9a-f])",
    re.IGNORECASE,
)
_LOOKS_TIMED: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\d\d:\d\d:\d\d")
_SLACK_S: Final = 5.0
_UNITS: Final = (1, 1_000, 1_000_000, 1_000_000_000)


class MadeAnew:
    """Tells them for one run."""

    def __init__(self, run: Run) -> None:
        self._given = "\0".join(_texts(_given_to(run)))
        self._tokens = any_of(run.tokens)
        self._from_s = run.recording.wall_ns / 1e9 - _SLACK_S
        self._to_s = self._from_s + run.recording.duration_ns / 1e9 + 2 * _SLACK_S

    def masked(self, value: Any) -> Any:
        """The value with `ANY` for each part that won't come again; dict keys stay."""
        if isinstance(value, dict):
            return {key: self.masked(item) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.masked(item) for item in value)
        return ANY if self.is_made(value) else value

    def is_made(self, value: Any) -> bool:
        """Whether a scalar won't come again: drawn, told by the clock of the run, or made of a redacted secret."""
        if isinstance(value, str):
            return self._is_made_text(value)
        if isinstance(value, bytes):
            return self._is_made_text(value.decode("latin-1"))
        if isinstance(value, uuid.UUID):
            return str(value) not in self._given
        if isinstance(value, dt.datetime):
            return self._is_now(value.replace(tzinfo=value.tzinfo or dt.UTC).timestamp())
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and any(self._is_now(value / unit) for unit in _UNITS) and str(value) not in self._given

    def _is_made_text(self, text: str) -> bool:
        if self._tokens is not None and self._tokens.search(text) and text not in self._given:
            return True
        looks = (*_LOOKS_DRAWN.finditer(text), *_LOOKS_TIMED.finditer(text))
        return any(found[0] not in self._given for found in looks)

    def _is_now(self, seconds: float) -> bool:
        return self._from_s <= seconds <= self._to_s


def _given_to(run: Run) -> Iterator[Any]:
    yield plain(run.input)
    for one in run.recording.interactions:
        yield plain(one.error if one.failed else one.answer)
    for recording in (run.recording, run.preamble):
        if recording is not None:
            yield plain(recording.reads)


def _texts(values: Iterator[Any]) -> Iterator[str]:
    """Every text in a structure; of other scalars what `str` says."""
    pending: list[Any] = [*values]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            pending += value
        elif isinstance(value, bytes):
            yield value.decode("latin-1")
        elif value is not None:
            yield str(value)
