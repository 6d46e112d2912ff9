"""Failed runs grouped by issue, and `fluxrun list --issues`. Opens each bundle; a locked one counts by its index."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import click

from pytest_fluxrun.bundle import Index, read_index
from pytest_fluxrun.cli.console import columns, plural
from pytest_fluxrun.cli.project import Project
from pytest_fluxrun.errors import FluxRunError, NoMatchingKey
from pytest_fluxrun.judgement.corpus import Placed
from pytest_fluxrun.judgement.fingerprint import Fingerprint, fingerprint
from pytest_fluxrun.judgement.guard import Guard, read_guard
from pytest_fluxrun.report.plain_text import shortened

__all__ = ["Grouped", "Issue", "Member", "group", "list_issues"]

_HEADER = ("ISSUE", "RUNS", "FIRST (UTC)", "LAST (UTC)", "ENTRY", "FAILURE", "GUARD")
_LONGEST_FAILURE = 100
_LONGEST_GUARD = 60
_SHORT_ID = 10


@dataclass(frozen=True, slots=True)
class Member:
    """One run of an issue. `locked`: no key here opens it."""

    placed: Placed
    index: Index
    guard: Guard | None
    size_bytes: int
    locked: bool


@dataclass(slots=True)
class Issue:
    """Runs of one failure, in the order of their start. `id` begins with `~` where only the index tells it."""

    id: str
    text: str
    members: list[Member] = field(default_factory=list)


@dataclass(slots=True)
class Grouped:
    """Issues, the one seen last at the end; how many runs went well; which can't be told, and why."""

    issues: list[Issue]
    went_well: int
    problems: list[tuple[Placed, FluxRunError]]


def group(project: Project, placed: Iterable[Placed]) -> Grouped:
    """Open runs and group those that failed."""
    issues: dict[str, Issue] = {}
    grouped = Grouped([], 0, [])
    for one in placed:
        try:
            member, told = _told(project, one)
        except FluxRunError as error:
            grouped.problems.append((one, error))
            continue
        if told is None:
            grouped.went_well += 1
            continue
        issue = issues.setdefault(told.id, Issue(told.id, told.text))
        issue.text = told.text
        issue.members.append(member)
    for issue in issues.values():
        issue.members.sort(key=_started)
    grouped.issues = sorted(issues.values(), key=lambda issue: _started(issue.members[-1]))
    return grouped


def _started(member: Member) -> tuple[int, str]:
    return member.index.started_at_unix_ns, member.placed.run_id


def _told(project: Project, placed: Placed) -> tuple[Member, Fingerprint | None]:
    run, guard = None, None
    try:
        run, guard = project.open(placed)
    except NoMatchingKey:
        guard = None if placed.guard is None else read_guard(placed.guard)
    index = read_index(placed.bundle)
    told = _by_index(index) if run is None else fingerprint(run, route=index.route)
    return Member(placed, index, guard, placed.bundle.stat().st_size, locked=run is None), told


def _by_index(index: Index) -> Fingerprint | None:
    """What a locked run's index says: its keyed fingerprint, which groups the runs of one producer alone."""
    if not index.error_type and (index.status or 0) < 500:
        return None
    said = index.fingerprint or f"{index.entry} {index.route} {index.status} {index.error_type}"
    error = index.error_type.rpartition(".")[2]
    text = " ".join(filter(None, (str(index.status or ""), error, "(locked: by its index alone)")))
    return Fingerprint(f"~{hashlib.sha256(said.encode()).hexdigest()[: _SHORT_ID - 1]}", text)


def list_issues(project: Project, placed: Sequence[Placed], where: str) -> None:
    """Print one line per issue. Exits with 1 where a run can't be told."""
    grouped = group(project, placed)
    if grouped.issues:
        for line in columns([_HEADER, *map(_row, grouped.issues)]):
            click.echo(line)
    failed = sum(len(issue.members) for issue in grouped.issues)
    click.echo(
        f"{plural(len(grouped.issues), 'issue')} in {where}: {failed} of {plural(len(placed), 'run')} failed", err=True
    )
    for one, error in grouped.problems:
        click.echo(f"  left out: {one.name}: {shortened(str(error))}", err=True)
    if grouped.problems:
        raise SystemExit(1)


def _row(issue: Issue) -> tuple[str, ...]:
    first, last = issue.members[0].index, issue.members[-1].index
    entries = ", ".join(dict.fromkeys(member.index.entry for member in issue.members))
    text = shortened(issue.text, _LONGEST_FAILURE)
    return (issue.id, str(len(issue.members)), _time(first), _time(last), entries, text, _guards(issue))


def _time(index: Index) -> str:
    return datetime.fromtimestamp(index.started_at_unix_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _guards(issue: Issue) -> str:
    guards = [member.guard for member in issue.members if member.guard is not None]
    told = dict.fromkeys(f"{guard.expect}{', pending' if guard.pending else ''}" for guard in guards)
    return shortened("; ".join(told), _LONGEST_GUARD) or "-"
