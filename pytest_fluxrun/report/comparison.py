"""What reports say to a gate, alone or beside the report of an earlier session. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.judgement.requirement import Ended, Listed, Requirement, unmet
from pytest_fluxrun.report.document import Report, ReportedRun
from pytest_fluxrun.report.shards import Shard

__all__ = ["problems", "refuse_unfinished", "regressions"]

_PASSING: Final = frozenset({"match", "fixed", "beyond"})
_GREEN: Final = frozenset({Ended.PASSED, Ended.PENDING})


def refuse_unfinished(report: Report, name: str) -> None:
    """A report of a session that didn't come to its end proves nothing.

    Raises:
        FluxRunError: it is one.
    """
    if not report.session.complete:
        raise FluxRunError(
            f"the report {name} is incomplete",
            why=report.session.incomplete_because,
            next_step="run the session to its end: without -x and --maxfail, and with workers that don't crash",
        )


def problems(shards: Sequence[Shard], requirement: Requirement, listed: Sequence[Listed]) -> Iterator[str]:
    """Why complete reports, each of a part of the runs, aren't green, one line each; nothing where they are.

    Args:
        shards: one for a session that wasn't split.
        requirement: what must have been replayed, in any of them.
        listed: the run directories, for a requirement of all guards.
    """
    for name, report in shards:
        yield from _own_problems(report, f"{name}: " if len(shards) > 1 else "")
    ended = {run.run_id: _ended(run) for _, report in shards for run in report.runs}
    lacking = unmet(requirement, ended, listed)
    if lacking and lacking not in [report.session.gate for _, report in shards]:
        yield lacking


def _own_problems(report: Report, where: str) -> Iterator[str]:
    """What one session says of itself."""
    red = [run for run in report.runs if _ended(run) in (Ended.FAILED, Ended.UNREADY)]
    yield from (_line("not green", run) for run in red)
    if report.session.gate:
        yield f"{where}{report.session.gate}"
    elif not red and report.session.exit_status:
        yield f"{where}pytest's exit code was {report.session.exit_status}: something else than a run failed."


def regressions(baseline: Report, report: Report) -> Iterator[str]:
    """What got worse since the baseline, one line each: red now and green then, not replayed any more, new and red.

    Raises:
        FluxRunError: only a part of the runs is in the baseline.
    """
    if baseline.session.narrowed:
        raise FluxRunError(
            "the baseline holds a part of the runs",
            why="it was made with -k, -m, --lf, paths or node ids",
            next_step="make it anew of all runs, on the branch to compare with",
        )
    before = {run.run_id: run for run in baseline.runs}
    now = {run.run_id: run for run in report.runs}
    for run_id, run in before.items():
        if run_id not in now:
            yield f"gone: {run.name} was {run.verdict or run.outcome} in the baseline, and isn't in the report"
    for run_id, run in now.items():
        ended = _ended(run)
        if run_id not in before:
            if ended not in _GREEN:
                yield _line("new and not green", run)
        elif _ended(before[run_id]) in _GREEN and ended not in _GREEN:
            yield _line(f"was {before[run_id].verdict}", run)


def _ended(run: ReportedRun) -> Ended:
    match run.outcome:
        case "passed":
            return Ended.PASSED if run.verdict in _PASSING else Ended.FAILED
        case "xfailed":
            pending = run.guard is not None and run.guard.pending and run.verdict == "reproduced"
            return Ended.PENDING if pending else Ended.FAILED
        case "failed":
            return Ended.FAILED
        case "error":
            return Ended.UNREADY
        case _:
            return Ended.LOCKED if run.verdict == "locked" else Ended.SKIPPED


def _line(kind: str, run: ReportedRun) -> str:
    detail = run.first_divergence or run.problem.partition("\n")[0] or run.reason
    return f"{kind}: {run.name} is {run.verdict or run.outcome}" + (f": {detail}" if detail else "")
