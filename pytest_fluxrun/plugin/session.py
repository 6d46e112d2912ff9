"""One pytest session with runs in it: which directories, the stage, the gate, the header and the summary."""

from __future__ import annotations

import os
import sys
import time
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
from pytest_fluxrun.plugin.exits import watch_exits
from pytest_fluxrun.plugin.failure_repr import FailureRepr
from pytest_fluxrun.plugin.gate import Gate, lies_in, relative, required_by
from pytest_fluxrun.plugin.judging import judging_hooks
from pytest_fluxrun.plugin.summary import Summary

if TYPE_CHECKING:
    from pytest_fluxrun.execution.stage import Shown
    from pytest_fluxrun.execution.stages import Stages
    from pytest_fluxrun.run import Run

__all__ = ["FluxRunConfig", "RunSession", "session_of"]

_INI_SETTINGS = ("timeout_s", "on_unplayed", "fail_on", "max_age")
SESSION_KEY: pytest.StashKey[RunSession] = pytest.StashKey()


@dataclass(frozen=True, slots=True)
class FluxRunConfig:
    """What the fixture `fluxrun_config` gives.

    Attributes:
        settings: of this session, all sources taken together.
        directories: of runs, absolute.
    """

    settings: Settings
    directories: tuple[Path, ...]


@dataclass(slots=True, eq=False)
class RunSession:
    """The plugin proper; one per pytest process that was asked for runs."""

    config: pytest.Config
    settings: Settings
    directories: tuple[Path, ...]
    gate: Gate
    summary: Summary
    keep: frozenset[int] = field(default_factory=baseline)
    confirmer: Confirmer = field(init=False)
    _pytest_session: pytest.Session | None = None
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
            settings = _configured(config, load_settings(given, environ=os.environ, start_dir=config.rootpath))
            use_settings(settings)
            directories = _directories(config)
            if config.getoption("fluxrun_pull") and not hasattr(config, "workerinput"):
                from pytest_fluxrun.plugin.pull import pull_pinned

                pull_pinned(directories, settings, config.rootpath)
            for directory in directories:
                opened(directory).close()
            required, explicit = required_by(config, settings)
        except FluxRunError as error:
            raise pytest.UsageError(str(error)) from None
        gate = Gate(config, directories, required, explicit)
        session = cls(config, settings, directories, gate, Summary(config, directories))
        if not hasattr(config, "workerinput"):
            config.add_cleanup(watch_exits(lambda: _uncapture(config)))
        registry.install_replay_seams()
        config.stash[SESSION_KEY] = session
        _aim(config, directories)
        return session

    @property
    def policy(self) -> DriftPolicy:
        """Which drift fails where a guard says nothing."""
        return DriftPolicy.of(self.settings, strict=bool(self.config.getoption("fluxrun_strict")))

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

    def tell_github(self) -> None:
        """Register what speaks to GitHub Actions, in its jobs; not in workers, nor where a replay is only confirmed."""
        from pytest_fluxrun.execution.confirmation import is_confirming
        from pytest_fluxrun.plugin.github import GitHub, in_github

        if in_github(os.environ) and not hasattr(self.config, "workerinput") and not is_confirming():
            self.config.pluginmanager.register(GitHub(self), "fluxrun-github")

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

    @property
    def shown(self) -> FluxRunConfig:
        """What tests are told of the session."""
        return FluxRunConfig(self.settings, self.directories)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Deselect the runs that a hook of the project leaves out."""
        hook = self.config.hook.pytest_fluxrun_collect_run
        if not hook.get_hookimpls():
            return
        kept: list[pytest.Item] = []
        left: list[pytest.Item] = []
        for item in items:
            out = isinstance(item, RunItem) and hook(config=self.config, placed=item.placed) is False
            (left if out else kept).append(item)
        if left:
            self.config.hook.pytest_deselected(items=left)
            items[:] = kept

    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Collect the run directories as runs."""
        if path in self.directories:
            return RunDirectory.from_parent(parent, path=path)
        return None

    def pytest_report_header(self) -> list[str]:
        """Where the runs come from, what could make replays differ, and what is required."""
        shown = ", ".join(relative(directory, self.config.rootpath) for directory in self.directories)
        seed = os.environ.get("PYTHONHASHSEED", "random")
        line = f"fluxrun: runs from {shown}; deadline {self.settings.timeout_s:g} s; PYTHONHASHSEED {seed}"
        lines = [f"{line}; required: {self.gate.required}" if self.gate.required else line]
        judging = judging_hooks(self.config)
        return [*lines, f"fluxrun: judged with {', '.join(judging)}"] if judging else lines

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """FluxRun's own errors as their text, in whichever phase; anything else as pytest shows it."""
        report = yield
        if isinstance(item, RunItem) and call.excinfo and isinstance(call.excinfo.value, FluxRunError | ReplayFailed):
            report.longrepr = str(call.excinfo.value)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what was replayed; on the controller this sees every worker's reports."""
        properties = {name: str(value) for name, value in report.user_properties if name.startswith("fluxrun.")}
        if "fluxrun.run_id" not in properties or report.when == "teardown":
            return
        if isinstance(report.longrepr, str):
            report.longrepr = FailureRepr(report.longrepr, report.location[0])
        if report.when == "call" or report.outcome != "passed":
            self.gate.count(report, properties)
            self.summary.count(report, properties)

    def pytest_report_teststatus(self, report: pytest.TestReport | pytest.CollectReport) -> Any:
        """A run that turned out unready while it was replayed is an ERROR too."""
        if report.when == "call" and report.failed and ("fluxrun.verdict", "unready") in report.user_properties:
            return "error", "E", "ERROR"
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Apply the gate, and shut the app down."""
        self.confirmer.close()
        if self._stages is not None:
            self._stages.close()
            self._stages = None
        self._pytest_session = session
        session.exitstatus = self.gate.exit_status(session.exitstatus)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """The gate once more: another hook may have made the exit code 0 after it."""
        if self._pytest_session is not None:
            status = self._pytest_session.exitstatus
            self._pytest_session.exitstatus = self.gate.exit_status(status)
            if self._pytest_session.exitstatus != status:
                print(  # noqa: T201 - pytest's reporter has ended
                    "fluxrun gate: another plugin or conftest.py made the exit code 0; it is 1", file=sys.stderr
                )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Verdict counts and what else a reader should know, and what the gate says."""
        for line in self.summary.lines():
            terminalreporter.write_line(line)
        failure = self.gate.failure()
        if failure:
            terminalreporter.write_sep("=", "fluxrun gate", red=True, bold=True)
            terminalreporter.write_line(failure)
        elif self.gate.passed_over():
            terminalreporter.write_line(
                f"fluxrun: the gate isn't applied to runs that were picked here; on CI it is: {self.gate.passed_over()}"
            )


def session_of(config: pytest.Config) -> RunSession | None:
    """The session's plugin, or None where no runs were asked for."""
    return config.stash.get(SESSION_KEY, None)


def _configured(config: pytest.Config, settings: Settings) -> Settings:
    """The settings that the project's hook has for this session."""
    found = config.hook.pytest_fluxrun_configure(config=config, settings=settings)
    if found is None:
        return settings
    if not isinstance(found, Settings):
        raise SettingsError(
            f"the hook pytest_fluxrun_configure gave {type(found).__name__}",
            why="it gives Settings, or None",
            next_step="return settings.model_copy(update={…}), in the conftest.py or plugin that implements it",
        )
    return found


def _uncapture(config: pytest.Config) -> None:
    """Let what is written from now on be seen."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.suspend_global_capture(in_=True)


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
        if not any(lies_in(argument, directory, config) for argument in config.args):
            config.args.append(str(directory))
