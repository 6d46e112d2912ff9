"""os.environ: each variable that a run reads is recorded, and served in a replay. An ambient boundary: never matched.

Every way of reading goes through `__getitem__`: `get`, `in`, `os.getenv`, `items`. Which names there are (iteration,
`len`, `copy`) is live, and so is what is set; `os.environb` and the C-level environment aren't covered.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import crossing

__all__ = ["boundary"]


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
        value = session.read("environment", key, functools.partial(_value_or_none, original, self, key))
        if value is None:
            raise KeyError(key)
        return value

    return __getitem__


def _value_or_none(original: Callable[[Any, Any], Any], environ: Any, key: str) -> Any:
    """The variable, None where it isn't set: absence is recorded too."""
    try:
        return original(environ, key)
    except KeyError:
        return None


boundary = Environment()
