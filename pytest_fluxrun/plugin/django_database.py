"""Django's databases in a pytest session with runs: open for replays, which answer the queries, and no other.

pytest-django blocks database access outside of tests that ask for it, and leaves connections open between tests.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import pytest

__all__ = ["database_open"]


@contextmanager
def database_open(config: pytest.Config) -> Iterator[None]:
    """Lift pytest-django's block for a replay, and keep its connections and those of tests apart."""
    if "django.db" not in sys.modules or not sys.modules["django.conf"].settings.configured:
        yield
        return
    with _unblocked(config), _own_connections():
        yield


def _unblocked(config: pytest.Config) -> AbstractContextManager[Any]:
    plugin: Any = sys.modules.get("pytest_django.plugin")
    blocker = None if plugin is None else config.stash.get(plugin.blocking_manager_key, None)
    unblocked: AbstractContextManager[Any] = nullcontext() if blocker is None else blocker.unblock()
    return unblocked


@contextmanager
def _own_connections() -> Iterator[None]:
    """No connection of this thread reaches the replay, and none that the replay opens outlives it."""
    from django.db import connections

    theirs = connections.all(initialized_only=True)
    for connection in theirs:
        del connections[connection.alias]
    try:
        yield
    finally:
        for connection in connections.all(initialized_only=True):
            if connection.connection is not None:
                with suppress(Exception):  # a driver's own error while it closes what nobody uses any more
                    connection.connection.close()
            del connections[connection.alias]
        for connection in theirs:
            connections[connection.alias] = connection
