"""os.environ: each variable that a run reads is recorded, and served in a replay. An ambient boundary: never matched.

Every way of reading goes through `__getitem__`: `get`, `in`, `os.getenv`, `items`. Which names there are is recorded
where code iterates over them, as settings libraries do; `len` is live, and what is set. A sweep over all by urllib,
subprocess or FluxRun's own settings isn't recorded, and is known where it begins, as requests has urllib make two a
call; `os.environb` and the C-level environment aren't covered.
"""

from __future__ import annotations

import collections.abc
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import reading
from pytest_fluxrun.places import module_of

__all__ = ["boundary"]

_NAMES: Final = ""
"""The key of the names that there are; no variable bears it."""
_SWEEPERS: Final = frozenset(
    {"<frozen os>", "<frozen _collections_abc>", os.__file__, collections.abc.Mapping.get.__code__.co_filename}
)


class Environment(Seams):
    """The seam in the os module."""

    name: ClassVar[str] = "environment"
    modules: ClassVar[tuple[str, ...]] = ("os",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """`__getitem__` and `__iter__` of os.environ's class, and `items`, with which the standard library sweeps."""
        yield Patch(type(module.environ), "__getitem__", functools.partial(_getitem, module.environ))
        yield Patch(type(module.environ), "__iter__", functools.partial(_iter, module.environ))
        yield Patch(type(module.environ), "items", functools.partial(_items, module.environ))


def _getitem(environ: Any, original: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    @functools.wraps(original)
    def __getitem__(self: Any, key: Any) -> Any:  # noqa: N807 - shown in tracebacks under the name it replaces
        session = reading()
        if session is None or self is not environ or type(key) is not str:
            return original(self, key)
        if _swept(sys._getframe(1)):  # noqa: SLF001 - the only way to the calling code
            return original(self, key)
        value = session.read("environment", key, functools.partial(_value_or_none, original, self, key))
        if value is None:
            raise KeyError(key)
        return value

    return __getitem__


def _iter(environ: Any, original: Callable[[Any], Iterator[str]]) -> Callable[[Any], Iterator[str]]:
    @functools.wraps(original)
    def __iter__(self: Any) -> Iterator[str]:  # noqa: N807 - shown in tracebacks under the name it replaces
        session = reading()
        if session is None or self is not environ or _swept(sys._getframe(1)):  # noqa: SLF001 - as above
            return original(self)
        names: list[str] = session.read("environment", _NAMES, lambda: list(original(self)))
        return iter(names)

    return __iter__


class _Unread(collections.abc.ItemsView[str, str]):
    """What os.environ holds, for a sweep over it."""

    __slots__ = ()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        environ: Any = self._mapping  # type: ignore[attr-defined]  # typeshed leaves it out
        cls = type(environ)
        names = getattr(cls.__iter__, "__wrapped__", cls.__iter__)
        original = getattr(cls.__getitem__, "__wrapped__", cls.__getitem__)
        for key in names(environ):
            yield key, original(environ, key)


def _items(environ: Any, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def items(self: Any) -> Any:
        if self is environ and _is_of_a_sweeper(sys._getframe(1)):  # noqa: SLF001 - as above
            return _Unread(environ)
        return original(self)

    return items


def _is_of_a_sweeper(frame: FrameType) -> bool:
    return module_of(frame.f_code.co_filename).startswith(("urllib", "subprocess", "pytest_fluxrun.config"))


def _swept(frame: FrameType | None) -> bool:
    """Whether the standard library sweeps over all variables, as urllib does for proxies: no read of the app's."""
    if frame is None or frame.f_code.co_filename not in _SWEEPERS:
        return False
    while frame is not None and frame.f_code.co_filename in _SWEEPERS:
        if frame.f_code.co_name in {"get", "__contains__", "getenv"}:
            return False
        frame = frame.f_back
    return frame is not None and _is_of_a_sweeper(frame)


def _value_or_none(original: Callable[[Any, Any], Any], environ: Any, key: str) -> Any:
    """The variable, None where it isn't set: absence is recorded too."""
    try:
        return original(environ, key)
    except KeyError:
        return None


boundary = Environment()
