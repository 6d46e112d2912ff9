"""`--fluxrun-report`: gathers what each run's item showed, also from xdist's workers, and writes the files at the end.

A run's part travels as one attribute of its item's report, which xdist serialises: JUnit and others don't see it.
"""

from __future__ import annotations

import inspect
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_fluxrun.entry import registered_entry
from pytest_fluxrun.errors import EntryNotFound, FluxRunError
from pytest_fluxrun.execution.confirmation import Confirmation, is_confirming
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.judgement.guard import Guard, read_guard
from pytest_fluxrun.judgement.verdict import Judgement
from pytest_fluxrun.plugin.collection import RunItem
from pytest_fluxrun.report.described import legible
from pytest_fluxrun.report.document import (
    Place,
    Report,
    ReportedConfirmation,
    ReportedRun,
    ReportedSession,
    to_json,
    write_atomically,
)
from pytest_fluxrun.report.html import to_html
from pytest_fluxrun.report.judged import guard_part, judged_part, opened_part, problem_of
from pytest_fluxrun.report.sarif import to_sarif
from pytest_fluxrun.run import Run
from pytest_fluxrun.store import SUFFIX

if TYPE_CHECKING:
    from pytest_fluxrun.plugin.session import RunSession

__all__ = ["Reporting"]

_ATTRIBUTE: Final = "fluxrun_report_part"
_PART: pytest.StashKey[dict[str, Any]] = pytest.StashKey()
_ID_LENGTH: Final = 26
_ENDED: Final = frozenset({pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED})
_FORMATS: Final[dict[str, Callable[[Report], bytes]]] = {".html": to_html, ".json": to_json, ".sarif": to_sarif}


@dataclass(slots=True)
class _Seen:
    """What the reports of one item have said so far."""

    part: dict[str, Any] = field(default_factory=dict)
    outcome: str = "passed"
    duration_s: float = 0.0

    def add(self, report: pytest.TestReport) -> None:
        if report.when in ("setup", "call"):
            self.duration_s += report.duration
        part = getattr(report, _ATTRIBUTE, None)
        if part is not None:
            self.part |= json.loads(part)
        self.outcome = self._with(report)

    def _with(self, report: pytest.TestReport) -> str:
        if report.skipped:
            return "xfailed" if hasattr(report, "wasxfail") else "skipped"
        if not report.failed:
            return self.outcome
        unready = ("fluxrun.verdict", "unready") in report.user_properties
        return "failed" if report.when == "call" and not unready else "error"


class Reporting:
    """One session's reports.

    Args:
        session: whose runs are reported.
        paths: of the files; their suffixes say in which form.
        values: whether they hold what was recorded and computed.
    """

    def __init__(self, session: RunSession, paths: tuple[Path, ...], *, values: bool) -> None:
        self.values = values
        self._session = session
        self._config = session.config
        self._paths = paths
        self._seen: dict[str, _Seen] = {}
        self._collected: dict[str, None] = {}
        self._collection_failed = False
        self._began_s = time.time()
        self._problem = ""

    @classmethod
    def register(cls, session: RunSession) -> None:
        """Register the plugin for a session whose options ask for reports; not where a replay is only confirmed.

        Raises:
            pytest.UsageError: a file's form isn't known.
        """
        config = session.config
        if is_confirming():
            return
        paths = dict.fromkeys(
            Path(os.path.normpath(config.invocation_params.dir / name)) for name in config.getoption("fluxrun_report")
        )
        for path in paths:
            if path.suffix.lower() not in _FORMATS:
                raise pytest.UsageError(
                    f"--fluxrun-report={path.name} can't be written: its suffix names no form of report\n"
                    f"  next:    name a file that ends in {', '.join(_FORMATS)}"
                )
        reporting = cls(session, tuple(paths), values=config.getoption("fluxrun_report_values"))
        config.pluginmanager.register(reporting, "fluxrun-report")

    # -- where items run ----------------------------------------------------------------------------------------------

    def keep_opened(self, item: RunItem, run: Run, guard: Guard | None) -> None:
        """Keep what a run says of itself, until its item's report is made."""
        item.stash[_PART] = {**opened_part(run), **self._placed(item, guard)}

    def keep_judged(self, item: RunItem, run: Run, evidence: Evidence, judgement: Judgement, *, rerun: str) -> None:
        """Keep what a run's replay showed.

        Args:
            rerun: the command that runs this one item again.
        """
        part = item.stash[_PART]
        part |= judged_part(run, evidence, judgement, values=self.values)
        part |= {"entry_place": entry_place(run, self._config.rootpath), "rerun": rerun}

    def keep_confirmation(self, item: RunItem, said: Confirmation) -> None:
        """Keep what a clean process said."""
        shown = ReportedConfirmation(how=said.how, verdict=said.verdict, same=said.same)
        item.stash[_PART]["confirmation"] = shown

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Hand the run's part on with the report that ends its item."""
        report = yield
        if isinstance(item, RunItem) and (report.when == "call" or not report.passed):
            part = item.stash.get(_PART, None) or self._unopened(item)
            if call.excinfo is not None and not report.skipped:
                part |= self._failed(item, call.excinfo.value, str(report.longrepr))
            if ("fluxrun.verdict", "locked") in item.user_properties:
                part["verdict"] = "locked"
            setattr(report, _ATTRIBUTE, json.dumps(part, default=lambda model: model.model_dump(mode="json")))
            item.stash[_PART] = {}
        return report

    def _unopened(self, item: RunItem) -> dict[str, Any]:
        """Of a run that couldn't be opened, what lies beside it."""
        guard = None
        with suppress(FluxRunError):  # it is why the run is unready, and the item's own error says so
            guard = None if item.placed.guard is None else read_guard(item.placed.guard)
        return self._placed(item, guard)

    def _placed(self, item: RunItem, guard: Guard | None) -> dict[str, Any]:
        path = item.placed.guard
        return {
            "run_id": item.placed.run_id,
            "bundle": self._relative(item.placed.bundle),
            "guard": None if guard is None or path is None else guard_part(guard, self._relative(path)),
        }

    def _failed(self, item: RunItem, error: BaseException, text: str) -> dict[str, Any]:
        shown = {"text": legible(text)} if self.values else {}
        if isinstance(error, FluxRunError):
            from pytest_fluxrun.plugin.replay import reason_of

            problem = problem_of(error, values=self.values)
            return {**shown, "verdict": "unready", "reason": reason_of(error), "problem": problem}
        if dict(item.user_properties).get("fluxrun.verdict"):
            return shown
        return {
            **shown,
            "reason": "error",
            "problem": f"{type(error).__name__} outside of the replay: in a fixture, a hook",
        }

    def _relative(self, path: Path) -> str:
        return Path(os.path.relpath(path, self._config.rootpath)).as_posix()

    # -- where reports are gathered -----------------------------------------------------------------------------------

    def pytest_sessionstart(self) -> None:
        """Write reports that say that the session hasn't ended: no earlier one is taken for this session's.

        Raises:
            pytest.UsageError: a file can't be written there.
        """
        if hasattr(self._config, "workerinput"):
            return
        try:
            self._write(self._report(0, "the session has not ended"))
        except OSError as error:
            raise pytest.UsageError(
                f"the report {error.filename!r} can't be written: {error.strerror}\n"
                "  next:    name a file in a directory that can be written"
            ) from None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note that a part of the runs may be missing."""
        self._collection_failed |= report.failed

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """The runs that are to be replayed here."""
        self._collected |= dict.fromkeys(item.nodeid for item in session.items if isinstance(item, RunItem))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """The runs that a worker of xdist has collected; all have the same."""
        self._collected |= dict.fromkeys(filter(_is_run, ids))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather; on xdist's controller this sees every worker's reports, and those of crashes."""
        if not _is_run(report.nodeid):
            return
        if report.when == "setup":
            self._seen.pop(report.nodeid, None)  # a plugin runs the item again
        self._seen.setdefault(report.nodeid, _Seen()).add(report)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """Write the files, once the gate has spoken and before the summary is shown."""
        yield
        if hasattr(self._config, "workerinput"):
            return
        try:
            self._write(self._report(int(session.exitstatus), self._incomplete(session)))
        except OSError as error:
            self._problem = f"fluxrun: the report {error.filename!r} can't be written: {error.strerror}"
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Where the reports are."""
        if self._problem:
            terminalreporter.write_line(self._problem, red=True)
            return
        for path in self._paths:
            terminalreporter.write_line(f"fluxrun: report {os.path.relpath(path, self._config.invocation_params.dir)}")

    def _write(self, report: Report) -> None:
        for path in self._paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, _FORMATS[path.suffix.lower()](report))

    def _incomplete(self, session: pytest.Session) -> str:
        """Why the report doesn't tell all, or ""."""
        left = len(self._collected.keys() - self._seen.keys())
        why = ""
        if session.exitstatus not in _ENDED:
            why = f"the session ended with {pytest.ExitCode(session.exitstatus).name.replace('_', ' ').lower()}"
        elif session.shouldstop or session.shouldfail:
            why = str(session.shouldstop or session.shouldfail)
        elif self._collection_failed:
            why = "collection failed"
        elif left:
            why = "collected only" if self._config.option.collectonly else "not every run came to its end"
        return f"{why}; {left} collected runs have no result" if why and left else why

    def _report(self, exit_status: int, incomplete: str) -> Report:
        session = self._session
        runs = tuple(sorted(self._runs(), key=lambda run: run.nodeid))
        return Report(
            project=session.settings.project,
            session=ReportedSession(
                started_at_utc=datetime.fromtimestamp(self._began_s, UTC).isoformat(timespec="milliseconds"),
                duration_s=round(time.time() - self._began_s, 3),
                exit_status=exit_status,
                complete=not incomplete,
                incomplete_because=incomplete,
                narrowed=session.gate.narrowed,
                collected=len(self._collected),
                required=session.gate.required.number,
                required_runs=session.gate.required_runs,
                gate=session.gate.failure() if not incomplete else "",
                directories=tuple(map(self._relative, session.directories)),
                versions={
                    "python": platform.python_version(),
                    "pytest": pytest.__version__,
                    "pytest-fluxrun": version("pytest-fluxrun"),
                },
                verdicts=_counts(run.verdict for run in runs),
                outcomes=_counts(run.outcome for run in runs),
                values=self.values,
            ),
            runs=runs,
        )

    def _runs(self) -> Iterator[ReportedRun]:
        for nodeid in self._collected.keys() | self._seen.keys():
            seen = self._seen.get(nodeid)
            bundle = nodeid.partition("::")[0]
            name = bundle.rpartition("/")[2].removesuffix(SUFFIX)
            known: dict[str, Any] = {
                "run_id": name[-_ID_LENGTH:],
                "name": name,
                "entry": name[: -_ID_LENGTH - 1],
                "nodeid": nodeid,
                "bundle": bundle,
                "verdict": "",
                "outcome": "not-run" if seen is None else seen.outcome,
                "duration_s": 0.0 if seen is None else round(seen.duration_s, 6),
            }
            if seen is not None and not seen.part and seen.outcome == "error":
                known |= {"reason": "crashed", "problem": "its process ended before it said anything of the run"}
            yield ReportedRun.model_validate(known | (seen.part if seen is not None else {}))


def _is_run(nodeid: str) -> bool:
    return nodeid.partition("::")[0].endswith(SUFFIX)


def _counts(names: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(filter(None, names)).items()))


def entry_place(run: Run, root: Path) -> Place | None:
    """Where the entry's function is defined, if it is one and lies in the project."""
    try:
        target = inspect.unwrap(registered_entry(run.entry, run.entry_kind).target)
    except (EntryNotFound, ValueError):
        return None
    code = getattr(target, "__code__", None)
    if code is None or not Path(code.co_filename).is_relative_to(root):
        return None
    return Place(path=Path(code.co_filename).relative_to(root).as_posix(), line=code.co_firstlineno)
