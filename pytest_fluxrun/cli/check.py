"""`fluxrun check`: go through settings, keys, store, machine and app, and say what to do about each thing found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from pytest_fluxrun.cli.app_check import check_app
from pytest_fluxrun.cli.console import plural, styled
from pytest_fluxrun.cli.findings import Finding, Level, failed, ok, warn
from pytest_fluxrun.cli.key_check import check_keys
from pytest_fluxrun.cli.machine_check import check_machine
from pytest_fluxrun.cli.orphan_check import check_orphans
from pytest_fluxrun.cli.project import Project, directories_option
from pytest_fluxrun.cli.pytest_check import check_pytest
from pytest_fluxrun.config import Settings, setting_origins
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.judgement.corpus import Placed, scan
from pytest_fluxrun.judgement.guard import read_guard
from pytest_fluxrun.report.plain_text import printable
from pytest_fluxrun.store import DirectoryStore, MemoryStore

__all__ = ["command"]

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command("check")
@directories_option
def command(*, directories: tuple[Path, ...]) -> None:
    """Look at settings, keys, token, store, lost calls, clock, versions, boundaries and entries; say what to do.

    The project's modules are imported, in a process of their own that records nothing. Exits with 1 where something
    fails; a warning is no failure.
    """
    findings = []
    for finding in _findings(directories):
        findings.append(finding)
        click.echo(
            f"{styled(f'{finding.level:<4}', _COLOURS[finding.level])}  {finding.subject:<10} {_flat(finding.text)}"
        )
        if finding.next_step:
            click.echo(f"{'':17}next: {_flat(finding.next_step)}")
    failures, warned = (sum(finding.level is level for finding in findings) for level in (Level.FAIL, Level.WARN))
    click.echo(f"{plural(failures, 'failure')}, {plural(warned, 'warning')}")
    if failures:
        raise SystemExit(1)


def _findings(directories: tuple[Path, ...]) -> Iterator[Finding]:
    try:
        project = Project.current(directories)
    except FluxRunError as error:
        yield failed("settings", error)
        return
    for subject, look in _SECTIONS.items():
        try:
            yield from look(project)
        except FluxRunError as error:
            yield failed(subject, error)


def _settings(project: Project) -> Iterator[Finding]:
    """Each setting that something gave, with what gave it."""
    origins = setting_origins(environ=os.environ, start_dir=Path.cwd())
    for name, origin in origins.items():
        value = "(set)" if name == "token" else repr(getattr(project.settings, name))
        yield ok("settings", f"{name} = {value}, from {origin}")
    defaults = len(Settings.model_fields) - len(origins)
    yield ok("settings", f"the other {defaults} have their defaults")
    if "project" not in origins:
        yield warn("settings", "the project has no name of its own", "run `fluxrun init` in the project's directory")
    if project.settings.disabled:
        yield warn("settings", "disabled: nothing is recorded", "unset FLUXRUN_DISABLED where the app should record")


def _store(project: Project) -> Iterator[Finding]:
    """Whether the store answers to a listing."""
    store = project.store
    first = next(iter(store.names()), None)
    if isinstance(store, MemoryStore):
        yield warn("store", f"{store.location} ends with the process", "set `store` to a path or an s3:// location")
    elif isinstance(store, DirectoryStore) and not store.path.is_dir():
        yield warn("store", f"{store.location} isn't there yet", "run `fluxrun init`, or let the first run make it")
    else:
        yield ok("store", f"{store.location} answers, {'with runs in it' if first else 'empty so far'}")


def _runs(project: Project) -> Iterator[Finding]:
    """Guards that can't be read, and guards whose bundle isn't here."""
    for directory in filter(Path.is_dir, project.directories):
        placed = scan(directory)
        guards = [one for one in placed if one.guard is not None]
        yield ok("runs", f"{plural(len(placed), 'run')} in {project.shown(directory)}, {len(guards)} with a guard")
        missing = [one for one in guards if not one.bundle.exists()]
        if missing:
            names = ", ".join(one.run_id for one in missing[:3])
            yield warn("runs", f"{plural(len(missing), 'guard')} without bundle: {names}", "run `fluxrun pull`")
        yield from _bad_guards(guards)


def _bad_guards(guards: list[Placed]) -> Iterator[Finding]:
    for one in guards:
        try:
            if one.guard is not None:
                read_guard(one.guard)
        except FluxRunError as error:
            yield failed("runs", error)


def _flat(text: str) -> str:
    return printable(" ".join(text.split()))


_SECTIONS: Final[dict[str, Callable[[Project], Iterator[Finding]]]] = {
    "settings": _settings,
    "keys": check_keys,
    "store": _store,
    "runs": _runs,
    "calls": check_orphans,
    "pytest": check_pytest,
    "machine": check_machine,
    "entries": check_app,
}
