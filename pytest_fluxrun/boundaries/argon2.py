"""argon2-cffi: what `PasswordHasher.verify` said of a redacted password, a mismatch included, is served at replay."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.passwords.verifying import verifying
from pytest_fluxrun.boundary import Patch, Seams

__all__ = ["boundary"]


class Argon2(Seams):
    """The seam in argon2's high-level interface, which raises where others return False."""

    name: ClassVar[str] = "argon2"
    modules: ClassVar[tuple[str, ...]] = ("argon2",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """`PasswordHasher.verify`."""
        wrap = verifying("argon2.PasswordHasher.verify", operands=_operands, told=_told, shown=_shown)
        yield Patch(module.PasswordHasher, "verify", wrap)


def _operands(hasher: Any, hash: Any, password: Any) -> tuple[Any, ...]:  # noqa: A002 - argon2's own name
    del hasher
    return hash, password


def _told(result: Any) -> int | None:
    if isinstance(result, bool):
        return result
    return 0 if isinstance(result, import_module("argon2.exceptions").VerificationError) else None


def _shown(number: int) -> bool:
    if not number:
        error: Exception = import_module("argon2.exceptions").VerifyMismatchError(
            "The password does not match the supplied hash"
        )
        raise error
    return True


boundary = Argon2()
