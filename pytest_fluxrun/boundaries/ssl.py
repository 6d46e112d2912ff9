"""ssl: random octets of OpenSSL's generator."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.drawing.octets import drawn
from pytest_fluxrun.boundary import Patch, Seams

__all__ = ["boundary"]


class Ssl(Seams):
    """Ambient: read, never matched. TLS itself draws beneath Python, and isn't seen."""

    name: ClassVar[str] = "ssl"
    modules = ("ssl",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """`RAND_bytes`."""
        yield Patch(module, "RAND_bytes", functools.partial(drawn, size_of=int))


boundary = Ssl()
