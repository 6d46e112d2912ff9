"""One pytest session with runs in it: which directories, the stage, the gate, the header and the summary."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_fluxrun import registry
from pytest_fluxrun.config import Settings, load_settings, use_settings
from pytest_fluxrun.errors import FluxRunError, SettingsError
from pytest_fluxrun.fence import baseline
from pytest_fluxrun.judgement.corpus import Keyring, keyring_for, opened
from pytest_fluxrun.judgement.drift_rules import DriftPolicy, with_age
from pytest_fluxrun.plugin.collection import ReplayFailed, RunDirectory, RunItem
from pytest_fluxrun.plugin.confirmation import Confirmer
from pytest_fluxrun.plugin.django_database import database_open

if TYPE_CHECKING:
    from pytest_fluxrun.execution.stage import Shown
    from pytest_fluxrun.execution.stages import Stages
    from pytest_fluxrun.run import Run

__all__ = ["RunSession", "session_of"]

_INI_SETTINGS = ("timeout_s", "on_unplayed", "max_age")
_SHORTEST_ID = 6
_NOT_REPLAYED = frozenset({"locked", "skipped", "unready"})
SESSION_KEY: pytest.StashKey[RunSession] = pytest.StashKey()


@dataclass(slots=True, eq=False)
class RunSession:
    """The plugin proper; one per pytest process that was asked for runs."""

    config: pytest.Config
    settings: Settings
    directories: tuple[Path, ...]
    required: int
    required_runs: tuple[str, ...]
    verdicts: Counter[str] = field(default_factory=Counter)
    seen: set[str] = field(default_factory=set)
    keep: frozenset[int] = field(default_factory=baseline)
    confirmer: Confirmer = field(init=False)
    start_ups: set[str] = field(default_factory=set)
    _stages: Stages | None = None
    _keyring: Keyring | None = None

    def __post_init__(self) -> None:
        self.confirmer = Confirmer(self)

    @classmethod
    def for_config(cls, config: pytest.Config) -> RunSession:
        """Read settings and directories, and point pytest's arguments at the runs.

        Raises:
            pytest.UsageError: a setting can't be used, or a directory isn't there.
        """
        try:
            given = {name: config.getini(f"fluxrun_{name}") or None for name in _INI_SETTINGS}
            settings = load_settings(given, environ=os.environ, start_dir=config.rootpath)
            use_settings(settings)
            directories = _directories(config)
            if config.getoption("fluxrun_pull") and not hasattr(config, "workerinput"):
                from pytest_fluxrun.plugin.pull import pull_pinned

                pull_pinned(directories, settings, config.rootpath)
            for directory in directories:
                opened(directory).close()
            number, runs = _required(config, settings)
        except FluxRunError as error:
            raise pytest.UsageError(str(error)) from None
        registry.install_replay_seams()
        session = cls(config, settings, directories, number, runs)
        config.stash[SESSION_KEY] = session
        _aim(config, directories)
        return session

    @property
    def policy(self) -> DriftPolicy:
        """Which drift fails where a guard says nothing."""
        settings, strict = self.settings, bool(self.config.getoption("fluxrun_strict"))
        return DriftPolicy.of(on_unplayed=settings.on_unplayed, max_age=settings.max_age, strict=strict)

    @property
    def stages(self) -> Stages:
        """The session's stages, made when the first run is replayed."""
        if self._stages is None:
            from pytest_fluxrun.execution.stage import Stage
            from pytest_fluxrun.execution.stages import Stages

            self._stages = Stages(
                lambda imported: Stage(
                    self.settings.modules,
                    root=self.config.rootpath,
                    timeout_s=self.settings.timeout_s,
                    keep=self.keep,
                    allow_write=self.settings.allow_write,
                    dropped=self.settings.telemetry,
                    imported=imported,
                ),
                imported=self.confirmer.fork,
                timeout_s=self.settings.timeout_s,
                keep=self.keep,
            )
        return self._stages

    def prepare(self, run: Run) -> None:
        """Start what the run is replayed on. See `Stages.prepare`."""
        with database_open(self.config):
            self.stages.prepare(run)

    def replay(self, run: Run) -> Shown:
        """Replay a run beside the session's ordinary tests. See `Stages.replay`."""
        with database_open(self.config):
            return self._dated(self.stages.replay(run), run)

    def replay_exactly(self, run: Run) -> Shown | None:
        """See `Stages.replay_exactly`."""
        with database_open(self.config):
            shown = self.stages.replay_exactly(run)
            return None if shown is None else self._dated(shown, run)

    def replay_anew(self, run: Run) -> Shown | None:
        """See `Stages.replay_anew`."""
        with database_open(self.config):
            shown = self.stages.replay_anew(run)
            return None if shown is None else self._dated(shown, run)

    def replay_here(self, run: Run) -> Shown:
        """Replay a run on this process's own app, whatever it started from."""
        with database_open(self.config):
            return self._dated(self.stages.here.replay(run), run)

    def _dated(self, shown: Shown, run: Run) -> Shown:
        started_ns, now_ns = run.recording.wall_ns, time.time_ns()
        evidence = with_age(shown.evidence, started_ns=started_ns, now_ns=now_ns, policy=self.policy)
        return replace(shown, evidence=evidence)

    @property
    def keyring(self) -> Keyring:
        """The keys at hand, read once."""
        if self._keyring is None:
            self._keyring = keyring_for(self.settings, self.config.rootpath, os.environ)
        return self._keyring

    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Collect the run directories as runs."""
        if path in self.directories:
            return RunDirectory.from_parent(parent, path=path)
        return None

    def pytest_report_header(self) -> list[str]:
        """One line: where the runs come from, and the hash seed where replays could depend on it."""
        shown = ", ".join(_relative(directory, self.config.rootpath) for directory in self.directories)
        seed = os.environ.get("PYTHONHASHSEED", "random")
        return [f"fluxrun: runs from {shown}; deadline {self.settings.timeout_s:g} s; PYTHONHASHSEED {seed}"]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """FluxRun's own errors as their text, in whichever phase; anything else as pytest shows it."""
        report = yield
        if isinstance(item, RunItem) and call.excinfo and isinstance(call.excinfo.value, FluxRunError | ReplayFailed):
            report.longrepr = str(call.excinfo.value)
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what was replayed; on the controller this sees every worker's reports."""
        properties = dict(report.user_properties)
        if "fluxrun.run_id" not in properties or report.when == "teardown":
            return
        if "fluxrun.start_up" in properties:
            self.start_ups.add(str(properties["fluxrun.start_up"]))
        if report.when == "call" or report.outcome != "passed":
            verdict = str(properties.get("fluxrun.verdict", "skipped" if report.skipped else "unready"))
            self.verdicts[verdict] += 1
            if verdict not in _NOT_REPLAYED:
                self.seen.add(str(properties["fluxrun.run_id"]))

    def pytest_report_teststatus(self, report: pytest.TestReport | pytest.CollectReport) -> Any:
        """A run that turned out unready while it was replayed is an ERROR too."""
        if report.when == "call" and report.failed and ("fluxrun.verdict", "unready") in report.user_properties:
            return "error", "E", "ERROR"
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Apply the gate, and shut the app down."""
        self.confirmer.close()
        if self._stages is not None:
            self._stages.close()
            self._stages = None
        if self._gate_failure() and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Verdict counts, and what the gate says."""
        if self.verdicts:
            counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.verdicts.items()))
            terminalreporter.write_line(f"fluxrun: {self.verdicts.total()} runs: {counts}")
        for drift in sorted(self.start_ups):
            terminalreporter.write_line(f"fluxrun: start-up differs from the recorded one: {drift}")
        failure = self._gate_failure()
        if failure:
            terminalreporter.write_sep("=", "fluxrun gate", red=True, bold=True)
            terminalreporter.write_line(failure)

    def _gate_failure(self) -> str:
        """Why the session must not be green, or ""."""
        if hasattr(self.config, "workerinput") or self.config.option.collectonly or _names_runs(self):
            return ""
        if len(self.seen) < self.required:
            return (
                f"{len(self.seen)} runs were replayed, {self.required} are required: check --fluxrun-dir, -k and -m, "
                "or lower --fluxrun-require (fluxrun_require in the ini file)."
            )
        absent = [run for run in self.required_runs if not any(seen.startswith(run) for seen in self.seen)]
        if absent:
            return (
                f"required runs were not replayed: {', '.join(absent)}. Fetch them with `fluxrun pull`, or correct "
                "fluxrun_require in the ini file."
            )
        if set(self.verdicts) <= {"skipped"} and not _selected(self.config):
            shown = ", ".join(_relative(directory, self.config.rootpath) for directory in self.directories)
            return (
                f"no run was replayed: {shown} holds none, or none was reached. A gate on no runs proves nothing: "
                "fill it with `fluxrun pull`, or drop --fluxrun-dir."
            )
        return ""


def session_of(config: pytest.Config) -> RunSession | None:
    """The session's plugin, or None where no runs were asked for."""
    return config.stash.get(SESSION_KEY, None)


def _selected(config: pytest.Config) -> bool:
    """Whether the user picked tests by name or node id, so that no run among them may be on purpose."""
    return bool(config.option.keyword or config.option.markexpr or getattr(config.option, "lf", False))


def _names_runs(session: RunSession) -> bool:
    """Whether runs were picked one by one, by the rerun line or --lf: then no others are required."""
    return bool(getattr(session.config.option, "lf", False)) or any(
        "::" in argument and _lies_in(argument, directory, session.config)
        for argument in session.config.invocation_params.args
        if not argument.startswith("-")
        for directory in session.directories
    )


def _required(config: pytest.Config, settings: Settings) -> tuple[int, tuple[str, ...]]:
    """How many runs must be replayed, and which: `fluxrun_require` is a number, or run ids separated by space.

    Raises:
        SettingsError: it is neither.
    """
    option = config.getoption("fluxrun_require")
    words = str(option if option is not None else config.getini("fluxrun_require") or settings.require).split()
    if len(words) == 1 and words[0].isdigit() and len(words[0]) < _SHORTEST_ID:
        return int(words[0]), ()
    for word in words:
        if not re.fullmatch(rf"[0-9a-hjkmnp-tv-z]{{{_SHORTEST_ID},26}}", word):
            raise SettingsError(
                f"the ini setting fluxrun_require {' '.join(words)!r} can't be used",
                why=f"{word!r} is neither a number of runs nor a run id",
                next_step="write a number, or ids as `fluxrun list` shows them, separated by spaces",
            )
    return 0, tuple(words)


def _directories(config: pytest.Config) -> tuple[Path, ...]:
    given = [config.invocation_params.dir / directory for directory in config.getoption("fluxrun_dir")]
    found = [Path(os.path.normpath(path)) for path in given or config.getini("fluxrun_dir")]
    return tuple(dict.fromkeys(found))


def _aim(config: pytest.Config, directories: Sequence[Path]) -> None:
    """Make pytest collect the run directories: alone, or beside the paths that were given on the command line."""
    by_option = bool(config.getoption("fluxrun_dir"))
    given = config.args_source is pytest.Config.ArgsSource.ARGS
    if by_option and not given:
        config.args = []
    elif not by_option and given:
        return
    for directory in directories:
        if not any(_lies_in(argument, directory, config) for argument in config.args):
            config.args.append(str(directory))


def _lies_in(argument: str, directory: Path, config: pytest.Config) -> bool:
    path = Path(os.path.normpath(config.invocation_params.dir / argument.split("::", maxsplit=1)[0]))
    return path == directory or directory in path.parents


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
