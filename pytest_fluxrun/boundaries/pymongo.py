"""pymongo, sync and async: refused by name at replay, and a run that asks MongoDB says that it isn't ready.

Every operation selects a server first; a client that is made connects at once, in threads of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pytest_fluxrun.boundary import Patch, Uncovered

__all__ = ["Pymongo", "boundary"]


class Pymongo(Uncovered):
    """`MongoClient` and `AsyncMongoClient`, and what is built upon them (mongoengine, beanie)."""

    name: ClassVar[str] = "pymongo"
    modules = ("pymongo.topology", "pymongo.synchronous.topology", "pymongo.asynchronous.topology")
    instead: ClassVar[str] = (
        "wrap the object that asks MongoDB with fluxrun.host, so that the run records what its methods return"
    )

    def patches(self, module: Any) -> Iterable[Patch]:
        """The selection of a server, and the start of the monitors. pymongo 4.9 has one module for each sort."""
        topology = getattr(module, "AsyncTopology", None) or module.Topology
        yield Patch(topology, "select_servers", self.refuse)
        yield Patch(topology, "open", self.refuse)


boundary = Pymongo()
