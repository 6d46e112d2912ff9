"""`fluxrun guards`: whether guard files can be used, and the guard list agrees with them. Needs no bundle, no key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from pytest_fluxrun.cli.console import plural
from pytest_fluxrun.cli.project import Project, directories_option
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.judgement.corpus import scan
from pytest_fluxrun.judgement.guard import GUARD_SUFFIX, read_guard
from pytest_fluxrun.judgement.guard_list import LIST_NAME, read_list

__all__ = ["command"]


@click.command("guards")
@directories_option
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
def command(*, directories: tuple[Path, ...], paths: tuple[Path, ...]) -> None:
    """Check guard files, and that guards.txt lists the guards beside it: those in PATHS, else all. For pre-commit."""
    if paths:
        guards = [path for path in paths if path.name.endswith(GUARD_SUFFIX) and path.exists()]
        places = dict.fromkeys(path.parent for path in paths)
    else:
        project = Project.current(directories)
        places = dict.fromkeys(project.directories)
        guards = [one.guard for place in places for one in scan(place) if one.guard is not None]
    found = [*_unusable(guards), *(line for place in places for line in _disagreements(place))]
    for line in found:
        click.echo(line)
    click.echo(f"{plural(len(guards), 'guard')} read, {plural(len(found), 'problem')}")
    if found:
        raise SystemExit(1)


def _unusable(guards: Iterable[Path]) -> Iterator[str]:
    for path in guards:
        try:
            guard = read_guard(path)
        except FluxRunError as error:
            yield str(error)
            continue
        if not path.name.endswith(f"-{guard.run}{GUARD_SUFFIX}"):
            yield f"{path}: its name ends with another run's id than its key `run`, {guard.run}"


def _disagreements(directory: Path) -> Iterator[str]:
    try:
        names = read_list(directory)
        there = {placed.name for placed in scan(directory) if placed.guarded}
    except FluxRunError as error:
        yield str(error)
        return
    if names is None:
        return
    for word, differing in (("lists no", there - names), ("lists, and there is no", names - there)):
        for name in sorted(differing):
            yield f"{directory / LIST_NAME} {word} {name}{GUARD_SUFFIX}: `fluxrun require` writes the list anew"
