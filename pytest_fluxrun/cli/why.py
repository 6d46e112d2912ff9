"""`fluxrun why`: what stands in a run's way, each reason explained, and how its replay goes here and now."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click

from pytest_fluxrun.cli.console import plural
from pytest_fluxrun.cli.project import Project, directories_option, run_argument
from pytest_fluxrun.cli.reasons import explain
from pytest_fluxrun.cli.replay import replay_once
from pytest_fluxrun.errors import BundleError, EntryNotFound, FluxRunError, RunNotFound, RunNotReady
from pytest_fluxrun.execution.stage import Replayed, Shown
from pytest_fluxrun.judgement.guard import Guard
from pytest_fluxrun.judgement.verdict import Judgement, judge
from pytest_fluxrun.places import calling_code
from pytest_fluxrun.registry import text_of
from pytest_fluxrun.report.plain_text import printable, shortened
from pytest_fluxrun.run import Run

__all__ = ["command", "own_judgement"]

_WIDTH = 110


@click.command("why")
@run_argument
@directories_option
def command(*, run: str, directories: tuple[Path, ...]) -> None:
    """Say why RUN can't be replayed, one paragraph a reason; else replay it here and say how that differs.

    Exits with 0 where the run replays to its own outcome.
    """
    project = Project.current(directories)
    placed = project.find(run)
    try:
        opened, guard = project.open(placed)
    except (BundleError, RunNotFound) as error:
        _refused(placed.run_id, error, error.reason if isinstance(error, BundleError) else "missing")
    click.echo(f"run {opened.id} of {opened.entry}: {opened.readiness.state}")
    for note in opened.readiness.notes:
        click.echo(f"  {printable(note)}")
    for code in opened.readiness.reasons:
        _paragraph(code)
    if opened.readiness.reasons:
        raise SystemExit(1)
    try:
        replayed = replay_once(project, opened)
    except RunNotReady as error:
        _refused(opened.id, error, *error.reasons)
    except EntryNotFound as error:
        _refused(opened.id, error, "entry-not-found")
    for line in _report(project, opened, guard, replayed):
        click.echo(printable(line, keep="\n"))
    if not own_judgement(replayed, guard).passed:
        raise SystemExit(1)


def own_judgement(replayed: Shown, guard: Guard | None) -> Judgement:
    """Whether a replay came to the run's own recorded outcome; a guard's ignores and allowed drift count."""
    run, sha256 = "0" * 26, "0" * 64
    recorded = Guard(run=run, sha256=sha256)
    if guard is not None:
        recorded = Guard(run=run, sha256=sha256, ignore=guard.ignore, drift=guard.drift)
    return judge(replayed.evidence, recorded)


def _refused(run_id: str, error: FluxRunError, *codes: str) -> NoReturn:
    click.echo(f"run {run_id}: unready")
    click.echo(f"  {error}".replace("\n", "\n  "))
    for code in codes:
        _paragraph(code)
    raise SystemExit(1)


def _paragraph(code: str) -> None:
    click.echo(f"\n{code}")
    click.echo(
        textwrap.indent(textwrap.fill(explain(code), _WIDTH, break_on_hyphens=False, break_long_words=False), "  ")
    )


def _report(project: Project, run: Run, guard: Guard | None, replayed: Replayed) -> Iterator[str]:
    own = own_judgement(replayed, guard)
    evidence, replayer = replayed.evidence, replayed.replayer
    if own.passed:
        yield "It replays to its own outcome here."
    else:
        yield f"It doesn't replay to its own outcome here. First difference: {shortened(own.first_divergence, 200)}"
    if guard is not None:
        by_guard = judge(evidence, guard, project.policy)
        yield f"By its guard ({guard.expect}{', pending' if guard.pending else ''}): {by_guard.verdict}"
    for difference in own.differences:
        yield f"  differs: {difference.path}: recorded {_brief(difference.expected)}, now {_brief(difference.got)}"
    yield from (f"  blocked: {leak}" for leak in evidence.leaks)
    for drift in (*own.notes, *evidence.drifts):
        yield f"  {drift.kind}: {drift.text}"
        yield from (f"      {path}" for path in drift.paths)
    yield from (f"  telemetry dropped: {text}" for text in evidence.telemetry)
    yield from _miss(project, replayed)
    unplayed = list(replayer.matcher.unplayed())
    if unplayed:
        yield f"\nNot asked for in this replay ({plural(len(unplayed), 'call')} of {len(run.recording.interactions)}):"
    for index in unplayed:
        interaction = run.recording.interactions[index]
        yield f"  {index + 1:4}  {interaction.boundary} {text_of(interaction, replayer.matcher.request(index))}"
    if replayer.played and not own.passed:
        yield "\nThe calls of this replay, each with the recorded call that answered:"
        for played in replayer.played:
            number = str(played.index + 1) if played.source == "run" else played.source
            lane = f"{played.lane}: " if played.lane != "/" else ""
            yield f"  {number:>8}  {lane}{played.text}"


def _miss(project: Project, replayed: Replayed) -> Iterator[str]:
    """The call that the recording lacks, who made it, and, where it is a read, what to wrap."""
    missed = replayed.replayer.unrecorded
    if missed is None:
        return
    yield ""
    yield str(missed)
    caller = calling_code(missed.__traceback__, project.root)
    if caller:
        yield f"  made by: {caller}"
    was_effect = any(played.source == "miss" and played.effect for played in replayed.replayer.played)
    if not was_effect:
        owner = caller.partition(" ")[0] if caller else "the object that keeps the answer"
        yield textwrap.fill(
            "This is a read that production didn't make: it looks like a cold cache. There the answer lay in the "
            "process already; here the process is new. Wrap what holds it, so that what it returned is recorded with "
            f'each run, e.g. `cache = fluxrun.host("cache", cache)` around {owner}, then record again.',
            _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False,
        )  # fmt: skip


def _brief(value: object) -> str:
    return shortened(repr(value))
