"""os.environ: each variable that a run reads is recorded, and served in a replay. An ambient boundary: never matched.

Every way of reading goes through `__getitem__`: `get`, `in`, `os.getenv`, `items`. Which names there are (iteration,
`len`, `copy`) is live, and so is what is set. A sweep over all of them by urllib or subprocess isn't recorded;
`os.environb` and the C-level environment aren't covered.
"""

from __future__ import annotations

import collections.abc
import functools
import os
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import crossing
from pytest_fluxrun.places import module_of

__all__ = ["boundary"]

_SWEEPERS: Final = frozenset(
    {"<frozen os>", "<frozen _collections_abc>", os.__file__, collections.abc.Mapping.get.__code__.co_filename}
)


class Environment(Seams):
    """The seam in the os module."""

    name: ClassVar[str] = "environment"
    modules: ClassVar[tuple[str, ...]] = ("os",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """`__getitem__` of the class of os.environ."""
        yield Patch(type(module.environ), "__getitem__", functools.partial(_getitem, module.environ))


def _getitem(environ: Any, original: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    @functools.wraps(original)
    def __getitem__(self: Any, key: Any) -> Any:  # noqa: N807 - shown in tracebacks under the name it replaces
        session = crossing()
        if session is None or self is not environ or type(key) is not str:
            return original(self, key)
        if _swept(sys._getframe(1)):  # noqa: SLF001 - the only way to the calling code
            return original(self, key)
        value = session.read("environment", key, functools.partial(_value_or_none, original, self, key))
        if value is None:
            raise KeyError(key)
        return value

    return __getitem__


def _swept(frame: FrameType | None) -> bool:
    """Whether the standard library sweeps over all variables, as urllib does for proxies: no read of the app's."""
    if frame is None or frame.f_code.co_filename not in _SWEEPERS:
        return False
    while frame is not None and frame.f_code.co_filename in _SWEEPERS:
        if frame.f_code.co_name in {"get", "__contains__", "getenv"}:
            return False
        frame = frame.f_back
    return frame is not None and module_of(frame.f_code.co_filename).startswith(("urllib", "subprocess"))


def _value_or_none(original: Callable[[Any, Any], Any], environ: Any, key: str) -> Any:
    """The variable, None where it isn't set: absence is recorded too."""
    try:
        return original(environ, key)
    except KeyError:
        return None


boundary = Environment()
