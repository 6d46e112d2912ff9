"""`fluxrun export`: a run in a form that other tools read. Only a plain test needs the app, to name what it imports."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

import click

from pytest_fluxrun.cli.console import plural
from pytest_fluxrun.cli.project import Project, directories_option, run_argument
from pytest_fluxrun.cli.replay import stage_for
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.export.curl import curl_command
from pytest_fluxrun.export.har import to_har
from pytest_fluxrun.export.plain_test import plain_test
from pytest_fluxrun.export.program import find_program
from pytest_fluxrun.report.plain_text import printable
from pytest_fluxrun.run import Run

__all__ = ["command"]


@click.command("export")
@run_argument
@directories_option
@click.option("--as", "form", type=click.Choice(["pytest", "curl", "har"]), required=True, help="What to make of it.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file, in place of standard output."
)
@click.option("--force", is_flag=True, help="Overwrite that file.")
def command(*, run: str, directories: tuple[Path, ...], form: str, output: Path | None, force: bool) -> None:
    """Write RUN as a plain test that needs no FluxRun, as a curl command, or as HAR 1.2.

    What comes out is in the clear: all that the run holds, but for the secrets that tokens stand for.
    """
    if output is not None and output.exists() and not force:
        raise FluxRunError(
            f"{output} is there already",
            why="an export overwrites nothing",
            next_step="add --force, or name another file",
        )
    project = Project.current(directories)
    opened, _ = project.open(project.find(run))
    text = _text(project, opened, form)
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"wrote {output}", err=True)


def _text(project: Project, run: Run, form: str) -> str:
    if form == "curl":
        return curl_command(run)
    if form == "har":
        return to_har(run)
    stage = stage_for(project)
    with redirect_stdout(sys.stderr):  # the app may print while it starts
        try:
            program = find_program(stage.prepare(run), project.settings.modules)
            exported = plain_test(run, program)
        finally:
            stage.close()
    if exported.by_hand:
        told = plural(exported.by_hand, "recorded call")
        click.echo(f"  note:    {told} without a stub: write the fixture answers_by_hand in the file", err=True)
    for left in exported.left:
        click.echo(f"  note:    not asserted: {printable(left)}", err=True)
    return exported.source
