"""How often replays reached the outside, counted where it is: what the contract suites prove to be 0."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import pytest

__all__ = ["LIVE_HITS", "CountsLiveHits"]

LIVE_HITS = "fluxrun_live_hits"
"""The name of the property of a test's report that holds the count of each of its replays."""
_QUIET_S = 0.05


class _Counting(Protocol):
    def calls(self) -> int: ...


class CountsLiveHits:
    """A suite whose replays are counted; the reports of its tests hold the counts."""

    _node: pytest.Item | None = None

    @pytest.fixture(autouse=True)
    def _counting(self, request: pytest.FixtureRequest) -> None:
        """Where the counts go."""
        self._node = request.node

    @staticmethod
    def settle(outside: _Counting) -> None:
        """Wait until nobody has reached the outside for a moment: what a live run left running may just be doing so."""
        before = -1
        while outside.calls() != before:
            before = outside.calls()
            threading.Event().wait(_QUIET_S)

    @contextmanager
    def no_live_hit(self, outside: _Counting) -> Iterator[None]:
        """A replay, in which the outside's own counter doesn't move."""
        before = outside.calls()
        yield
        hits = outside.calls() - before
        if self._node is not None:  # else a suite that isn't collected itself
            self._node.user_properties.append((LIVE_HITS, hits))
        assert 0 == hits
