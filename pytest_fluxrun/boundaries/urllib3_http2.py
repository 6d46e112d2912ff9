"""urllib3's experimental HTTP/2 connections, which `urllib3.http2.inject_into_urllib3` turns on: refused by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Uncovered

__all__ = ["Urllib3Http2", "boundary"]


class Urllib3Http2(Uncovered):
    """HTTP2Connection. Its requests don't go through http.client."""

    name: ClassVar[str] = "urllib3.http2"
    modules = ("urllib3.http2.connection",)
    instead: ClassVar[str] = "don't call urllib3.http2.inject_into_urllib3, so that requests go over HTTP/1.1"

    def patches(self, module: Any) -> Iterable[Patch]:
        """`connect`, before anything is sent; urllib3-future has a module of this name and no such class."""
        connection = getattr(module, "HTTP2Connection", None)
        if connection is not None and connection.__mro__[1].__module__ == "urllib3.connection":
            yield Patch(connection, "connect", self.refuse)
            yield Patch(connection, "putrequest", self.refuse)


boundary = Urllib3Http2()
