"""The psycopg boundary against a real PostgreSQL, by the contract suite and for what is its own."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, ClassVar

import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import psycopg as psycopg_boundary
from pytest_fluxrun.boundaries import threading
from pytest_fluxrun.testing.boundary import BoundaryContract
from tests.boundaries import psycopg_async_behaviours as abehaviours
from tests.boundaries import psycopg_behaviours as behaviours
from tests.boundaries import psycopg_type_behaviours as types
from tests.boundaries.psycopg_async_behaviours import aconnected
from tests.boundaries.psycopg_behaviours import connected
from tests.boundaries.psycopg_outside import Postgres


class PsycopgContract(BoundaryContract):
    """What the suites of psycopg share: also the seams of a process that replays."""

    boundary = psycopg_boundary.boundary
    carriers = (threading.boundary,)

    def install(self) -> None:
        """Both sorts of seams."""
        super().install()
        for name in self.boundary.modules:
            patching.install(self.boundary.replay_patches(import_module(name)))

    @pytest.fixture
    def outside(self, psycopg_schema: Any) -> Iterator[Any]:
        """A PostgreSQL behind a port of its own."""
        outside = Postgres(psycopg_schema)
        yield outside
        outside.close()


class TestPsycopg(PsycopgContract):
    """Sync connections keep the contract."""

    subject = "psycopg"
    library = "psycopg"
    exercises: ClassVar = {
        **{
            name: connected(getattr(behaviours, name))
            for name in (
                "select", "row_factories", "fetches", "insert", "named", "multiple", "many", "many_fails", "prepared",
                "prepared_fails", "client_cursor", "raw_cursor", "composed", "transactions", "rolled_back",
                "autocommit", "explicit", "isolation", "violations", "aborted", "timed_out", "notices", "notifications",
                "notify_handler", "server_cursor", "server_cursor_iterated", "server_cursor_binary", "stream",
                "stream_fails", "copy_out", "copy_in", "copy_fails", "pipeline", "pipeline_fails", "information",
                "closed", "misused", "lost", "empty", "large",
            )
        },
        **{
            name: connected(getattr(types, name))
            for name in (
                "types", "parameters", "mutated", "binary", "enums", "composites", "hstore", "adapters", "infinities",
                "settings",
            )
        },
        "with_block": behaviours.with_block,
        "serialization": behaviours.serialization,
        "locked": behaviours.locked,
        "deadlocked": behaviours.deadlocked,
    }  # fmt: skip
    local = frozenset({"information"})


class TestAsyncPsycopg(PsycopgContract):
    """Async connections keep the contract."""

    subject = "psycopg (async)"
    library = "psycopg"
    exercises: ClassVar = {
        **{
            name: aconnected(getattr(abehaviours, name))
            for name in (
                "select", "rows", "insert", "transactions", "rolled_back", "error", "many", "prepared", "pipeline",
                "server_cursor", "stream", "copies", "notifications", "cancelled", "enums", "notices", "lost", "closed",
            )
        },
        "concurrent": abehaviours.concurrent,
        "apool": abehaviours.apool,
    }  # fmt: skip
