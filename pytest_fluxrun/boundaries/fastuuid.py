"""fastuuid: ids made in Rust, which draw and read the clock beneath Python."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.drawing.ids import SIZE, id_patches
from pytest_fluxrun.boundaries.drawing.octets import drawn
from pytest_fluxrun.boundary import Patch, Seams

__all__ = ["boundary"]

_VERSIONS: Final = {"uuid1": 1, "uuid_v1mc": 1, "uuid4": 4, "uuid7": 7}


class Fastuuid(Seams):
    """Ambient: read, never matched. `from fastuuid import uuid4` made before the seams escapes."""

    name: ClassVar[str] = "fastuuid"
    modules = ("fastuuid",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """The functions that take no name, those that make many among them."""
        yield from id_patches(module, _VERSIONS)
        for name in ("uuid4", "uuid7"):
            yield Patch(module, f"{name}_bulk", functools.partial(_bulk, module.UUID))
            yield Patch(module, f"{name}_as_strings_bulk", _texts)


def _bulk(cls: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    return drawn(
        original,
        size_of=lambda count: int(count) * SIZE,
        octets_of=lambda made: b"".join(one.bytes for one in made),
        made_of=lambda octets: [cls(bytes=one) for one in _parts(octets)],
    )


def _texts(original: Callable[..., Any]) -> Callable[..., Any]:
    return drawn(
        original,
        size_of=lambda count: int(count) * SIZE,
        octets_of=lambda made: bytes.fromhex("".join(made).replace("-", "")),
        made_of=lambda octets: [one.hex() for one in _parts(octets)],
    )


def _parts(octets: bytes) -> Iterable[bytes]:
    return (octets[start : start + SIZE] for start in range(0, len(octets), SIZE))


boundary = Fastuuid()
