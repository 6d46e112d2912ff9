"""`--fluxrun-pull`: fetch what the guards pin before collection. A pinned run that isn't had stops the session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_fluxrun.bundle import read_trust, verify
from pytest_fluxrun.config import Settings
from pytest_fluxrun.errors import RunNotFound, SettingsError
from pytest_fluxrun.judgement.corpus import scan
from pytest_fluxrun.judgement.guard import read_guard
from pytest_fluxrun.store import open_store
from pytest_fluxrun.store.transfer import Pin, pull

__all__ = ["pull_pinned"]


def pull_pinned(directories: Sequence[Path], settings: Settings, root: Path) -> None:
    """Fetch each guard's bundle that isn't there yet, checked by digest and signature before it appears.

    Raises:
        SettingsError: no store is set.
        RunNotFound: the store lacks a pinned run; the first failure is quoted.
        StoreError: the store can't be reached.
    """
    if not settings.store:
        raise SettingsError(
            "--fluxrun-pull has nowhere to pull from",
            why="no store is set",
            next_step="set FLUXRUN_STORE or `store` in [tool.fluxrun]",
        )
    trust = read_trust(root / settings.trust_file)

    def check(name: str, data: bytes) -> None:
        verify(data, trust, source=name)

    for directory in directories:
        guards = [placed for placed in scan(directory) if placed.guard is not None]
        pins = [Pin(placed.name, read_guard(placed.guard).sha256) for placed in guards if placed.guard is not None]
        with open_store(settings.store) as store:
            report = pull(pins, store, directory, check=check)
        for failure in report.failed:
            raise RunNotFound(
                f"the pinned run {failure.name} could not be pulled from {store.location}",
                why=failure.error.why or failure.error.what,
                next_step="push it from where it is with `fluxrun push`, or remove its guard",
            ) from failure.error
