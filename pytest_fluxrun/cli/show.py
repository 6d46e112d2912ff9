"""`fluxrun show`: one run as a timeline."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_fluxrun.cli.project import Project, directories_option, run_argument
from pytest_fluxrun.report.timeline import timeline

__all__ = ["command"]


@click.command("show")
@run_argument
@directories_option
@click.option("--values", is_flag=True, help="Show headers, bodies, answers and reads whole.")
def command(*, run: str, directories: tuple[Path, ...], values: bool) -> None:
    """Show RUN (its id, the beginning of it, or its file) from the request to the outcome.

    Calls are numbered from 1, as in `call[3].request.body.amount`; an asterisk marks an effect. Secrets were
    replaced by tokens when the run was recorded, and are shown as such.
    """
    project = Project.current(directories)
    opened, guard = project.open(project.find(run))
    for line in timeline(opened, guard, values=values):
        click.echo(line)
