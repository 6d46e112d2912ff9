"""Stores: where sealed bundles live. This module only gathers the names; transfer and object storage load on demand."""

from __future__ import annotations

from pytest_fluxrun.store.base import SUFFIX, Store, checked_name
from pytest_fluxrun.store.directory import DirectoryStore
from pytest_fluxrun.store.location import open_store
from pytest_fluxrun.store.memory import MemoryStore

__all__ = ["SUFFIX", "DirectoryStore", "MemoryStore", "Store", "checked_name", "open_store"]
