"""Bundles in this process's memory, by store name: for development, tests, and hosts that hand runs on themselves.

Two stores opened under one name share their bundles until the process ends. Nothing is written anywhere.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

from pytest_fluxrun.store.base import Store

__all__ = ["MemoryStore"]

_CHUNK_BYTES = 1 << 18
_SHARED: dict[str, dict[str, bytes]] = {}
_LOCK = threading.Lock()


def _renew_lock() -> None:
    """Give a forked child its own lock: another thread may have held the parent's at the fork."""
    global _LOCK  # noqa: PLW0603 - it replaces exactly this global
    _LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class MemoryStore(Store):
    """The memory store called `name`. Closing one leaves its bundles to the others of that name."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._bundles = _SHARED.setdefault(name, {})

    @property
    def location(self) -> str:
        """`memory://<name>`."""
        return f"memory://{self.name}"

    def _create(self, name: str, data: bytes) -> bool:
        with _LOCK:
            if name in self._bundles:
                return False
            self._bundles[name] = bytes(data)
            return True

    def _read(self, name: str, offset: int) -> Iterator[bytes]:
        try:
            data = self._bundles[name]
        except KeyError:
            raise self._missing(name) from None
        for start in range(offset, len(data), _CHUNK_BYTES):
            yield data[start : start + _CHUNK_BYTES]

    def _size(self, name: str) -> int | None:
        data = self._bundles.get(name)
        return None if data is None else len(data)

    def _names(self, prefix: str) -> Iterator[str]:
        yield from sorted(name for name in tuple(self._bundles) if name.startswith(prefix))
