"""In a job of GitHub Actions: red runs as annotations in the log, and a summary of the step."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_fluxrun.judgement.guard import GUARD_SUFFIX
from pytest_fluxrun.report.github import RedRun, annotation_lines, append, step_summary
from pytest_fluxrun.store import SUFFIX

if TYPE_CHECKING:
    from pytest_fluxrun.plugin.session import RunSession

__all__ = ["GitHub", "in_github"]


def in_github(environ: Mapping[str, str]) -> bool:
    """Whether this process is a step of GitHub Actions."""
    return environ.get("GITHUB_ACTIONS") == "true"


class GitHub:
    """One session's; on xdist's controller it sees every worker's reports.

    Args:
        session: whose runs are told.
    """

    def __init__(self, session: RunSession) -> None:
        self._session = session
        self._config = session.config
        self._red: dict[str, RedRun] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what wasn't green the last time that it ran."""
        properties = {name: str(value) for name, value in report.user_properties if name.startswith("fluxrun.")}
        if "fluxrun.run_id" not in properties:
            return
        if report.when == "setup":
            self._red.pop(report.nodeid, None)
        if report.failed:
            self._red[report.nodeid] = self._run(report, properties)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Write the annotations, and the step's summary."""
        red, gate = [self._red[nodeid] for nodeid in sorted(self._red)], self._session.gate.failure()
        for line in annotation_lines(red, gate):
            terminalreporter.write_line(line)
        path = os.environ.get("GITHUB_STEP_SUMMARY")
        if not path:
            return
        summary = self._session.summary
        notes = [line.removeprefix("fluxrun: ") for line in summary.lines()][1:]
        try:
            append(Path(path), step_summary(summary.verdicts, red, gate, notes))
        except OSError as error:
            terminalreporter.write_line(
                f"fluxrun: the step summary {path} can't be written: {error.strerror}", red=True
            )

    def _run(self, report: pytest.TestReport, properties: Mapping[str, str]) -> RedRun:
        bundle = report.nodeid.partition("::")[0]
        place, _, line = properties.get("fluxrun.entry_place", "").rpartition(":")
        guard = f"{bundle.removesuffix(SUFFIX)}{GUARD_SUFFIX}"
        beside = guard if (self._config.rootpath / guard).exists() else bundle
        return RedRun(
            name=bundle.rpartition("/")[2].removesuffix(SUFFIX),
            verdict=properties.get("fluxrun.verdict", "unready"),
            text=report.longreprtext.strip(),
            file=self._in_repository(place or beside),
            line=int(line or 1),
            rerun=f"pytest --fluxrun-dir={os.path.dirname(bundle) or '.'} {report.nodeid}",
        )

    def _in_repository(self, path: str) -> str:
        """A path from pytest's root directory, from the repository's root."""
        root = os.environ.get("GITHUB_WORKSPACE") or self._config.rootpath
        return Path(os.path.relpath(self._config.rootpath / path, root)).as_posix()
