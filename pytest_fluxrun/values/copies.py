"""Copies made where a call crosses a boundary, so that the app may go on changing its own objects. No encoding."""

from __future__ import annotations

import copy
import functools
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

from pytest_fluxrun.values import typed

__all__ = ["is_large", "snapshot"]

_MAX_DEPTH = 64
_CHARACTERS_PER_ITEM = 64
_UNCHANGING = frozenset({str, int, float, bool, bytes, type(None)})
_TEXTS = frozenset({str, bytes, bytearray})
_CONTAINERS = frozenset({dict, list, tuple, set, frozenset})


def snapshot(obj: Any) -> Any:
    """A copy of mutable containers, all the way down; what can't change is the same object.

    Models, dataclasses and subclasses of containers are deep-copied. What refuses to be copied, and what isn't in the
    closed set of values, is returned as it is.
    """
    kind: Any = type(obj)
    if kind not in _COPIERS and not _is_typed(kind):
        return obj
    try:
        return _copy(obj, {}, 0)
    except RuntimeError:  # another thread changed a container meanwhile; recording never raises into the host
        return obj


def _copy(obj: Any, copied: dict[int, Any], depth: int) -> Any:
    kind: Any = type(obj)
    copier = _COPIERS.get(kind)
    if copier is None:
        return _deep_copy(obj) if _is_typed(kind) else obj
    if depth > _MAX_DEPTH:
        return obj
    if id(obj) not in copied:
        copied[id(obj)] = obj
        copied[id(obj)] = copier(obj, lambda item: _copy(item, copied, depth + 1))
    return copied[id(obj)]


@functools.lru_cache(maxsize=4096)
def _is_typed(kind: type) -> bool:
    return typed.shape_of(kind) not in (None, typed.Shape.ENUM) and kind not in typed.SCALAR_BASES


def _deep_copy(obj: Any) -> Any:
    try:
        return copy.deepcopy(obj)
    except Exception:  # `__deepcopy__` is the app's; an object that refuses is kept by reference
        return obj


Copier = Callable[[Any, Callable[[Any], Any]], Any]


def _each(items: Iterable[Any], each: Callable[[Any], Any]) -> list[Any]:
    """The items, copied where they may change: few do, and a call for each of the others is most of the cost."""
    return [item if type(item) in _UNCHANGING else each(item) for item in items]


def _tuple(items: tuple[Any, ...], each: Callable[[Any], Any]) -> tuple[Any, ...]:
    fresh = _each(items, each)
    return items if all(a is b for a, b in zip(items, fresh, strict=True)) else tuple(fresh)


def _mapping(mapping: dict[Any, Any], each: Callable[[Any], Any]) -> dict[Any, Any]:
    fresh = mapping.copy()
    for key, item in fresh.items():
        fresh[key] = each(item)
    return fresh


_COPIERS: dict[type, Copier] = {
    list: _each,
    tuple: _tuple,
    dict: lambda mapping, each: {
        key: item if type(item) in _UNCHANGING else each(item) for key, item in mapping.items()
    },
    set: lambda members, _: members.copy(),
    bytearray: lambda data, _: data[:],
    memoryview: lambda view, _: view if view.readonly else memoryview(view.tobytes()).cast(view.format),
    OrderedDict: _mapping,
    defaultdict: _mapping,
    Counter: _mapping,
    deque: lambda items, each: deque(map(each, items), items.maxlen),
}


def is_large(value: Any, *, most: int = 100_000) -> bool:
    """Whether plain containers hold more than so many items in all, or texts and bytes 64 times as many characters.

    Costs little for a large flat one: its length alone decides. Cycles count as large.
    """
    count, waiting = 0, [[value]]
    while waiting:
        for one in waiting.pop():
            kind = type(one)
            if kind in _TEXTS:
                count += len(one) // _CHARACTERS_PER_ITEM
            elif kind in _CONTAINERS:
                count += len(one)
                if count > most:
                    return True
                waiting.append([*(one.values() if kind is dict else one)])
        if count > most:
            return True
    return False
