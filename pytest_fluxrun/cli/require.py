"""`fluxrun require`: write down which guards a run directory holds, for the gate to notice the one that is deleted."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_fluxrun.cli.console import plural
from pytest_fluxrun.cli.project import Project, directories_option
from pytest_fluxrun.judgement.corpus import Placed
from pytest_fluxrun.judgement.guard_list import LIST_NAME, add_to_list, write_list
from pytest_fluxrun.judgement.requirement import listed_in

__all__ = ["command", "enlist"]


@click.command("require")
@directories_option
def command(*, directories: tuple[Path, ...]) -> None:
    """Write guards.txt: the names of the guards that are there, for `fluxrun_require = all`. Commit it.

    A guard that is deleted later stays on the list until this command is run again, and the gate fails until then.
    """
    project = Project.current(directories)
    for directory in project.directories:
        listed = listed_in(directory, project.shown(directory))
        known = listed.names or frozenset()
        write_list(directory, listed.guards)
        click.echo(f"{listed.shown}/{LIST_NAME}: {plural(len(listed.guards), 'guard')}")
        for sign, names in (("+", listed.guards - known), ("-", known - listed.guards)):
            for name in sorted(names):
                click.echo(f"  {sign} {name}")
    click.echo("  next:    commit it, and set in the ini file of pytest: fluxrun_require = all")
    click.echo("           required_plugins = pytest-fluxrun   makes pytest refuse to run without the plugin")


def enlist(project: Project, placed: Placed) -> None:
    """Put a guard that a command has written on guards.txt, where its directory has one that lacks it, and say so.

    Raises:
        GuardError: the list can't be used; the guard is written.
    """
    if add_to_list(placed.directory, placed.name):
        click.echo(f"added to {project.shown(placed.directory / LIST_NAME)}: commit it with the guard")
