"""The gate: when a session with runs must not be green, whatever pytest's own exit code is.

`judgement.requirement` holds the rules; here is what of a pytest session they are applied to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest

from pytest_fluxrun.config import Settings
from pytest_fluxrun.errors import FluxRunError, SettingsError
from pytest_fluxrun.judgement.requirement import Ended, Listed, Requirement, listed_in, unmet

__all__ = ["Gate", "lies_in", "on_ci", "relative", "required_by"]

_CI_VARIABLES: Final = ("CI", "BUILD_NUMBER", "TF_BUILD", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID")
"""The first two are pytest's own; Azure Pipelines, TeamCity and AWS CodeBuild set neither."""
_NOT_PASSED: Final = frozenset({Ended.FAILED, Ended.UNREADY})
_NARROWING: Final = (
    *("keyword", "markexpr", "deselect", "lf", "stepwise", "collectonly"),
    *("setuponly", "setupplan", "showfixtures", "show_fixtures_per_test"),
)


@dataclass(slots=True)
class Gate:
    """One session's gate.

    Args:
        directories: of runs.
        required: what must be replayed.
        explicit: whether the command line of this session says so.

    Attributes:
        ended: by run id, how it ended; of a run that was replayed again, the last time.
        overridden: by run id, the verdict that isn't a pass and that a report hides.
    """

    config: pytest.Config
    directories: tuple[Path, ...]
    required: Requirement
    explicit: bool
    ended: dict[str, Ended] = field(default_factory=dict)
    overridden: dict[str, str] = field(default_factory=dict)

    def count(self, report: pytest.TestReport, properties: Mapping[str, str]) -> None:
        """Count one phase of a run's item: what FluxRun judged, and whether pytest's report agrees."""
        run, how = properties["fluxrun.run_id"], _ended(report, properties)
        self.ended[run] = how
        self.overridden.pop(run, None)
        if how in _NOT_PASSED and report.outcome not in ("failed", "rerun"):
            self.overridden[run] = properties.get("fluxrun.verdict", how)

    def failure(self) -> str:
        """Why the session must not be green, or ""."""
        if hasattr(self.config, "workerinput"):
            return ""
        if self.overridden:
            return _overridden(self.overridden)
        return self._missing() if self._applies() else ""

    @property
    def required_runs(self) -> tuple[str, ...]:
        """Ids, or beginnings of ids, of the runs that must be replayed by name."""
        if not self.required.every:
            return self.required.runs
        with suppress(FluxRunError):  # a list that can't be used fails the gate, which says so
            return tuple(sorted(name[-26:] for one in self._listed() for name in one.names or ()))
        return ()

    def passed_over(self) -> str:
        """What the gate would have said of a session of all runs, where a person has picked some; or ""."""
        if hasattr(self.config, "workerinput") or self._applies() or self.config.option.collectonly:
            return ""
        return self._unmet()

    def exit_status(self, status: int) -> int:
        """The session's exit code, given the one that others have decided on."""
        bad = self.failure() or any(how in _NOT_PASSED for how in self.ended.values())
        in_worker = hasattr(self.config, "workerinput")
        return pytest.ExitCode.TESTS_FAILED if bad and not in_worker and status == pytest.ExitCode.OK else status

    def _missing(self) -> str:
        unmet_requirement = self._unmet()
        if unmet_requirement:
            return unmet_requirement
        if set(self.ended.values()) <= {Ended.SKIPPED} and not self.narrowed:
            shown = ", ".join(relative(directory, self.config.rootpath) for directory in self.directories)
            return (
                f"no run was replayed: {shown} holds none, or none was reached. A gate on no runs proves nothing: "
                "fill it with `fluxrun pull`, or drop --fluxrun-dir."
            )
        return ""

    def _unmet(self) -> str:
        if not self.required.every:
            return unmet(self.required, self.ended)
        try:
            return unmet(self.required, self.ended, self._listed())
        except FluxRunError as error:
            return str(error)

    def _listed(self) -> list[Listed]:
        """The directories of this session, and those of the ini file: another one doesn't stand in for them."""
        directories = dict.fromkeys((*self.directories, *map(Path, self.config.getini("fluxrun_dir"))))
        return [listed_in(path, relative(path, self.config.rootpath)) for path in directories]

    def _applies(self) -> bool:
        """A requirement holds for every session, but for a part that a person has picked outside of CI."""
        return self.explicit or (bool(self.required) and on_ci(os.environ)) or not self.narrowed

    @property
    def narrowed(self) -> bool:
        """Whether this session was asked for a part of the runs, or for none."""
        option = self.config.option
        if any(getattr(option, name, None) for name in _NARROWING):
            return True
        given = [argument for argument in option.file_or_dir or () if not argument.startswith("-")]
        picked = [argument for argument in given if "::" in argument]
        if any(lies_in(argument, directory, self.config) for argument in picked for directory in self.directories):
            return True
        if not given or self.config.getoption("fluxrun_dir"):
            return False
        return not all(_covered(directory, given, self.config) for directory in self.directories)


def required_by(config: pytest.Config, settings: Settings | None) -> tuple[Requirement, bool]:
    """What must be replayed, and whether the command line says so: the option, else the ini file, else the settings.

    The option lowers what the ini file says only where it stands on the command line itself; from PYTEST_ADDOPTS it can
    add to it.

    Raises:
        SettingsError: a value can't be used, or PYTEST_ADDOPTS overrides the ini setting.
    """
    if hasattr(config, "workerinput"):
        return Requirement(), False
    typed = " ".join(map(str, config.invocation_params.args))
    if any(each.startswith("fluxrun_require") for each in config.option.override_ini or ()) and (
        "fluxrun_require" not in typed
    ):
        raise SettingsError(
            "fluxrun_require is overridden by PYTEST_ADDOPTS or addopts",
            why="what a gate requires is set in the ini file or on the command line, where a reader sees it",
            next_step="take `-o fluxrun_require=…` out of PYTEST_ADDOPTS and addopts",
        )
    said = str(config.getini("fluxrun_require") or (settings.require if settings else 0))
    stated = Requirement.parsed(said, source="the ini setting fluxrun_require")
    option = config.getoption("fluxrun_require")
    if option is None:
        return stated, False
    asked = Requirement.parsed(str(option), source="--fluxrun-require")
    if "--fluxrun-require" in typed:
        return asked, True
    number = max(asked.number, stated.number)
    return replace(stated, number=number, runs=(*stated.runs, *asked.runs), every=stated.every or asked.every), False


def on_ci(environ: Mapping[str, str]) -> bool:
    """Whether this is a CI job, by the variables that CI systems set."""
    return any(environ.get(name, "") not in ("", "0", "false") for name in _CI_VARIABLES)


def lies_in(argument: str, directory: Path, config: pytest.Config) -> bool:
    """Whether a path or node id of the command line is a directory, or lies in it."""
    path = Path(os.path.normpath(config.invocation_params.dir / argument.split("::", maxsplit=1)[0]))
    return path == directory or directory in path.parents


def relative(path: Path, root: Path) -> str:
    """A path as a person would type it in `root`."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _covered(directory: Path, given: Sequence[str], config: pytest.Config) -> bool:
    """Whether a path of the command line is a run directory or one above it."""
    paths = (Path(os.path.normpath(config.invocation_params.dir / argument)) for argument in given)
    return any(path in (directory, *directory.parents) for path in paths)


def _ended(report: pytest.TestReport, properties: Mapping[str, str]) -> Ended:
    if "fluxrun.judged" in properties:
        return Ended(properties["fluxrun.judged"])
    match properties.get("fluxrun.verdict"):
        case "locked":
            return Ended.LOCKED
        case "unready":
            return Ended.UNREADY
        case _:
            return Ended.SKIPPED if report.skipped else Ended.UNREADY


def _overridden(overridden: Mapping[str, str]) -> str:
    run, verdict = next(iter(overridden.items()))
    more = f", and {len(overridden) - 1} more" if len(overridden) > 1 else ""
    return (
        f"{len(overridden)} runs didn't pass, and something reported them otherwise: {run[:10]} is {verdict}{more}. "
        "Marks such as xfail, and hooks of conftest.py, don't change a verdict: take them off the runs; a fix that "
        "isn't there yet is `pending = true` in the guard."
    )
