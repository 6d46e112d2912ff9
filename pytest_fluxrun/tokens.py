"""Redaction tokens in recorded texts, and what may stand in their place at replay, where the app makes the secret anew.

Pure. The tokens themselves are made by `recording.redaction`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["Tokens", "any_of"]

_SAME_LENGTH_FROM = 8
_INSIDE = r"""[^"'&\n]"""
"""Stays inside a JSON string, a query's parameter, an SQL literal, a line."""


def any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    """What finds any of some texts, the longest first; None where there are none."""
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


class Tokens:
    """The tokens of one run.

    Args:
        tokens: each has the length of the secret that it replaced, from eight characters on.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self._any = any_of(tokens)

    def pattern(self, recorded: str) -> re.Pattern[str] | None:
        """What equals a recorded text but for the places of tokens; None where it has none.

        At a token's place as many characters may stand as the token has; fewer than eight for a shorter one.
        """
        if self._any is None or self._any.search(recorded) is None:
            return None
        pieces, end = [], 0
        for found in self._any.finditer(recorded):
            length = len(found[0])
            pieces += [
                re.escape(recorded[end : found.start()]),
                f"{_INSIDE}{{{length}}}" if length >= _SAME_LENGTH_FROM else f"{_INSIDE}{{1,{_SAME_LENGTH_FROM - 1}}}",
            ]
            end = found.end()
        return re.compile("".join([*pieces, re.escape(recorded[end:])]), re.DOTALL)

    def alike(self, recorded: Any, got: Any) -> bool:
        """Whether two texts are equal but for the places where the recorded one has tokens."""
        if not isinstance(recorded, str) or not isinstance(got, str):
            return False
        pattern = self.pattern(recorded)
        return pattern is not None and pattern.fullmatch(got) is not None
