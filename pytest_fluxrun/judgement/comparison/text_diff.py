"""Two texts as a unified diff that a reader takes in at a glance: bounded in lines and in width. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Final

__all__ = ["first_change", "text_diff"]

_CONTEXT: Final = 2
_MOST_LINES: Final = 24
_WIDEST: Final = 140
_BEFORE_CHANGE: Final = 40
_MOST_COMPARED: Final = 250_000
"""Lines of one side times lines of the other: up to here it is worked out which of them belong together."""


def text_diff(expected: str, got: str) -> list[str]:
    """The places where two texts differ, as `@@ -3,5 +3,5 @@`, ` same`, `-expected`, `+got`; at most 24 lines and one.

    A long line is shown from shortly before its change. What can't be printed is escaped.
    """
    lines = list(_lines(expected.split("\n"), got.split("\n")))
    shown = lines[:_MOST_LINES]
    return [*shown, f"… {len(lines) - len(shown)} more lines of this diff"] if len(lines) > len(shown) else shown


def first_change(expected: str, got: str) -> tuple[int, str, str]:
    """The number of the first line that differs, from 1, and what each text has there."""
    before, after = expected.split("\n"), got.split("\n")
    same = _same(before, after)
    return (same + 1, *_windows(_line(before, same), _line(after, same)))


def _line(lines: list[str], index: int) -> str:
    return lines[index] if index < len(lines) else ""


def _same(before: list[str], after: list[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))


def _lines(before: list[str], after: list[str]) -> Iterator[str]:
    first = max(0, _same(before, after) - _CONTEXT)
    before, after = before[first:], after[first:]
    tail = max(0, min(_same(before[::-1], after[::-1]), len(before) - 1, len(after) - 1) - _CONTEXT)
    before, after = before[: len(before) - tail], after[: len(after) - tail]
    for group in _groups(before, after):
        (_, start, _, other, _), (_, _, end, _, other_end) = group[0], group[-1]
        yield f"@@ -{first + start + 1},{end - start} +{first + other + 1},{other_end - other} @@"
        for tag, low, high, other_low, other_high in group:
            if tag == "equal":
                yield from (f" {_windows(line, line)[0]}" for line in before[low:high])
            else:
                yield from _changed(before[low:high], after[other_low:other_high])


def _groups(before: list[str], after: list[str]) -> list[list[tuple[str, int, int, int, int]]]:
    if len(before) * len(after) > _MOST_COMPARED:
        return [[("replace", 0, len(before), 0, len(after))]]
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    return [list(group) for group in matcher.get_grouped_opcodes(_CONTEXT)]


def _changed(before: list[str], after: list[str]) -> Iterator[str]:
    windows = [_windows(*pair) for pair in zip(before, after, strict=False)]
    yield from (f"-{one}" for one, _ in windows)
    yield from (f"-{_windows(line, line)[0]}" for line in before[len(windows) :])
    yield from (f"+{other}" for _, other in windows)
    yield from (f"+{_windows(line, line)[0]}" for line in after[len(windows) :])


def _windows(one: str, other: str) -> tuple[str, str]:
    """Two lines, or where one of them is too wide, the part of each around their first difference."""
    if max(len(one), len(other)) <= _WIDEST:
        return _visible(one), _visible(other)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    start = 0 if one == other else max(0, same - _BEFORE_CHANGE)
    return _cut(one, start), _cut(other, start)


def _cut(line: str, start: int) -> str:
    end = start + _WIDEST
    return f"{'…' if start else ''}{_visible(line[start:end])}{'…' if end < len(line) else ''}"


def _visible(text: str) -> str:
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
