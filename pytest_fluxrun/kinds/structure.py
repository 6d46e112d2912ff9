"""Where two JSON-like structures differ, and which named scalars they hold: what kinds share. Pure; no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pytest_fluxrun.boundary import Difference

__all__ = ["ABSENT", "named_scalars", "structural_differences"]


class _Absent:
    """Stands in a Difference for a place that one of the two doesn't have."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<absent>"


ABSENT: Final = _Absent()


def structural_differences(path: str, recorded: Any, asked: Any) -> Iterator[Difference]:
    """Each place at which two values differ, by path: `.key` for dicts, `[index]` for lists.

    Types count: 1, 1.0 and True differ.
    """
    if type(recorded) is dict and type(asked) is dict:
        for key in (*recorded, *(key for key in asked if key not in recorded)):
            yield from structural_differences(_under(path, key), recorded.get(key, ABSENT), asked.get(key, ABSENT))
    elif type(recorded) in (list, tuple) and type(asked) in (list, tuple):
        for index in range(max(len(recorded), len(asked))):
            yield from structural_differences(
                f"{path}[{index}]",
                recorded[index] if index < len(recorded) else ABSENT,
                asked[index] if index < len(asked) else ABSENT,
            )
    elif type(recorded) is not type(asked) or recorded != asked:
        yield Difference(path, recorded, asked)


def named_scalars(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, scalar) for each scalar in a structure; a list's items bear the list's name, unnamed ones none."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from named_scalars(item, _under(name, key))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from named_scalars(item, name)
    elif name:
        yield name, value


def _under(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)
