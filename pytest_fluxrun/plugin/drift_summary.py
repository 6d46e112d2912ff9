"""What the summary says of guards that grow old: runs beyond `fluxrun_max_age`, and allow rules that nothing needs."""

from __future__ import annotations

from typing import Any

import pytest

__all__ = ["DriftSummary"]

_MOST_NAMED = 20


class DriftSummary:
    """One session's; on the xdist controller it sees every worker's reports."""

    def __init__(self) -> None:
        self._aged: dict[str, str] = {}
        self._unused: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what the replay of a run said."""
        properties = dict(report.user_properties)
        if report.when != "call" or "fluxrun.run_id" not in properties:
            return
        run = f"{properties.get('fluxrun.entry')} {str(properties['fluxrun.run_id'])[:10]}"
        for name, kept in (("fluxrun.aged", self._aged), ("fluxrun.unused_rules", self._unused)):
            if name in properties:
                kept[run] = str(properties[name])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """One line a run, at most `_MOST_NAMED` of each sort."""
        for title, kept in (
            ("runs older than fluxrun_max_age: record them anew", self._aged),
            ("allow rules that nothing needs: delete them from the guard", self._unused),
        ):
            if kept:
                terminalreporter.write_line(f"fluxrun: {title}")
            for run, text in list(kept.items())[:_MOST_NAMED]:
                terminalreporter.write_line(f"  {run}: {text}")
            if len(kept) > _MOST_NAMED:
                terminalreporter.write_line(f"  … and {len(kept) - _MOST_NAMED} more")
