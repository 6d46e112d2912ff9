"""passlib: what a context or a hasher said of a redacted password is served at replay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundaries.passwords.verifying import verifying
from pytest_fluxrun.boundary import Patch, Seams

__all__ = ["boundary"]


class Passlib(Seams):
    """The seam in `passlib.context`, through which applications check; it would refuse a token as an unknown hash."""

    name: ClassVar[str] = "passlib"
    modules: ClassVar[tuple[str, ...]] = ("passlib.context",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """`CryptContext.verify`."""
        yield Patch(module.CryptContext, "verify", verifying("passlib.CryptContext.verify", operands=_operands))


def _operands(context: Any, secret: Any, hash: Any, *_: Any, **__: Any) -> tuple[Any, ...]:  # noqa: A002 - passlib's own
    del context
    return secret, hash


boundary = Passlib()
