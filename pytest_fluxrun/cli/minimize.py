"""`fluxrun minimize`: the smallest run of each issue that still shows the failure is kept. Deletes only with --yes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import click

from pytest_fluxrun.cli.console import columns, plural, styled
from pytest_fluxrun.cli.issues import Issue, Member, group
from pytest_fluxrun.cli.project import Project, directories_option
from pytest_fluxrun.cli.replay import stages_for
from pytest_fluxrun.cli.why import own_judgement
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.execution.stages import Stages
from pytest_fluxrun.judgement.corpus import all_placed
from pytest_fluxrun.report.plain_text import shortened

__all__ = ["command"]

_LONGEST_TEXT = 120


@dataclass(slots=True)
class _Plan:
    """What becomes of an issue's runs: each with its reason."""

    issue: Issue
    kept: list[tuple[Member, str]] = field(default_factory=list)
    spare: list[tuple[Member, str]] = field(default_factory=list)


@click.command("minimize")
@directories_option
@click.option("--yes", is_flag=True, help="Delete the bundles that are listed as spare.")
def command(*, directories: tuple[Path, ...], yes: bool) -> None:
    """Keep of each issue the smallest run that still shows the failure, and list what can be deleted.

    Runs are replayed until one comes to its own recorded failure; one with a proven guard counts as such. Guarded runs
    are never deleted, nor locked ones, nor anything of an issue of which no run shows the failure here.
    """
    project = Project.current(directories)
    grouped = group(project, all_placed(project.directories))
    several = [issue for issue in grouped.issues if len(issue.members) > 1]
    plans = list(_plans(project, several)) if several else []
    for plan in plans:
        _show(plan)
    for placed, error in grouped.problems:
        click.echo(f"not looked at: {placed.name}: {shortened(str(error))}", err=True)
    alone = len(grouped.issues) - len(several)
    spare = [member for plan in plans for member, _ in plan.spare]
    click.echo(f"{plural(len(grouped.issues), 'issue')}, {alone} with one run only; {_told(spare)}", err=True)
    if not spare:
        return
    if not yes:
        click.echo("  next:    `fluxrun minimize --yes` deletes them", err=True)
        return
    for member in spare:
        member.placed.bundle.unlink()
    click.echo(f"deleted {_told(spare)}", err=True)


def _plans(project: Project, issues: list[Issue]) -> Iterator[_Plan]:
    with redirect_stdout(sys.stderr):  # the app may print
        stages = stages_for(project)
        try:
            plans = [_plan(project, stages, issue) for issue in issues]
        finally:
            stages.close()
    yield from plans


def _plan(project: Project, stages: Stages, issue: Issue) -> _Plan:
    """Replay an issue's runs, guarded ones first and then by size, until one shows the failure."""
    ordered = sorted(issue.members, key=lambda one: (one.guard is None, one.size_bytes, one.placed.run_id))
    reasons: dict[str, str] = {}
    keeper = None
    for member in ordered:
        reasons[member.placed.run_id] = reason = _hindrance(project, stages, member)
        if not reason:
            keeper = member
            break
    plan = _Plan(issue)
    for member in ordered:
        stays, reason = _must_stay(member), reasons.get(member.placed.run_id, "the same failure")
        if member is keeper:
            plan.kept.append((member, stays or "the smallest that shows the failure"))
        elif keeper is None or stays:
            plan.kept.append((member, stays if keeper else reason))
        else:
            plan.spare.append((member, reason))
    return plan


def _must_stay(member: Member) -> str:
    if member.guard is not None:
        return f"guarded{f', proven on {member.guard.proven}' if member.guard.proven else ''}"
    return "locked here" if member.locked else ""


def _hindrance(project: Project, stages: Stages, member: Member) -> str:
    """Why a run doesn't show its failure, in a replay; "" where it does, or where its guard says that it did."""
    if member.guard is not None and member.guard.proven:
        return ""
    if member.locked:
        return "locked here: it can't be replayed"
    try:
        run, guard = project.open(member.placed)
        judgement = own_judgement(stages.replay(run), guard)
    except FluxRunError as error:
        return f"can't be replayed: {shortened(error.what, _LONGEST_TEXT)}"
    if judgement.passed:
        return ""
    return f"doesn't show the failure: {shortened(judgement.first_divergence or judgement.verdict, _LONGEST_TEXT)}"


def _show(plan: _Plan) -> None:
    click.echo(styled(f"issue {plan.issue.id}  {shortened(plan.issue.text, _LONGEST_TEXT)}", bold=True))
    rows = [("keep", *_cells(member), why) for member, why in plan.kept]
    rows += [("spare", *_cells(member), why) for member, why in plan.spare]
    for line in columns(rows):
        click.echo(f"  {line}")


def _cells(member: Member) -> tuple[str, str, str]:
    return member.placed.name, _size(member.size_bytes), plural(sum(member.index.counts.values()), "call")


def _told(spare: list[Member]) -> str:
    return f"{plural(len(spare), 'spare run')}, {_size(sum(member.size_bytes for member in spare))}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1024:.1f} KiB" if size_bytes < 1024 * 1024 else f"{size_bytes / 1024 / 1024:.1f} MiB"
