"""The hooks that FluxRun calls, for conftest.py and other plugins. See docs/reference/hooks.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_fluxrun.config import Settings
    from pytest_fluxrun.judgement.comparison import OutcomeDifference
    from pytest_fluxrun.judgement.corpus import Placed
    from pytest_fluxrun.judgement.verdict import Judgement
    from pytest_fluxrun.run import Run


@pytest.hookspec(firstresult=True)
def pytest_fluxrun_configure(config: pytest.Config, settings: Settings) -> Settings | None:
    """Other settings for this session, or None; once per process, before anything is collected."""


@pytest.hookspec(firstresult=True)
def pytest_fluxrun_collect_run(config: pytest.Config, placed: Placed) -> bool | None:
    """Whether a run becomes an item; False deselects it, and what the gate requires is required all the same."""


@pytest.hookspec(firstresult=True)
def pytest_fluxrun_resolve_entry(config: pytest.Config, entry: str) -> Any:
    """The app or function for an entry that nothing has registered yet, to be replayed on; or None."""


@pytest.hookspec(firstresult=True)
def pytest_fluxrun_canonicalise(
    config: pytest.Config, run: Run, outcome: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """An outcome in the form in which it is compared, or None; called for the recorded one and for the replay's."""


@pytest.hookspec(firstresult=True)
def pytest_fluxrun_compare(config: pytest.Config, run: Run, difference: OutcomeDifference) -> bool | None:
    """Whether two values that differ count as equal: True, else None."""


@pytest.hookspec
def pytest_fluxrun_verdict(config: pytest.Config, run: Run, judgement: Judgement) -> str | None:
    """Why a run that passed fails after all, or None. Nothing makes a run that failed pass."""


@pytest.hookspec
def pytest_fluxrun_report_sections(  # type: ignore[empty-body]
    config: pytest.Config, run: Run, judgement: Judgement
) -> Iterable[tuple[str, str]]:
    """Titles and texts to show with a run's result, after pytest's own sections."""
