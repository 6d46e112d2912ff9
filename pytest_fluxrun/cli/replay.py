"""`fluxrun replay`: one run replayed in this process and judged by its guard. Other commands replay through it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click

from pytest_fluxrun.cli.console import styled
from pytest_fluxrun.cli.project import Project, directories_option, run_argument
from pytest_fluxrun.cli.walk import examine, walk
from pytest_fluxrun.entry import observing_raised
from pytest_fluxrun.errors import SettingsError
from pytest_fluxrun.execution.stage import Replayed, Shown, Stage
from pytest_fluxrun.execution.stages import Stages
from pytest_fluxrun.fence import baseline
from pytest_fluxrun.judgement.corpus import Placed
from pytest_fluxrun.judgement.drift_rules import with_age
from pytest_fluxrun.judgement.verdict import Verdict, judge
from pytest_fluxrun.replaying.replayer import Played
from pytest_fluxrun.report.failure import failure_text
from pytest_fluxrun.run import Run

__all__ = ["command", "dated", "pytest_line", "replay_once", "stage_for", "stages_for"]

ShownT = TypeVar("ShownT", bound=Shown)


def _unwatched(_: Played) -> None:
    """Show nothing."""


@click.command("replay")
@run_argument
@directories_option
@click.option("--pdb", "debug", is_flag=True, help="Stop in pdb where the app's error was raised, and at breakpoint().")
@click.option("--trace", is_flag=True, help="Print each call as it is answered.")
def command(*, run: str, directories: tuple[Path, ...], debug: bool, trace: bool) -> None:
    """Replay RUN once, offline, and judge it as pytest would. Exits with 0 where pytest would be green."""
    project = Project.current(directories)
    placed = project.find(run)
    opened, guard = project.open(placed)
    raised: list[BaseException] = []
    watch = walk(opened) if trace else _unwatched
    with observing_raised(raised.append) if debug else nullcontext():
        replayed = replay_once(project, opened, watch=watch, by_hand=debug or trace)
    if trace:
        click.echo()
    if debug:
        examine(project, raised[-1] if raised else None)
    judgement = judge(replayed.evidence, guard, project.policy)
    pending = guard is not None and guard.pending
    if not judgement.passed:
        click.echo(failure_text(opened, guard, replayed, judgement, rerun=pytest_line(project, placed)))
        if pending and judgement.verdict is Verdict.REPRODUCED:
            click.echo("  pending: the guard says that the fix isn't there yet, so pytest reports an expected failure")
            return
        raise SystemExit(1)
    click.echo(f"{styled(judgement.verdict, 'green', bold=True)}: run {opened.id} of {opened.entry}")
    for drift in (*judgement.notes, *replayed.evidence.drifts):
        click.echo(f"  note:    {drift.kind}: {drift.text}")
    for rule in judgement.unused_rules:
        click.echo(f"  note:    the guard allows {rule!r}, which nothing here needs")
    if pending:
        click.echo(f"  next:    remove `pending = true` from {placed.guard}: it is fixed, and pytest fails until then")
        raise SystemExit(1)


def replay_once(
    project: Project, run: Run, *, watch: Callable[[Played], object] = _unwatched, by_hand: bool = False
) -> Replayed:
    """Replay a run on the project's app, booted for it alone. What the app prints goes to standard error.

    Args:
        watch: is shown each crossing.
        by_hand: a person follows it: the app's output and a debugger's prompt share the terminal.

    Raises:
        RunNotReady: something known stands in the way, or the app can't be imported or started offline.
        EntryNotFound: the project's modules don't register the run's entry.
        SettingsError: no modules are set.
    """
    stage = stage_for(project, watch=watch)
    with nullcontext() if by_hand else redirect_stdout(sys.stderr):
        replayed = stage.replay(run)
        stage.close()
    return dated(project, replayed, run)


def dated(project: Project, replayed: ShownT, run: Run) -> ShownT:
    """The replay with the drift `aged`, where the run is older than the project wants."""
    started_ns, now_ns = run.recording.wall_ns, time.time_ns()
    evidence = with_age(replayed.evidence, started_ns=started_ns, now_ns=now_ns, policy=project.policy)
    return replace(replayed, evidence=evidence)


def stages_for(project: Project, *, imported: Callable[[], None] = lambda: None) -> Stages:
    """The project's apps, one for each way in which the processes of several runs had started. Close them.

    Args:
        imported: called once, when the modules are imported and nothing has run.

    Raises:
        SettingsError: no modules are set.
    """
    keep = baseline()
    return Stages(
        lambda imported: stage_for(project, imported=imported, keep=keep),
        imported=imported,
        timeout_s=project.settings.timeout_s,
        keep=keep,
    )


def stage_for(
    project: Project,
    *,
    imported: Callable[[], None] = lambda: None,
    keep: frozenset[int] | None = None,
    watch: Callable[[Played], object] = _unwatched,
) -> Stage:
    """The project's app, to be booted by the first run that is replayed on it. Close it.

    Args:
        imported: called once, when the modules are imported and nothing has run.
        keep: sockets that stay as they are; those of now where not given.
        watch: is shown each crossing.

    Raises:
        SettingsError: no modules are set.
    """
    if not project.settings.modules:
        raise SettingsError(
            "no run can be replayed",
            why="[tool.fluxrun] modules is empty, so nothing registers the entries that runs name",
            next_step='name what calls fluxrun.instrument or uses @fluxrun.capture, e.g. modules = ["shop.main"]',
        )
    settings = project.settings
    return Stage(
        settings.modules,
        root=project.root,
        timeout_s=settings.timeout_s,
        keep=baseline() if keep is None else keep,
        imported=imported,
        allow_write=settings.allow_write,
        dropped=settings.telemetry,
        watch=watch,
    )


def pytest_line(project: Project, placed: Placed) -> str:
    """The command that replays one run under pytest."""
    directory = project.shown(placed.bundle.parent)
    return f"pytest --fluxrun-dir={directory} {directory}/{placed.bundle.name}::replay"
