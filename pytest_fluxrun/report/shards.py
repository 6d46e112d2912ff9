"""The reports of several sessions that shared one project's runs among them, as one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.report.document import Report, ReportedSession

__all__ = ["Shard", "duplicates", "together"]

Shard = tuple[str, Report]
"""A report, and the name of its file."""


def together(shards: Sequence[Shard]) -> Report:
    """One report of all runs, in the order of their node ids; a single one as it is.

    Its session is complete and not narrowed: that the shards are all there is for a requirement to say.

    Raises:
        FluxRunError: they aren't of equal sessions.
    """
    if len(shards) == 1:
        return shards[0][1]
    _refuse_unequal(shards)
    sessions = [report.session for _, report in shards]
    first = sessions[0]
    session = ReportedSession(
        started_at_utc=min(each.started_at_utc for each in sessions),
        duration_s=sum(each.duration_s for each in sessions),
        exit_status=next((each.exit_status for each in sessions if each.exit_status), 0),
        complete=True,
        collected=sum(each.collected for each in sessions),
        required=first.required,
        required_runs=first.required_runs,
        gate="; ".join(each.gate for each in sessions if each.gate),
        directories=first.directories,
        versions=first.versions,
        verdicts=_summed(each.verdicts for each in sessions),
        outcomes=_summed(each.outcomes for each in sessions),
        values=any(each.values for each in sessions),
    )
    runs = sorted((run for _, report in shards for run in report.runs), key=lambda run: run.nodeid)
    return Report(project=shards[0][1].project, session=session, runs=tuple(runs))


def duplicates(shards: Sequence[Shard]) -> Iterator[str]:
    """Runs that are in several shards, one line each: which of its results counts can't be told."""
    where: dict[str, list[str]] = {}
    for name, report in shards:
        for run in report.runs:
            where.setdefault(run.name, []).append(name)
    for run_name, names in sorted(where.items()):
        if len(names) > 1:
            yield f"in several reports: {run_name} is in {', '.join(names)}"


def _refuse_unequal(shards: Sequence[Shard]) -> None:
    """What was replayed otherwise there than here can't be added up."""
    name, first = shards[0]
    expected = _facts(first)
    for other, report in shards[1:]:
        told = _facts(report)
        for fact in sorted(expected.keys() | told.keys()):
            if expected.get(fact) != told.get(fact):
                raise FluxRunError(
                    f"{name} and {other} are no shards of one session",
                    why=f"{fact}: {_shown(expected.get(fact))} in the first, {_shown(told.get(fact))} in the second",
                    next_step="make all reports of one commit, with the same versions and options of FluxRun's",
                )


def _facts(report: Report) -> dict[str, Any]:
    session = report.session
    return {
        "project": report.project,
        "run directories": session.directories,
        "--fluxrun-require": session.required_runs or session.required,
        **session.versions,
    }


def _shown(value: Any) -> str:
    return ", ".join(value) or "none" if isinstance(value, tuple) else "none" if value is None else str(value)


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))
