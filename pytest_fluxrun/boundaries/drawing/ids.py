"""The functions of UUID modules written in Rust, which draw and read the clock beneath Python."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, Final

from pytest_fluxrun.boundaries.drawing.octets import drawn
from pytest_fluxrun.boundary import Patch

__all__ = ["SIZE", "id_patches"]

SIZE: Final = 16
"""Octets of an id."""


def id_patches(module: Any, versions: dict[str, int]) -> Iterator[Patch]:
    """Each function of the module that makes an id of its own, by name with the version that it makes."""
    for name, version in versions.items():
        if hasattr(module, name):
            yield Patch(module, name, functools.partial(_making, module.UUID, version))


def _making(cls: Any, version: int, original: Callable[..., Any]) -> Callable[..., Any]:
    def made_of(octets: bytes) -> Any:
        return cls(bytes=_versioned(octets, version))

    return drawn(original, size_of=lambda *_, **__: SIZE, octets_of=lambda made: bytes(made.bytes), made_of=made_of)


def _versioned(octets: bytes, version: int) -> bytes:
    """Sixteen octets with the version and the variant in place (RFC 9562, 4): recorded ones have them already."""
    value = bytearray(octets)
    value[6] = value[6] & 0x0F | version << 4
    value[8] = value[8] & 0x3F | 0x80
    return bytes(value)
