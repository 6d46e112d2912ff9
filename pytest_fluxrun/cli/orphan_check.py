"""What `fluxrun check` finds about calls that reached no run: the newest runs here tell of those of their process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pytest_fluxrun.cli.console import plural
from pytest_fluxrun.cli.findings import Finding, ok, warn
from pytest_fluxrun.cli.project import Project
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.judgement.corpus import all_placed
from pytest_fluxrun.run import Orphan

__all__ = ["check_orphans"]

_NEWEST: Final = 20
_SHOWN: Final = 10
_WHERE: Final = {
    "no-run": "reached no run",
    "run-over": "came when its run was over",
    "start-up-over": "came from what start-up left running, and reached no run",
}
_STEPS: Final = {
    "no-run": "start it inside a run, or decorate its function with @fluxrun.capture",
    "run-over": "wait for it before the entry returns, or decorate its function with @fluxrun.capture",
    "start-up-over": "decorate the function that it calls for each piece of work with @fluxrun.capture",
}


def check_orphans(project: Project) -> Iterator[Finding]:
    """Name them by boundary, shape and place, the most frequent first."""
    directories = [directory for directory in project.directories if directory.is_dir()]
    newest = sorted(all_placed(directories), key=lambda placed: placed.run_id)[-_NEWEST:]
    if not newest:
        return
    counts: Counter[Orphan] = Counter()
    unopened = []
    for placed in newest:
        try:
            run, _ = project.open(placed)
        except FluxRunError as error:
            unopened.append(str(error).splitlines()[0])
        else:
            for orphan in run.orphans:
                counts[replace(orphan, count=0)] += orphan.count
    left_out = f"; {len(unopened)} could not be opened: {unopened[0]}" if unopened else ""
    read = f"{plural(len(newest) - len(unopened), 'run')} read{left_out}"
    if not counts:
        yield ok("calls", f"none is known to have reached no run ({read})")
    for orphan, count in counts.most_common(_SHOWN):
        yield warn("calls", _text(orphan, count), _STEPS.get(orphan.why, _STEPS["no-run"]))
    if len(counts) > _SHOWN:
        rest = sum(count for _, count in counts.most_common()[_SHOWN:])
        yield warn(
            "calls", f"{plural(rest, 'more call')} of {len(counts) - _SHOWN} other kinds", "begin with those above"
        )


def _text(orphan: Orphan, count: int) -> str:
    if not orphan.boundary:
        return f"{plural(count, 'call')} of more kinds than are told apart reached no run"
    thread = f" from thread {orphan.thread!r}" if orphan.thread else ""
    place = f" in {orphan.place}" if orphan.place else ""
    return (
        f"{orphan.boundary} {orphan.call}{thread}{place} {_WHERE.get(orphan.why, orphan.why)}, {plural(count, 'time')}"
    )
