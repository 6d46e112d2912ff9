"""pwdlib: what `PasswordHash.verify` said of a redacted password is served at replay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.passwords.verifying import verifying
from pytest_fluxrun.boundary import Patch, Seams

__all__ = ["boundary"]


class Pwdlib(Seams):
    """The seam in pwdlib; it would refuse a token as an unknown hash."""

    name: ClassVar[str] = "pwdlib"
    modules: ClassVar[tuple[str, ...]] = ("pwdlib",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """`PasswordHash.verify`, and `verify_and_update` where no new hash was due."""
        verify = verifying("pwdlib.PasswordHash.verify", operands=_operands)
        yield Patch(module.PasswordHash, "verify", verify)
        update = verifying(
            "pwdlib.PasswordHash.verify_and_update",
            operands=_operands,
            told=_told,
            shown=lambda right: (bool(right), None),
        )
        yield Patch(module.PasswordHash, "verify_and_update", update)


def _operands(hasher: Any, password: Any, hash: Any, *_: Any, **__: Any) -> tuple[Any, ...]:  # noqa: A002 - pwdlib's own
    del hasher
    return password, hash


def _told(result: Any) -> int | None:
    return int(result[0]) if isinstance(result, tuple) and result[1] is None else None


boundary = Pwdlib()
