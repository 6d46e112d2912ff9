"""Runs as pytest items: a Directory of runs, a Module per run, one Function in it, so that other plugins work on them.

Nothing but names is read at collection.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any

import pytest

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.judgement.corpus import Placed, scan

__all__ = ["RunDirectory", "RunFile", "RunItem"]

_EMPTY_MODULE = types.ModuleType("fluxrun_runs")


def replay(fluxrun_app: Any) -> None:
    """What each item calls, for pytest's fixtures; RunItem does the work."""


class RunDirectory(pytest.Directory):
    """A directory of runs. Its mark `fluxrun` is that of every run in it."""

    fixture_info: Any = None

    def collect(self) -> Iterable[RunFile]:
        """One file per run, by name."""
        try:
            placed = scan(self.path)
        except FluxRunError as error:
            raise self.CollectError(str(error)) from None
        self.add_marker(pytest.mark.fluxrun)
        for each in placed:
            yield RunFile.from_parent(self, path=each.bundle, placed=each)


class RunFile(pytest.Module):
    """One run's file; it need not exist where only the guard does."""

    def __init__(self, *, placed: Placed, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.placed = placed

    def _getobj(self) -> types.ModuleType:
        return _EMPTY_MODULE

    def collect(self) -> Iterable[RunItem]:
        """The one item `replay`."""
        directory = self.parent
        assert isinstance(directory, RunDirectory)
        item = RunItem.from_parent(self, name="replay", callobj=replay, fixtureinfo=directory.fixture_info)
        directory.fixture_info = item._fixtureinfo  # noqa: SLF001 - found once for the whole directory
        item.placed = self.placed
        item.user_properties.append(("fluxrun.run_id", self.placed.run_id))
        return [item]


class RunItem(pytest.Function):
    """The replay of one run."""

    placed: Placed

    def setup(self) -> None:
        """Fixtures, then the bundle, then the app: what is wrong with them is an ERROR, not a failure."""
        super().setup()
        from pytest_fluxrun.plugin.replay import prepare

        prepare(self)

    def runtest(self) -> None:
        """Replay and judge."""
        from pytest_fluxrun.plugin.replay import run_item

        run_item(self)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """FluxRun's own errors as their text; anything else as pytest shows it."""
        from pytest_fluxrun.plugin.replay import ReplayFailed

        if isinstance(excinfo.value, ReplayFailed | FluxRunError):
            return str(excinfo.value)
        del style
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """The bundle's path and the run's name. There is a line, 0, since pytest needs one to report a skip."""
        return self.path, 0, self.placed.name
