"""`fluxrun accept`: allow, in a run's guard, the drift that its replay shows; one call, or in bulk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click

from pytest_fluxrun.cli.clean import CleanReplays
from pytest_fluxrun.cli.console import plural, styled
from pytest_fluxrun.cli.issues import group
from pytest_fluxrun.cli.project import Project, directories_option
from pytest_fluxrun.cli.replay import pytest_line, replay_once
from pytest_fluxrun.cli.require import enlist
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.errors import FluxRunError, GuardError, RunNotFound
from pytest_fluxrun.execution.stage import Shown
from pytest_fluxrun.judgement.acceptance import accepting, drifts_of, refuse_other_outcome, unified_diff
from pytest_fluxrun.judgement.corpus import Placed, all_placed, default_guard
from pytest_fluxrun.judgement.drift_rules import DriftPolicy, failing_drifts
from pytest_fluxrun.judgement.guard import Guard, rewritten, write_guard
from pytest_fluxrun.report.plain_text import printable

__all__ = ["command"]

_MOST_NAMED = 8
_ALL = DriftPolicy(frozenset(DriftKind))


@click.command("accept")
@click.argument("run", metavar="[RUN]", required=False)
@click.option("--call", "calls", type=click.IntRange(1), multiple=True, metavar="N", help="Drift at call N of RUN.")
@click.option("--kind", "kinds", type=click.Choice([kind.value for kind in DriftKind]), multiple=True, metavar="KIND",
              help="Drift of this kind, noted or failing.")  # fmt: skip
@click.option("--entry", metavar="NAME", help="The runs of this entry.")
@click.option("--issue", metavar="ID", help="The runs of this issue, by the id of `fluxrun list --issues`.")
@click.option("--dry-run", is_flag=True, help="Show the change of each guard, write none.")
@directories_option
def command(
    *,
    run: str | None,
    calls: tuple[int, ...],
    kinds: tuple[str, ...],
    entry: str | None,
    issue: str | None,
    dry_run: bool,
    directories: tuple[Path, ...],
) -> None:
    """Allow the drift that a replay of RUN shows, exactly as it shows it, in its guard.

    Without RUN: of every run, or of those of an entry or an issue. Without --call and --kind: the drift that fails.
    Each run is replayed first; one whose outcome isn't the expected one, or that leaked or diverged, is left as it is.
    """
    if run is None and (calls or not (kinds or entry or issue)):
        raise click.UsageError(
            "Say whose drift: RUN, with --call N for one call; or in bulk --kind KIND, --entry NAME, --issue ID."
        )
    if run is not None and (entry is not None or issue is not None):
        raise click.UsageError("RUN is one run, --entry and --issue name several: give one of them.")
    project = Project.current(directories)
    wanted = _Wanted(frozenset(calls), frozenset(map(DriftKind, kinds)), project.policy)
    if run is None:
        _accept_all(project, _several(project, entry, issue), wanted, dry_run=dry_run)
        return
    placed = project.find(run)
    opened, guard = project.open(placed)
    guard, shown = guard or default_guard(placed, opened), replay_once(project, opened)
    refuse_other_outcome(shown.evidence, guard)
    change = _accepted(placed, guard, wanted, shown)
    _show(project, change, dry_run=dry_run)
    click.echo(f"next: {pytest_line(project, placed)}")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which drift is to be allowed: all that fails where both are empty."""

    calls: frozenset[int]
    kinds: frozenset[DriftKind]
    policy: DriftPolicy

    def of(self, guard: Guard, drifts: Sequence[Drift]) -> tuple[Drift, ...]:
        """The drift in question, in its order."""
        if not self.calls and not self.kinds:
            return failing_drifts(drifts, guard, self.policy)
        return tuple(
            drift
            for drift in drifts
            if (not self.calls or drift.call in self.calls) and (not self.kinds or drift.kind in self.kinds)
        )


@dataclass(frozen=True, slots=True)
class _Change:
    """What one guard file becomes; `before` is "" where there is none yet."""

    placed: Placed
    before: str
    guard: Guard


def _accept_all(project: Project, placed: Iterable[Placed], wanted: _Wanted, *, dry_run: bool) -> None:
    """Every run by itself: one that is refused is named and keeps no other from being accepted."""
    changed = refused = 0
    with closing(CleanReplays(project)) as replays:
        for one in placed:
            try:
                run, guard = project.open(one)
                change = _accepted(one, guard or default_guard(one, run), wanted, replays.replay(run))
            except _NothingToAccept:
                continue
            except FluxRunError as error:
                refused += 1
                click.echo(f"{styled('refused', 'red', bold=True)} {one.name}: {printable(str(error), keep=chr(10))}")
                continue
            changed += 1
            _show(project, change, dry_run=dry_run)
    said = "would be changed" if dry_run else "changed"
    click.echo(f"{plural(changed, 'guard')} {said}, {plural(refused, 'run')} refused")
    if refused:
        raise SystemExit(1)


class _NothingToAccept(GuardError):
    """A replay shows no such drift, or the guard allows it already."""


def _accepted(placed: Placed, guard: Guard, wanted: _Wanted, shown: Shown) -> _Change:
    """What a run's guard becomes.

    Raises:
        GuardError: the run comes to another outcome, or there is nothing to accept.
    """
    drifts = drifts_of(shown.evidence, guard)
    found = wanted.of(guard, drifts)
    if found:
        refuse_other_outcome(shown.evidence, guard)
    new = failing_drifts(found, guard, _ALL)
    if not new:
        raise _nothing(guard, wanted, drifts, already=bool(found))
    before = "" if placed.guard is None else placed.guard.read_text(encoding="utf-8")
    return _Change(placed, before, accepting(guard, new))


def _nothing(guard: Guard, wanted: _Wanted, drifts: Sequence[Drift], *, already: bool) -> _NothingToAccept:
    kinds = " or ".join(sorted(wanted.kinds)) or ("drift" if wanted.calls else "drift that fails")
    places = " or ".join(f"call {number}" for number in sorted(wanted.calls))
    seen = [f"{drift.kind} at call {drift.call}" if drift.call else drift.kind.value for drift in drifts[:_MOST_NAMED]]
    if len(drifts) > _MOST_NAMED:
        seen.append(f"{len(drifts) - _MOST_NAMED} more")
    what = f"{kinds}{' at ' if places else ''}{places}"
    why = "its guard allows it already" if already else f"its replay shows {', '.join(seen) or 'no drift at all'}"
    return _NothingToAccept(
        f"run {guard.run[:10]} has no {what} to accept",
        why=why,
        next_step=f"`fluxrun why {guard.run[:10]}` shows every call of the replay, by its number",
    )


def _several(project: Project, entry: str | None, issue: str | None) -> Iterator[Placed]:
    """The runs of an entry, of an issue, of both, or all.

    Raises:
        RunNotFound: there are none.
    """
    every = list(all_placed(project.directories))
    of_issue = None if issue is None else _of_issue(project, every, issue)
    found = [
        one
        for one in every
        if (entry is None or one.name[: -len(one.run_id) - 1] == entry) and (of_issue is None or one.name in of_issue)
    ]
    if not found:
        where = ", ".join(project.shown(directory) for directory in project.directories)
        asked = (f" of entry {entry!r}" if entry else "") + (f" of issue {issue!r}" if issue else "")
        raise RunNotFound(
            f"there is no run{asked} in {where}",
            why=f"there are {plural(len(every), 'run')}",
            next_step=f"`fluxrun list{' --issues' if issue else ''}` shows them with their entries",
        )
    return iter(found)


def _of_issue(project: Project, every: Iterable[Placed], issue: str) -> set[str]:
    """The names of an issue's runs."""
    issues = group(project, every).issues
    return {member.placed.name for one in issues if one.id == issue for member in one.members}


def _show(project: Project, change: _Change, *, dry_run: bool) -> None:
    """Write the guard, unless it is a dry run, and show how it differs."""
    path = change.placed.guard_file
    if not dry_run:
        write_guard(path, change.guard)
    click.echo(f"{'would change' if dry_run else 'changed'} {project.shown(path)}")
    for line in unified_diff(change.before, rewritten(change.before, change.guard), project.shown(path)):
        colour = {"+": "green", "-": "red"}.get(line[:1], "")
        click.echo(f"  {styled(printable(line), colour)}".rstrip())
    if not dry_run:
        enlist(project, change.placed)
