"""Runs as pytest items: a Directory of runs, a Module per run, one Function in it, so that other plugins work on them.

Nothing but names is read at collection.
"""

from __future__ import annotations

import os
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.judgement.corpus import Placed, scan

__all__ = ["ReplayFailed", "RunDirectory", "RunFile", "RunItem"]

_EMPTY_MODULE = types.ModuleType("fluxrun_runs")


def replay(fluxrun_app: Any) -> None:
    """What each item calls, for pytest's fixtures; RunItem does the work."""


class RunDirectory(pytest.Directory):
    """A directory of runs. Its mark `fluxrun` is that of every run in it."""

    fixture_info: Any = None

    def collect(self) -> Iterable[RunFile]:
        """One file per run, by name; where node ids pick runs, only those: the rest of ten thousand isn't touched."""
        try:
            placed = scan(self.path, only=self._picked())
        except FluxRunError as error:
            raise self.CollectError(str(error)) from None
        self.add_marker(pytest.mark.fluxrun)
        for each in placed:
            bundle = each.bundle
            yield RunFile.from_parent(self, path=bundle, name=bundle.name, placed=each)

    def _picked(self) -> list[str]:
        """File names that the command line picks; none where it names this directory or one above."""
        if any(self.session.isinitpath(path) for path in (self.path, *self.path.parents)):
            return []
        base = self.config.invocation_params.dir
        given = (Path(os.path.abspath(base / argument.partition("::")[0])) for argument in self.config.args)
        return [path.name for path in given if path.parent == self.path]


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


class ReplayFailed(Exception):
    """A verdict other than a pass, as the text to show."""


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

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any, **__: Any) -> Any:
        """FluxRun's own errors as their text. No traceback is made of them: it would show FluxRun's lines alone.

        CPython 3.11 can fail while it makes one, where a finaliser of the app's logs another (SystemError from `ast`).
        """
        if isinstance(excinfo.value, FluxRunError | ReplayFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """The bundle's path and the run's name. There is a line, 0, since pytest needs one to report a skip."""
        return self.path, 0, self.placed.name
