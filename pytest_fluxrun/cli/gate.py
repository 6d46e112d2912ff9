"""`fluxrun gate`: judge reports, or a command by the report that its pytest writes: an exit code alone won't do."""

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
from pytest_fluxrun.report.shards import Shard, duplicates, together

__all__ = ["command"]

_MOST: Final = 20


@click.command("gate")
@click.option(
    "--baseline",
    "baselines",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    metavar="REPORT",
    help="The report to compare with: only what got worse since fails. Repeat it for shards.",
)
@click.option("--require", metavar="N|all|IDS", help="What must have been replayed.  [default: see the reference]")
@directories_option
@click.argument("words", nargs=-1, required=True, metavar="REPORT... | -- COMMAND...", type=click.UNPROCESSED)
def command(
    *, baselines: tuple[Path, ...], require: str | None, directories: tuple[Path, ...], words: tuple[str, ...]
) -> None:
    """Judge REPORT, a file of --fluxrun-report=out.json; or run COMMAND, whose pytest writes one, and judge that.

    Several reports are shards: sessions of one project and one environment, each of which replayed a part of the runs.
    """
    project = Project.current(directories)
    requirement, listed = _required(project, require)
    if all(word.endswith(".json") for word in words):
        shards = _read(map(Path, words))
    elif baselines:
        raise SettingsError(
            "--baseline compares two reports",
            why=f"{words[0]!r} is a command, whose other tests a report doesn't hold",
            next_step="run it with --fluxrun-report=out.json first, then `fluxrun gate --baseline main.json out.json`",
        )
    else:
        shards = [(shlex.join(words), _report_of(words))]
    report = together(shards)
    found = list(duplicates(shards))
    if baselines:
        before = _read(baselines)
        found += [*duplicates(before), *regressions(together(before), report)]
        asked = f"compared with {', '.join(map(str, baselines))}"
    else:
        found += problems(shards, requirement, listed)
        asked = f"required: {requirement}"
    _conclude(report, found, f"{asked}; {len(shards)} reports" if len(shards) > 1 else asked)


def _read(paths: Iterable[Path]) -> list[Shard]:
    """Reports by the names of their files.

    Raises:
        FluxRunError: one can't be read, or is of a session that didn't come to its end.
    """
    shards = [(str(path), read_report(path)) for path in paths]
    for name, report in shards:
        refuse_unfinished(report, name)
    return shards


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


def _conclude(report: Report, lines: Sequence[str], asked: str) -> None:
    for line in lines[:_MOST]:
        click.echo(line)
    if len(lines) > _MOST:
        click.echo(f"… and {len(lines) - _MOST} more")
    counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(report.session.verdicts.items())) or "none"
    word = styled("red", "red", bold=True) if lines else styled("green", "green", bold=True)
    click.echo(f"gate: {word}: {plural(len(report.runs), 'run')}: {counts}; {asked}")
    if lines:
        raise SystemExit(1)
