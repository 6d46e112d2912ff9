"""`fluxrun gate`: judge a report, or a command by the report that its pytest writes: an exit code alone won't do."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import click

from pytest_fluxrun.cli.console import plural, styled
from pytest_fluxrun.cli.project import Project, directories_option
from pytest_fluxrun.errors import FluxRunError, SettingsError
from pytest_fluxrun.judgement.requirement import Listed, Requirement, listed_in
from pytest_fluxrun.report.comparison import problems, refuse_unfinished, regressions
from pytest_fluxrun.report.document import Report, read_report

__all__ = ["command"]

_MOST: Final = 20


@click.command("gate")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="REPORT",
    help="The report to compare with: only what got worse since fails.",
)
@click.option("--require", metavar="N|all|IDS", help="What must have been replayed.  [default: see the reference]")
@directories_option
@click.argument("words", nargs=-1, required=True, metavar="REPORT | -- COMMAND...", type=click.UNPROCESSED)
def command(
    *, baseline: Path | None, require: str | None, directories: tuple[Path, ...], words: tuple[str, ...]
) -> None:
    """Judge REPORT, a file of --fluxrun-report=out.json; or run COMMAND, whose pytest writes one, and judge that."""
    project = Project.current(directories)
    requirement, listed = _required(project, require)
    if len(words) == 1 and words[0].endswith(".json"):
        path = Path(words[0])
        report = read_report(path)
        refuse_unfinished(report, str(path))
    elif baseline is not None:
        raise SettingsError(
            "--baseline compares two reports",
            why=f"{words[0]!r} is a command, whose other tests a report doesn't hold",
            next_step="run it with --fluxrun-report=out.json first, then `fluxrun gate --baseline main.json out.json`",
        )
    else:
        report = _report_of(words)
    if baseline is None:
        found = list(problems(report, requirement, listed))
    else:
        before = read_report(baseline)
        refuse_unfinished(before, str(baseline))
        found = list(regressions(before, report))
    _conclude(report, found, requirement, baseline)


def _required(project: Project, given: str | None) -> tuple[Requirement, Sequence[Listed]]:
    """What is required: the option, the setting, every guard where each directory has a list, or one run at least."""
    present = [directory for directory in project.directories if directory.is_dir() or project.given]
    listed = [listed_in(directory, project.shown(directory)) for directory in present]
    if given is not None:
        return Requirement.parsed(given, source="--require"), listed
    if project.settings.require:
        return Requirement.parsed(str(project.settings.require), source="the setting require"), listed
    every = bool(listed) and all(one.names is not None for one in listed)
    return Requirement(every=every, number=0 if every else 1), listed


def _report_of(command_line: Sequence[str]) -> Report:
    """Run a command, with pytest told through PYTEST_ADDOPTS to write a report, and read that.

    Raises:
        SystemExit: the command failed, with its exit code.
        FluxRunError: it didn't, and no session came to its end.
    """
    with tempfile.TemporaryDirectory(prefix="fluxrun-gate-") as directory:
        path = Path(directory, "report.json")
        option = shlex.quote(f"--fluxrun-report={path}")
        environment = os.environ | {"PYTEST_ADDOPTS": f"{os.environ.get('PYTEST_ADDOPTS', '')} {option}".strip()}
        sys.stdout.flush()
        code = subprocess.run(command_line, env=environment, check=False).returncode  # noqa: S603 - what the user gave
        if code:
            ended = f"signal {-code} ended" if code < 0 else f"exit code {code} of"
            click.echo(f"gate: {ended} {shlex.join(command_line)}", err=True)
            raise SystemExit(code if code > 0 else 1)
        if not path.exists():
            raise FluxRunError(
                f"{shlex.join(command_line)} ended with 0, and replayed no run",
                why="no session of pytest with run directories wrote a report: FluxRun's plugin is disabled or isn't "
                "installed there, the ini file doesn't name fluxrun_dir, or pytest didn't get as far",
                next_step="run that command with -v and look at its header for the line that begins with `fluxrun:`",
            )
        report = read_report(path)
        refuse_unfinished(report, f"of {shlex.join(command_line)}")
        return report


def _conclude(report: Report, found: Iterable[str], requirement: Requirement, baseline: Path | None) -> None:
    lines = list(found)
    for line in lines[:_MOST]:
        click.echo(line)
    if len(lines) > _MOST:
        click.echo(f"… and {len(lines) - _MOST} more")
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(report.session.verdicts.items())) or "none"
    asked = f"compared with {baseline}" if baseline is not None else f"required: {requirement}"
    word = styled("red", "red", bold=True) if lines else styled("green", "green", bold=True)
    click.echo(f"gate: {word}: {plural(len(report.runs), 'run')}: {counts}; {asked}")
    if lines:
        raise SystemExit(1)
