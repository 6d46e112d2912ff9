"""A boundary without a library, for tests of what lies above boundaries: its answers are plain values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Boundary, Call, Patch
from pytest_fluxrun.kinds.host import HOST
from pytest_fluxrun.values import decode, encode

__all__ = ["PlainBoundary"]


class PlainBoundary(Boundary[Any]):
    """Crossed by the tests themselves."""

    name: ClassVar[str] = "db"
    kind = HOST
    modules: ClassVar[tuple[str, ...]] = ()

    def patches(self, module: Any) -> Iterable[Patch]:
        return ()

    def dump(self, result: Any) -> Any:
        return encode(result)

    def load(self, value: Any, call: Call) -> Any:
        return decode(value)
