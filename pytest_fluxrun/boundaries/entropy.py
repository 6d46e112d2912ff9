"""Entropy (os.urandom, `random`, uuid1), through the C extension, or through wrappers where it is absent.

A `random.Random` that a run gives a seed follows from it and isn't recorded. All others are recorded draw by draw, the
shared one too, also one that a run makes without a seed: it may be kept for later runs. The wrappers don't see copies
made before they were installed (`from random import random`, `from os import urandom`), nor generators in C.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial, wraps
from types import FrameType
from typing import Any

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries.drawing.octets import drawn
from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import LANE, Lane
from pytest_fluxrun.places import past_libraries

__all__ = ["boundary"]


class Entropy(Seams):
    """Sources of randomness. Ambient: read, never matched."""

    name = "entropy"
    modules = ("os", "random", "uuid")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Interpose natively, or give the wrappers of one of the modules."""
        if not ambient.is_native():
            return tuple(_PURE[module.__name__](module))
        ambient.install()
        if module.__name__ == "os":
            return tuple(_getrandom_patches(module))
        return tuple(_gauss_patches(module)) if module.__name__ == "random" else ()


_seeded: weakref.WeakKeyDictionary[Any, weakref.ref[Any]] = weakref.WeakKeyDictionary()


def _os_patches(module: Any) -> Iterator[Patch]:
    yield Patch(module, "urandom", partial(_wrapped, "os.urandom"))
    yield from _getrandom_patches(module)


def _getrandom_patches(module: Any) -> Iterator[Patch]:
    if hasattr(module, "getrandom"):  # Linux
        yield Patch(module, "getrandom", partial(drawn, size_of=lambda size, *_, **__: int(size)))


def _uuid_patches(module: Any) -> Iterator[Patch]:
    if module._generate_time_safe is not None:  # noqa: SLF001 - uuid1 has no public seam
        yield Patch(module, "_generate_time_safe", partial(_wrapped, "uuid.generate_time_safe"))


def _random_patches(module: Any) -> Iterator[Patch]:
    shared = module._inst  # noqa: SLF001 - the instance behind the module's functions
    yield Patch(module, "_urandom", partial(_wrapped, "os.urandom"))
    for name in ("random", "getrandbits"):
        yield Patch(module.Random, name, partial(_drawn, f"random.{name}", shared))
        yield Patch(module, name, partial(_bound, shared, name))
    yield Patch(module.Random, "seed", partial(_seeding, shared, module))
    yield from _gauss_patches(module)


def _gauss_patches(module: Any) -> Iterator[Patch]:
    """`gauss` keeps every second value for its next call: one kept from before the run is nowhere else to be seen."""
    shared = module._inst  # noqa: SLF001 - the instance behind the module's functions
    yield Patch(module.Random, "gauss", partial(_gauss, shared))
    yield Patch(module, "gauss", partial(_bound, shared, "gauss"))


_PURE: dict[str, Callable[[Any], Iterator[Patch]]] = {
    "os": _os_patches,
    "random": _random_patches,
    "uuid": _uuid_patches,
}


def _wrapped(function: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def read(*arguments: Any) -> Any:
        lane = LANE.get()
        if lane is None or lane.ambient is None:
            return original(*arguments)
        return _read(lane, function, original, arguments, arguments)

    return read


def _bound(shared: Any, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the module random, by way of the patched method of its shared instance."""

    @wraps(original)
    def draw(*arguments: Any) -> Any:
        return getattr(shared, name)(*arguments)

    return draw


def _drawn(function: str, shared: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    """A drawing method: by value, unless the running session seeded the instance."""

    @wraps(original)
    def draw(self: Any, *arguments: Any) -> Any:
        lane = LANE.get()
        if lane is None or lane.ambient is None or (self is not shared and _follows_from_seed(self, lane)):
            return original(self, *arguments)
        return _read(lane, function, original, (self, *arguments), arguments)

    return draw


def _gauss(shared: Any, original: Callable[..., float]) -> Callable[..., float]:
    """Random.gauss, its standard normal value being the read; from a seeded instance it follows like any draw."""

    @wraps(original)
    def gauss(self: Any, mu: float = 0.0, sigma: float = 1.0) -> float:
        lane = LANE.get()
        if lane is None or lane.ambient is None or (self is not shared and _follows_from_seed(self, lane)):
            return original(self, mu, sigma)
        return mu + float(_read(lane, "random.gauss", original, (self, 0.0, 1.0), ())) * sigma

    return gauss


def _seeding(shared: Any, module: Any, original: Callable[..., None]) -> Callable[..., None]:
    """Random.seed: in a run, "from the system" becomes a seed that the run records."""

    @wraps(original)
    def seed(self: Any, a: Any = None, version: int = 2) -> None:
        lane = LANE.get()
        if lane is None or lane.ambient is None:
            original(self, a, version)
            return
        _seeded.pop(self, None)
        if a is not None and self is not shared:
            _seeded[self] = weakref.ref(lane.session)
        if a is None:
            a = int.from_bytes(module._urandom(32), "little")  # noqa: SLF001 - what Random() itself is seeded from
        original(self, a, version)

    return seed


def _follows_from_seed(instance: Any, lane: Lane) -> bool:
    if ambient.is_native():
        return ambient.follows_from_seed(instance)
    session = _seeded.get(instance)
    return session is not None and session() is lane.session


def _read(
    lane: Lane, function: str, original: Callable[..., Any], arguments: tuple[Any, ...], told: tuple[Any, ...]
) -> Any:
    reads: Any = lane.ambient
    if type(reads) is list:
        value = _within(lane, original, arguments)
        _append(reads, function, _reading_frame(), value)
        return value
    value = reads(function, *told)
    return _within(lane, original, arguments) if value is NotImplemented else value


def _within(lane: Lane, original: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The original's value; draws that it makes beneath are part of this one."""
    reads, lane.ambient = lane.ambient, None
    try:
        return original(*arguments)
    finally:
        lane.ambient = reads


def _append(reads: list[Any], function: str, frame: FrameType, value: Any) -> None:
    if len(reads) < ambient.MOST_READS_PER_LANE:
        reads.append((function, frame.f_code, frame.f_lasti, value))


def _reading_frame() -> FrameType:
    """The frame that the read is attributed to."""
    return past_libraries(sys._getframe(3))  # noqa: SLF001 - the reader's frame


boundary = Entropy()
