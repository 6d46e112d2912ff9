"""hmac, secrets and hashlib: what the app verifies against a secret that redaction replaced.

Without the C extension `compare_digest` reports each result to the lane here, as the extension does; recording appends
(function, code, instruction, result), a replay is asked with both operands and answers where one is a redaction token.
At a replay hashes tell the lane what they were made of: one made of a token isn't the recorded one.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from pytest_fluxrun.ambient import is_native
from pytest_fluxrun.boundary import DERIVATION, Patch, Seams
from pytest_fluxrun.context import current_lane

__all__ = ["boundary"]

FUNCTION: Final = "hmac.compare_digest"
_MOST_MATERIAL: Final = 64 * 1024
"""Bytes that a plain hash remembers of what went in; no secret is looked for beyond."""


class Verification(Seams):
    """`compare_digest` where the extension doesn't interpose it, and the functions that make what it compares."""

    name: ClassVar[str] = "verification"
    modules: ClassVar[tuple[str, ...]] = ("hmac", "secrets", "hashlib")

    def patches(self, module: Any) -> Iterable[Patch]:
        """Attributes of the module. A copy made by `from hmac import compare_digest` before `init` escapes."""
        if module.__name__ == "hashlib":
            yield Patch(module, "pbkdf2_hmac", functools.partial(_hashing, ("password", "salt"), 1))
            if hasattr(module, "scrypt"):  # depends on OpenSSL
                yield Patch(module, "scrypt", functools.partial(_hashing, ("password", "salt"), 0))
            return
        if not is_native():
            yield Patch(module, "compare_digest", _compare_digest)
        if module.__name__ == "hmac":
            yield Patch(module, "new", _new)
            yield Patch(module, "digest", functools.partial(_hashing, ("key", "msg"), 0))

    def replay_patches(self, module: Any) -> Iterable[Patch]:
        """The plain hashes, of which keys are made; `from hashlib import sha256` before the replay's start escapes."""
        if module.__name__ == "hashlib":
            yield Patch(module, "new", functools.partial(_hash, 1))
            for name in sorted(hashlib.algorithms_guaranteed & vars(module).keys()):
                if not isinstance(getattr(module, name), type):  # blake2 are classes, which programs may ask for
                    yield Patch(module, name, functools.partial(_hash, 0))


def _compare_digest(original: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    if hasattr(original, "__fluxrun__"):  # secrets holds what hmac held: already the replacement where hmac came first
        return original

    @functools.wraps(original)
    def compare_digest(a: Any, b: Any, /) -> bool:
        lane = current_lane()
        ambient = None if lane is None else lane.ambient
        if ambient is None:
            return original(a, b)
        if callable(ambient):
            served = ambient(FUNCTION, a, b)
            return original(a, b) if served is NotImplemented else bool(served)
        result = original(a, b)
        caller = sys._getframe(1)  # noqa: SLF001 - the only way to the calling code
        ambient.append((FUNCTION, caller.f_code, caller.f_lasti, result))
        return result

    compare_digest.__fluxrun__ = True  # type: ignore[attr-defined]  # see above
    return compare_digest


# -- what is made of a token -----------------------------------------------------------------------------------------


class _Traced(hmac.HMAC):
    """An HMAC of a replayed run, which remembers what went in."""

    __slots__ = ("material",)

    material: list[bytes]

    def update(self, msg: Any) -> None:
        """See `hmac.HMAC`."""
        super().update(msg)
        self.material.append(bytes(msg))

    def copy(self) -> _Traced:
        """See `hmac.HMAC`."""
        copied: _Traced = super().copy()  # type: ignore[assignment]  # it keeps the class
        copied.material = list(self.material)
        return copied

    def digest(self) -> bytes:
        """See `hmac.HMAC`."""
        return _told(self.material, super().digest())

    def hexdigest(self) -> str:
        """See `hmac.HMAC`."""
        return self.digest().hex()


def _new(original: Callable[..., hmac.HMAC]) -> Callable[..., hmac.HMAC]:
    @functools.wraps(original)
    def new(key: Any, msg: Any = None, digestmod: Any = "") -> hmac.HMAC:
        if not _replaying():
            return original(key, msg, digestmod)
        traced = _Traced(key, None, _plain(digestmod))
        traced.material = [bytes(key)]
        if msg is not None:
            traced.update(msg)
        return traced

    return new


class _TracedHash:
    """A hash of a replayed run, which remembers what went in."""

    __slots__ = ("_hash", "_material")

    def __init__(self, made: Any, material: bytes | bytearray | memoryview) -> None:
        self._hash = made
        self._material = bytearray(material)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hash, name)

    def update(self, data: Any, /) -> None:
        """See `hashlib`."""
        self._hash.update(data)
        self._material += memoryview(data).cast("B")[: _MOST_MATERIAL - len(self._material)]

    def copy(self) -> _TracedHash:
        """See `hashlib`."""
        return _TracedHash(self._hash.copy(), self._material)

    def digest(self, *length: int) -> bytes:
        """See `hashlib`."""
        return _told([bytes(self._material)], self._hash.digest(*length))

    def hexdigest(self, *length: int) -> str:
        """See `hashlib`."""
        return self.digest(*length).hex()


def _hash(position: int, original: Callable[..., Any]) -> Callable[..., Any]:
    """A function that makes a hash, with its first data at a position."""

    @functools.wraps(original)
    def make(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        if not _replaying():
            return made
        data = args[position] if len(args) > position else kwargs.get("string", kwargs.get("data", b""))
        return _TracedHash(made, memoryview(data).cast("B")[:_MOST_MATERIAL])

    make.__fluxrun__ = original  # type: ignore[attr-defined]  # see `_plain`
    return make


def _plain(digestmod: Any) -> Any:
    """The function of hashlib that a replacement stands for; hmac knows those, and takes a slower way with others."""
    return getattr(digestmod, "__fluxrun__", digestmod)


def _hashing(names: tuple[str, str], first: int, original: Callable[..., bytes]) -> Callable[..., bytes]:
    """A function whose result is made of two arguments, named, the first of them at a position."""

    @functools.wraps(original)
    def made_of(*args: Any, **kwargs: Any) -> bytes:
        made = original(*args, **kwargs)
        if not _replaying():
            return made
        positional = args[first : first + 2]
        material = [bytes(part) for part in (*positional, *(kwargs[name] for name in names if name in kwargs))]
        return _told(material, made)

    return made_of


def _replaying() -> bool:
    lane = current_lane()
    return lane is not None and lane.session.clock is not None and callable(lane.ambient)


def _told(material: list[bytes], made: bytes) -> bytes:
    """Tell the run what a digest was made of; gives the digest, or the recorded one in its place."""
    lane = current_lane()
    told = lane.ambient(DERIVATION, b"".join(material), made) if lane is not None and callable(lane.ambient) else made
    return made if told is NotImplemented else bytes(told)


boundary = Verification()
