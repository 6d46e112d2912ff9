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
    """Counts the runs of a session.

    Args:
        directories: of runs.

    Attributes:
        verdicts: how many runs have each.
    """

    config: pytest.Config
    directories: tuple[Path, ...]
    verdicts: Counter[str] = field(default_factory=Counter)
    _drift: Counter[str] = field(default_factory=Counter)
    _start_ups: set[str] = field(default_factory=set)
    _seconds: dict[str, float] = field(default_factory=dict)
    _fixed: set[str] = field(default_factory=set)
    _red: set[str] = field(default_factory=set)

    def count(self, report: pytest.TestReport, properties: Mapping[str, str]) -> None:
        """Count the report that ended a run's item."""
        verdict = properties.get("fluxrun.verdict", "skipped" if report.skipped else "unready")
        self.verdicts[verdict] += 1
        self._seconds[report.nodeid] = report.duration
        if "fluxrun.start_up" in properties:
            self._start_ups.add(properties["fluxrun.start_up"])
        for counted in filter(None, properties.get("fluxrun.drift", "").split("; ")):
            kind, _, number = counted.rpartition(" ")
            self._drift[kind] += int(number)
        if report.failed:
            self._red.add(report.nodeid)
        if verdict == "fixed" and properties.get("fluxrun.judged") == "failed":
            self._fixed.add(report.nodeid)

    def lines(self) -> Iterator[str]:
        """The lines, without those that would say nothing."""
        if self.verdicts:
            counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.verdicts.items()))
            yield f"fluxrun: {self.verdicts.total()} runs: {counts}"
        for drift in sorted(self._start_ups)[:_MOST]:
            yield f"fluxrun: start-up differs from the recorded one: {drift}"
        if len(self._start_ups) > _MOST:
            yield f"fluxrun: start-up differs in {len(self._start_ups) - _MOST} more ways"
        if self._drift:
            yield f"fluxrun: drift: {_some([f'{count} {name}' for name, count in self._drift.most_common()])}"
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
