"""bcrypt: what `checkpw` said of a redacted password is served at replay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.passwords.verifying import verifying
from pytest_fluxrun.boundary import Patch, Seams

__all__ = ["boundary"]


class Bcrypt(Seams):
    """The seam in bcrypt; a copy made by `from` before `init` escapes."""

    name: ClassVar[str] = "bcrypt"
    modules: ClassVar[tuple[str, ...]] = ("bcrypt",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """`checkpw`."""
        yield Patch(module, "checkpw", verifying("bcrypt.checkpw", operands=_operands))


def _operands(password: Any, hashed_password: Any) -> tuple[Any, ...]:
    return password, hashed_password


boundary = Bcrypt()
