"""`fluxrun push` and `fluxrun pull`: which runs, from where to where, progress, and what failed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from pytest_fluxrun.bundle import is_run_id, read_trust, verify
from pytest_fluxrun.cli.console import plural, styled
from pytest_fluxrun.cli.project import Project, directories_option
from pytest_fluxrun.errors import BundleError, DamagedBundle, FluxRunError, RunNotFound, SettingsError
from pytest_fluxrun.judgement.corpus import Placed, all_placed
from pytest_fluxrun.judgement.guard import read_guard
from pytest_fluxrun.store import DirectoryStore, Store, open_store
from pytest_fluxrun.store.transfer import Check, Pin, Progress, TransferReport, pull, push

__all__ = ["pull_command", "push_command"]

_RUN_ID_LENGTH = 26


@click.command("push")
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@directories_option
@click.option(
    "--to", "location", metavar="STORE", help="Where to: s3://bucket/prefix or a path.  [default: the setting `store`]"
)
@click.option("--all", "everything", is_flag=True, help="Every run in the directory, not only what guards pin.")
def push_command(
    *, runs: tuple[str, ...], directories: tuple[Path, ...], location: str | None, everything: bool
) -> None:
    """Copy runs to a store, which keeps what it has. By default those that guards pin.

    The signature of each is checked first; guards stay here, they belong into git.
    """
    project = Project.current(directories)
    check = _checker(project)
    with _other_store(project, location, "--to") as target:
        failed = 0
        for source in project.directories:
            chosen = [placed.name for placed in _chosen_here(project, source, runs, everything=everything)]
            with DirectoryStore(source) as store, _progress("pushing", len(chosen)) as tell:
                report = push(chosen, store, target, check=check, progress=tell)
            failed += _tell(report, "pushed", f"{project.shown(source)} → {target.location}", "already there")
    if failed:
        raise SystemExit(1)


@click.command("pull")
@click.argument("runs", metavar="[RUN]...", nargs=-1)
@directories_option
@click.option(
    "--from",
    "location",
    metavar="STORE",
    help="Where from: s3://bucket/prefix or a path.  [default: the setting `store`]",
)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where to.  [default: the run directory]",
)
@click.option("--all", "everything", is_flag=True, help="Every run of the store, not only what guards pin.")
def pull_command(
    *, runs: tuple[str, ...], directories: tuple[Path, ...], location: str | None, into: Path | None, everything: bool
) -> None:
    """Fetch runs from a store. By default those that guards pin, each into the directory of its guard.

    A file appears only once its digest and signature are checked; nothing that is here is overwritten. An interrupted
    pull goes on where it stopped.
    """
    project = Project.current(directories)
    check = _checker(project)
    failed = 0
    with _other_store(project, location, "--from") as source:
        for directory, pins in _wanted(project, source, runs, into, everything=everything):
            with _progress("pulling", len(pins)) as tell:
                report = pull(pins, source, directory, check=check, progress=tell)
            failed += _tell(report, "pulled", f"{source.location} → {project.shown(directory)}", "already here")
    if failed:
        raise SystemExit(1)


def _checker(project: Project) -> Check:
    """Refuses what no trusted producer signed, or what holds another run than its name says."""
    trust = read_trust(Path(project.settings.trust_file))

    def check(name: str, data: bytes) -> None:
        index = verify(data, trust, source=name)
        if not name.endswith(f"-{index.run_id}"):
            raise DamagedBundle(
                f"{name} holds another run than it says",
                why=f"its index names {index.run_id}",
                next_step="find out who renamed it; a bundle keeps its run's id",
            )

    return check


@contextmanager
def _other_store(project: Project, location: str | None, option: str) -> Iterator[Store]:
    """The store at the other end: the option's, else the settings' where that isn't the run directory itself.

    Raises:
        SettingsError: there is none.
    """
    if location is None and isinstance(project.store, DirectoryStore):
        here = f"the setting store is the directory {project.shown(project.store.path)}"
        raise SettingsError(
            "there is no store at the other end",
            why=here if project.settings.store else "the setting store is empty",
            next_step=f"name one with {option}, e.g. `{option} s3://bucket/runs`, or set `store` in [tool.fluxrun]",
        )
    with project.store if location is None else open_store(location) as store:
        yield store


def _chosen_here(project: Project, directory: Path, runs: Sequence[str], *, everything: bool) -> list[Placed]:
    if runs:
        found = [project.find(run) for run in runs]
        return [placed for placed in found if placed.bundle.parent == directory]
    wanted = [placed for placed in all_placed([directory]) if everything or placed.guard is not None]
    here = [placed for placed in wanted if placed.bundle.exists()]
    if len(here) < len(wanted):
        left_out = plural(len(wanted) - len(here), "guard")
        click.echo(f"left out {left_out} without bundle here: `fluxrun pull` fetches those", err=True)
    return here


def _wanted(
    project: Project, source: Store, runs: Sequence[str], into: Path | None, *, everything: bool
) -> Iterator[tuple[Path, list[Pin]]]:
    """Per directory, what to fetch into it; what a guard pins by digest bears that digest."""
    there = [directory for directory in project.directories if directory.is_dir()]
    pins = {
        placed.name: (placed.bundle.parent, _pin(placed)) for placed in all_placed(there) if placed.guard is not None
    }
    names: Sequence[str] = list(pins)
    if everything:
        names = list(dict.fromkeys([*names, *source.names()]))
    elif runs:
        names = [_named(run, list(pins), source) for run in runs]
    first = project.directories[0]
    by_directory: dict[Path, list[Pin]] = {}
    for name in names:
        directory, pin = pins.get(name, (first, Pin(name)))
        by_directory.setdefault(into or directory, []).append(pin)
    yield from (by_directory or {into or first: []}).items()


def _pin(placed: Placed) -> Pin:
    return Pin(placed.name, "" if placed.guard is None else read_guard(placed.guard).sha256)


def _named(wanted: str, pinned: Sequence[str], source: Store) -> str:
    """The one bundle of the guards, else of the store, with that name, id, or beginning of an id.

    Raises:
        RunNotFound: none or several fit.
    """
    for names in (pinned, source.names()):
        fitting = [name for name in names if wanted == name or name[-_RUN_ID_LENGTH:].startswith(wanted)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise RunNotFound(
                f"{wanted!r} fits {len(fitting)} runs",
                why=", ".join(name[-_RUN_ID_LENGTH:] for name in fitting[:5]),
                next_step="give more characters of the id",
            )
    kind = "run" if is_run_id(wanted) else "run whose id begins so"
    raise RunNotFound(
        f"{wanted!r} is not in {source.location}",
        why=f"neither a guard here nor the store has a {kind}",
        next_step=f"`fluxrun list --store {source.location}` shows what it holds",
    )


@contextmanager
def _progress(doing: str, total: int) -> Iterator[Callable[[Progress], None]]:
    """A bar where somebody watches, else a line per run that has arrived or failed."""
    if not sys.stderr.isatty() or not total:
        done = 0

        def tell(progress: Progress) -> None:
            nonlocal done
            if progress.runs_done > done:
                done = progress.runs_done
                click.echo(f"{doing} {progress.runs_done}/{progress.runs_total}  {progress.name}", err=True)

        yield tell
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    shown = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[moved]}"))
    with Bar(*shown, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total, moved="")
        yield lambda news: bar.update(task, completed=news.runs_done, moved=f"{news.bytes_moved / 1e6:.1f} MB")


def _tell(report: TransferReport, verb: str, way: str, there: str) -> int:
    """Print what became of the runs; returns how many failed."""
    for failure in report.failed:
        click.echo(f"{styled('failed', 'red')}  {failure.name} ({_code(failure.error)})\n  {_indented(failure.error)}")
    parts = [f"{verb} {plural(len(report.done), 'run')}"]
    if report.already_there:
        parts.append(f"{len(report.already_there)} {there}")
    if report.failed:
        parts.append(f"{len(report.failed)} failed")
    if not (report.done or report.already_there or report.failed):
        parts = ["nothing to do: no guard pins a run here; name runs, or use --all"]
    click.echo(f"{way}: {', '.join(parts)}")
    return len(report.failed)


def _code(error: FluxRunError) -> str:
    return error.reason if isinstance(error, BundleError) else type(error).__name__


def _indented(error: FluxRunError) -> str:
    return str(error).replace("\n", "\n  ")
