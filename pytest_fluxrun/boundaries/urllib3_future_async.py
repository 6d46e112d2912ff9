"""The asynchronous half of urllib3-future, under niquests.AsyncSession: refused by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Uncovered

__all__ = ["Urllib3FutureAsync", "boundary"]


class Urllib3FutureAsync(Uncovered):
    """Its connection pools."""

    name: ClassVar[str] = "urllib3-future's async pools (niquests.AsyncSession)"
    modules = ("urllib3_future._async.connectionpool", "urllib3._async.connectionpool")
    instead: ClassVar[str] = "use niquests.Session in a thread, or httpx.AsyncClient"

    def patches(self, module: Any) -> Iterable[Patch]:
        """`urlopen`, which every request goes through."""
        yield Patch(module.AsyncHTTPConnectionPool, "urlopen", self.refuse)


boundary = Urllib3FutureAsync()
