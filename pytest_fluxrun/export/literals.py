"""Recorded values as Python source: what a reader of a test would have written. Pure."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import keyword
import pprint
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel

from pytest_fluxrun.errors import FluxRunError

__all__ = ["Source", "arguments", "called", "comment", "is_name"]

_WIDTH: Final = 110
_BY_REPR: Final = (int, float, str, bytes, bool, type(None), bytearray, range)
_BY_MODULE: Final = {
    decimal.Decimal: "decimal", uuid.UUID: "uuid",
    dt.datetime: "", dt.date: "", dt.time: "", dt.timedelta: "",
}  # fmt: skip
_NOT_A_NUMBER: Final = {"inf": 'float("inf")', "-inf": 'float("-inf")', "nan": 'float("nan")'}


class Source(str):
    """Python source as a value whose `repr` is itself, so that pprint lays it out with the rest."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def called(value: Any, imports: set[str]) -> str:
    """An expression that gives an equal value, laid out over lines where it is long.

    Args:
        imports: what it needs imported is added to these, as dotted modules.

    Raises:
        FluxRunError: the value has no such form.
    """
    return pprint.pformat(_laid_out(value, imports), width=_WIDTH, sort_dicts=False)


def arguments(args: Iterable[Any], kwargs: Mapping[str, Any], imports: set[str]) -> str:
    """What stands between the parentheses of a call; a keyword that Python can't spell goes as `**{...}`.

    Raises:
        FluxRunError: as `called`.
    """
    spelt = {name: value for name, value in kwargs.items() if is_name(name)}
    others = {name: value for name, value in kwargs.items() if name not in spelt}
    given = [called(value, imports) for value in args]
    given += [f"{name}={called(value, imports)}" for name, value in spelt.items()]
    return ", ".join([*given, *([f"**{called(others, imports)}"] if others else [])])


def is_name(text: Any) -> bool:
    """Whether a recorded text may stand in source as a name: all else in it would be code that a bundle brings."""
    return isinstance(text, str) and text.isidentifier() and not keyword.iskeyword(text)


def comment(text: str) -> str:
    """A recorded text as it may stand in a comment or a docstring: on one line, with nothing that can't be shown."""
    return repr(text)[1:-1]


def _laid_out(value: Any, imports: set[str]) -> Any:
    kind = type(value)
    if kind is Source:
        return value
    if kind is float and repr(value) in _NOT_A_NUMBER:
        return Source(_NOT_A_NUMBER[repr(value)])
    if kind in _BY_REPR:
        return value
    if kind in _BY_MODULE:
        imports |= {_BY_MODULE[kind] or "datetime", *(["zoneinfo"] if "zoneinfo." in repr(value) else [])}
        return Source(f"{_BY_MODULE[kind]}.{value!r}".removeprefix("."))
    if kind in (list, tuple, set, frozenset):
        return kind(_hashable(kind, (_laid_out(item, imports) for item in value)))
    if kind is dict:
        return {_laid_out(key, imports): _laid_out(item, imports) for key, item in value.items()}
    return Source(_typed(value, imports))


def _hashable(kind: type, items: Iterable[Any]) -> list[Any]:
    return list(items) if kind in (list, tuple) else sorted(items, key=repr)


def _typed(value: Any, imports: set[str]) -> str:
    """A model, a dataclass or a member of an enum, by its class's name in its module."""
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if "<locals>" in name or kind.__module__ == "__main__":
        raise _unwritable(value)
    imports.add(kind.__module__)
    if isinstance(value, enum.Enum):
        return f"{name}[{value.name!r}]"
    if isinstance(value, BaseModel):
        return f"{name}.model_validate({called(value.model_dump(), imports)})"
    if dataclasses.is_dataclass(value):
        fields = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value) if field.init)
        return f"{name}({', '.join(f'{key}={called(item, imports)}' for key, item in fields)})"
    raise _unwritable(value)


def _unwritable(value: Any) -> FluxRunError:
    kind = type(value)
    return FluxRunError(
        f"a {kind.__module__}.{kind.__qualname__} can't be written into a test",
        why="only built-in values, models, dataclasses and enums of importable modules have a form as Python source",
        next_step="keep the run as a guard instead: `fluxrun expect RUN`",
    )
