"""motor: refused by name at replay, and a run that asks MongoDB through it says that it isn't ready."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Uncovered

__all__ = ["Motor", "boundary"]


class Motor(Uncovered):
    """`motor.motor_asyncio` and `motor.motor_tornado`."""

    name: ClassVar[str] = "motor"
    modules = ("motor.frameworks.asyncio", "motor.frameworks.tornado")
    instead: ClassVar[str] = (
        "wrap the object that asks MongoDB with fluxrun.host, so that the run records what its methods return"
    )

    def patches(self, module: Any) -> Iterable[Patch]:
        """The one way to pymongo's threads."""
        yield Patch(module, "run_on_executor", self.refuse)


boundary = Motor()
