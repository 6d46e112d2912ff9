"""What the end of a session says of its runs: a few lines, each bounded, however many runs there were."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.judgement.corpus import Placed, scan
from pytest_fluxrun.plugin.gate import relative
from pytest_fluxrun.store import SUFFIX

__all__ = ["Summary"]

_MOST: Final = 5
_SLOWEST: Final = 3


@dataclass(slots=True)
class Summary:
    """Counts the runs of a session; one that ran again counts as it ended the last time.

    Args:
        directories: of runs.
    """

    config: pytest.Config
    directories: tuple[Path, ...]
    _verdicts: dict[str, str] = field(default_factory=dict)
    _drift: dict[str, str] = field(default_factory=dict)
    _start_ups: set[str] = field(default_factory=set)
    _seconds: dict[str, float] = field(default_factory=dict)
    _fixed: set[str] = field(default_factory=set)
    _red: set[str] = field(default_factory=set)

    def count(self, report: pytest.TestReport, properties: Mapping[str, str]) -> None:
        """Count the report that ended a run's item."""
        verdict = properties.get("fluxrun.verdict", "skipped" if report.skipped else "unready")
        self._verdicts[report.nodeid] = verdict
        self._seconds[report.nodeid] = report.duration
        if "fluxrun.start_up" in properties:
            self._start_ups.add(properties["fluxrun.start_up"])
        self._drift[report.nodeid] = properties.get("fluxrun.drift", "")
        pending = verdict == "fixed" and properties.get("fluxrun.judged") == "failed"
        for kept, belongs in ((self._red, report.failed), (self._fixed, pending)):
            (kept.add if belongs else kept.discard)(report.nodeid)

    @property
    def verdicts(self) -> Counter[str]:
        """How many runs have each."""
        return Counter(self._verdicts.values())

    def lines(self) -> Iterator[str]:
        """The lines, without those that would say nothing."""
        if self._verdicts:
            counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.verdicts.items()))
            yield f"fluxrun: {len(self._verdicts)} runs: {counts}"
        for drift in sorted(self._start_ups)[:_MOST]:
            yield f"fluxrun: start-up differs from the recorded one: {drift}"
        if len(self._start_ups) > _MOST:
            yield f"fluxrun: start-up differs in {len(self._start_ups) - _MOST} more ways"
        by_boundary = self._drift_by_boundary()
        if by_boundary:
            yield f"fluxrun: drift: {_some([f'{count} {name}' for name, count in by_boundary.most_common()])}"
        if self._fixed:
            yield (
                f"fluxrun: fixed, and still pending: {_some(map(_name, sorted(self._fixed)))}: remove `pending = true` "
                "from the guard"
            )
        yield from self._orphans()
        if len(self._seconds) > _SLOWEST:
            slowest = sorted(self._seconds, key=lambda nodeid: -self._seconds[nodeid])[:_SLOWEST]
            yield f"fluxrun: slowest: {', '.join(f'{self._seconds[one]:.2f} s {_name(one)}' for one in slowest)}"
        if self._red:
            yield f"fluxrun: again: {self._again()}"

    def _drift_by_boundary(self) -> Counter[str]:
        """`kind boundary`, with how often over all runs."""
        found: Counter[str] = Counter()
        for text in self._drift.values():
            for counted in filter(None, text.split("; ")):
                name, _, number = counted.rpartition(" ")
                found[name] += int(number)
        return found

    def _orphans(self) -> Iterator[str]:
        placed = [one for directory in self.directories for one in _scanned(directory)]
        if not any(one.guarded for one in placed):
            return
        bare = [one.name for one in placed if not one.guarded]
        lost = [one.name for one in placed if one.guarded and not one.bundle.exists()]
        if bare:
            yield f"fluxrun: {len(bare)} runs without guard: {_some(bare)}: `fluxrun expect RUN` writes one"
        if lost:
            yield f"fluxrun: {len(lost)} guards without bundle: {_some(lost)}: `fluxrun pull` fetches them"

    def _again(self) -> str:
        """The command that replays what was red here."""
        options = [f"--fluxrun-dir={relative(one, self.config.invocation_params.dir)}" for one in self.directories]
        return " ".join(
            ["pytest", *map(shlex.quote, options), *(sorted(self._red) if len(self._red) == 1 else ["--lf"])]
        )


def _scanned(directory: Path) -> list[Placed]:
    try:
        return scan(directory)
    except FluxRunError:  # it was there when the session began, and has been reported as missing since
        return []


def _name(nodeid: str) -> str:
    return nodeid.partition("::")[0].rpartition("/")[2].removesuffix(SUFFIX)


def _some(texts: Iterable[str]) -> str:
    known = list(texts)
    more = f" and {len(known) - _MOST} more" if len(known) > _MOST else ""
    return ", ".join(known[:_MOST]) + more
