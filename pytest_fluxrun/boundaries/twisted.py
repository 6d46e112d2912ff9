"""twisted's web client, and with it treq: refused by name. Twisted's servers are another matter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Uncovered

__all__ = ["TwistedClient", "boundary"]


class TwistedClient(Uncovered):
    """Its agents; treq's calls go through them."""

    name: ClassVar[str] = "twisted.web.client"
    modules = ("twisted.web.client",)
    instead: ClassVar[str] = "use httpx or aiohttp, or call the agent through an object wrapped with fluxrun.host"

    def patches(self, module: Any) -> Iterable[Patch]:
        """The step in which every agent makes its request."""
        yield Patch(module._AgentBase, "_requestWithEndpoint", self.refuse)  # noqa: SLF001 - agents share no public one


boundary = TwistedClient()
