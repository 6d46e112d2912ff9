"""The memory store: the contract, and what a shared name means."""

from __future__ import annotations

import uuid

import pytest

from pytest_fluxrun.store import MemoryStore, open_store
from pytest_fluxrun.testing.store import StoreContract, example_name


class TestMemoryStore(StoreContract):
    """The contract, each test on a name of its own."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        """Return an empty store."""
        return MemoryStore(uuid.uuid4().hex)


def test_stores_of_one_name_share_their_bundles() -> None:
    """Also after one of them was closed."""
    name = uuid.uuid4().hex
    with MemoryStore(name) as first:
        first.put(example_name(1), b"x")
    assert open_store(f"memory://{name}").read(example_name(1)) == b"x"
    assert list(MemoryStore(f"{name}-other").names()) == []
