"""tornado's HTTP clients, the simple one and that over curl: refused by name. Its servers are another matter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Uncovered

__all__ = ["TornadoClient", "boundary"]


class TornadoClient(Uncovered):
    """AsyncHTTPClient and, above it, HTTPClient."""

    name: ClassVar[str] = "tornado.httpclient"
    modules = ("tornado.httpclient",)
    instead: ClassVar[str] = "use httpx or aiohttp, or call the client through an object wrapped with fluxrun.host"

    def patches(self, module: Any) -> Iterable[Patch]:
        """`fetch`, which every client of tornado shares."""
        yield Patch(module.AsyncHTTPClient, "fetch", self.refuse)


boundary = TornadoClient()
