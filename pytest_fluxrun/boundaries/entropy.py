"""Entropy and verification: os.urandom, `random`, uuid1's clock and node, compare_digest; by the C extension or wrappers.

An instance of `random.Random` that a run seeds follows from its seed and isn't recorded; one that a run leaves unseeded is
seeded from recorded bytes; all others, the shared one above all, are recorded draw by draw. The wrappers don't see copies
made before they were installed (`from random import random`, `from os import urandom`), nor generators in C.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

from pytest_fluxrun import ambient
from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import LANE, Lane
from pytest_fluxrun.places import is_library

__all__ = ["boundary"]

_MOST_FRAMES_WALKED = 24


class Entropy(Seams):
    """Sources of randomness. Ambient: read, never matched."""

    name = "entropy"
    modules = ("os", "random", "uuid", "hmac")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Interpose natively, or give the wrappers of one of the modules."""
        if ambient.is_native():
            ambient.install()
            return ()
        return tuple(_PURE[module.__name__](module))


_seeded: weakref.WeakKeyDictionary[Any, weakref.ref[Any]] = weakref.WeakKeyDictionary()


def _os_patches(module: Any) -> Iterator[Patch]:
    yield Patch(module, "urandom", lambda original: _wrapped("os.urandom", original))


def _uuid_patches(module: Any) -> Iterator[Patch]:
    if module._generate_time_safe is not None:
        yield Patch(module, "_generate_time_safe", lambda original: _wrapped("uuid.generate_time_safe", original))


def _hmac_patches(module: Any) -> Iterator[Patch]:
    yield Patch(module, "compare_digest", _verification)


def _random_patches(module: Any) -> Iterator[Patch]:
    shared, draws = module._inst, {"random": module.Random.random, "getrandbits": module.Random.getrandbits}
    yield Patch(module, "_urandom", lambda original: _wrapped("os.urandom", original))
    for name in draws:
        yield Patch(module.Random, name, lambda original, name=name: _drawn(f"random.{name}", original, shared))
        yield Patch(module, name, lambda _, name=name: lambda *arguments: getattr(shared, name)(*arguments))
    yield Patch(module.Random, "seed", lambda original: _seeding(original, shared, module))


_PURE: dict[str, Callable[[Any], Iterator[Patch]]] = {
    "os": _os_patches,
    "random": _random_patches,
    "uuid": _uuid_patches,
    "hmac": _hmac_patches,
}


def _wrapped(function: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def read(*arguments: Any) -> Any:
        lane = LANE.get()
        if lane is None or lane.ambient is None:
            return original(*arguments)
        return _read(lane, function, original, arguments, arguments)

    return read


def _drawn(function: str, original: Callable[..., Any], shared: Any) -> Callable[..., Any]:
    """A drawing method: by value, unless the running session seeded the instance."""

    @wraps(original)
    def draw(self: Any, *arguments: Any) -> Any:
        lane = LANE.get()
        if lane is None or lane.ambient is None or (self is not shared and _follows_from_seed(self, lane)):
            return original(self, *arguments)
        return _read(lane, function, original, (self, *arguments), arguments)

    return draw


def _seeding(original: Callable[..., None], shared: Any, module: Any) -> Callable[..., None]:
    """Random.seed: in a run, "from the system" becomes a seed that the run records."""

    @wraps(original)
    def seed(self: Any, a: Any = None, version: int = 2) -> None:
        lane = LANE.get()
        if lane is None or lane.ambient is None:
            original(self, a, version)
            return
        original(self, int.from_bytes(module._urandom(32), "little") if a is None else a, version)
        if self is not shared:
            _seeded[self] = weakref.ref(lane.session)

    return seed


def _verification(original: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    @wraps(original)
    def compare_digest(a: Any, b: Any, /) -> bool:
        lane = LANE.get()
        reads = None if lane is None else lane.ambient
        if reads is None:
            return original(a, b)
        if type(reads) is list:
            equal = original(a, b)
            _append(reads, "hmac.compare_digest", sys._getframe(1), equal)
            return equal
        answer = reads("hmac.compare_digest", a, b)
        return original(a, b) if answer is NotImplemented else bool(answer)

    return compare_digest


def _follows_from_seed(instance: Any, lane: Lane) -> bool:
    session = _seeded.get(instance)
    return session is not None and session() is lane.session


def _read(
    lane: Lane, function: str, original: Callable[..., Any], arguments: tuple[Any, ...], told: tuple[Any, ...]
) -> Any:
    reads = lane.ambient
    if type(reads) is list:
        value = original(*arguments)
        _append(reads, function, _reading_frame(), value)
        return value
    value = reads(function, *told)
    return original(*arguments) if value is NotImplemented else value


def _append(reads: list[Any], function: str, frame: Any, value: Any) -> None:
    if len(reads) < ambient.MOST_READS_PER_LANE:
        reads.append((function, frame.f_code, frame.f_lasti, value))


def _reading_frame() -> Any:
    """The frame that the read is attributed to, as the C extension finds it."""
    nearest = frame = sys._getframe(3)
    for _ in range(_MOST_FRAMES_WALKED):
        if frame is None:
            break
        if not is_library(frame.f_code.co_filename):
            return frame
        frame = frame.f_back
    return nearest


boundary = Entropy()
