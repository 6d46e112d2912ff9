"""pytest's --pdb and --trace in a replay: where they stop, and the fence around what is typed there."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import TracebackType

import pytest

from pytest_fluxrun.entry import observing_raised
from pytest_fluxrun.fence import Fence
from pytest_fluxrun.plugin.collection import RunItem

__all__ = ["Debugging", "raised_by_the_app", "stop_before"]


class Debugging:
    """Registered where `--pdb` is given. `keep`: the test run's own sockets."""

    def __init__(self, keep: frozenset[int]) -> None:
        self._keep = keep

    @pytest.hookimpl(wrapper=True)
    def pytest_exception_interact(self, node: pytest.Item | pytest.Collector) -> Generator[None, object, object]:
        """Fence the prompt after a run's failure: no expression typed there goes live."""
        if not isinstance(node, RunItem):
            return (yield)
        with Fence(keep=self._keep):
            return (yield)


@contextmanager
def raised_by_the_app(config: pytest.Config) -> Iterator[list[TracebackType | None]]:
    """In the block, collects the tracebacks of what the app raised out of its entry; nothing without `--pdb`."""
    tracebacks: list[TracebackType | None] = []
    if not config.getoption("usepdb", False):
        yield tracebacks
        return
    with observing_raised(lambda error: tracebacks.append(error.__traceback__)):
        yield tracebacks


def stop_before(config: pytest.Config) -> None:
    """With `--trace`, stop: the next step drives the run. Breakpoints in the app's code may be set here."""
    if config.getoption("trace", False):
        pytest.set_trace()
