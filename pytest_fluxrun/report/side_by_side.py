"""A run's timeline in a report: each recorded call beside the replay's, and what only one of the two made. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.judgement.verdict import Judgement
from pytest_fluxrun.replaying.finding import Played
from pytest_fluxrun.report.calls import answer_shape, answer_text, call_shape, call_text
from pytest_fluxrun.report.described import MOST_PLACES, bare_path, legible
from pytest_fluxrun.report.document import RecordedCall, ReplayedCall, ReportedCall
from pytest_fluxrun.run import Interaction, Run
from pytest_fluxrun.values import plain

__all__ = ["first_divergent", "reported_paths", "timeline_of"]

_CHANGED = frozenset({DriftKind.CHANGED_EFFECT, DriftKind.REORDERED, DriftKind.PROJECTED_READ})


@dataclass(frozen=True, slots=True)
class _Crossing:
    """A call of the replay with its place among all of them, from 1."""

    position: int
    played: Played


def timeline_of(run: Run, evidence: Evidence, *, values: bool) -> tuple[ReportedCall, ...]:
    """The recorded calls in their order; what only the replay made follows the call after which it was made."""
    answered: dict[int, _Crossing] = {}
    extra: dict[int, list[_Crossing]] = {}
    last = -1
    for position, played in enumerate(evidence.crossings, start=1):
        crossing = _Crossing(position, played)
        if played.source == "run" and played.index not in answered:
            answered[played.index] = crossing
            last = played.index
        else:
            extra.setdefault(last, []).append(crossing)
    drifts = _Drifts(evidence.drifts)
    found = [_new(crossing, drifts, values=values) for crossing in extra.get(-1, ())]
    for index, interaction in enumerate(run.recording.interactions):
        found.append(_recorded(run, index, interaction, answered.get(index), drifts, values=values))
        found += (_new(crossing, drifts, values=values) for crossing in extra.get(index, ()))
    return tuple(found)


def first_divergent(timeline: Sequence[ReportedCall], evidence: Evidence, judgement: Judgement) -> int | None:
    """Index of the call by which the run fails or, where its outcome does so, of the first that isn't the same."""
    if evidence.unrecorded:
        return _first(index for index, call in enumerate(timeline) if call.replayed and call.replayed.source == "miss")
    failing = {(drift.kind, drift.call) for drift in judgement.failing_drifts}
    by_drift = _first(index for index, call in enumerate(timeline) if (call.drift, call.number or 0) in failing)
    if by_drift is not None:
        return by_drift
    return _first(index for index, call in enumerate(timeline) if call.status != "same")


def reported_paths(drift: Drift, *, values: bool) -> tuple[str, ...]:
    """Where a drift's call differs; without values, not from what to what."""
    paths = drift.paths
    if not values and drift.kind is not DriftKind.REORDERED:
        paths = tuple(dict.fromkeys(map(bare_path, paths)))
    shown = tuple(map(legible, paths[:MOST_PLACES]))
    more = len(paths) - MOST_PLACES
    return (*shown, f"… and {more:,} more places") if more > 0 else shown


class _Drifts:
    """A replay's drifts by the call that they are about."""

    def __init__(self, drifts: Sequence[Drift]) -> None:
        self._recorded: dict[int, Drift] = {}
        self._new: dict[str, Drift] = {}
        for drift in drifts:
            if drift.call and drift.kind is not DriftKind.REPEATED_READ:
                self._recorded.setdefault(drift.call, drift)
            else:
                self._new.setdefault(drift.text, drift)

    def of_recorded(self, number: int) -> Drift | None:
        return self._recorded.get(number)

    def of_new(self, played: Played) -> Drift | None:
        return self._new.get(f"{played.boundary} {played.text}")


def _first(indexes: Iterator[int]) -> int | None:
    return next(indexes, None)


def _recorded(
    run: Run, index: int, interaction: Interaction, crossing: _Crossing | None, drifts: _Drifts, *, values: bool
) -> ReportedCall:
    drift = drifts.of_recorded(index + 1)
    changed = drift is not None and drift.kind in _CHANGED
    return ReportedCall(
        number=index + 1,
        lane=_lane(run, interaction.lane),
        boundary=legible(interaction.boundary),
        kind=legible(interaction.kind),
        label=legible(interaction.label),
        effect=interaction.effect,
        status="missing" if crossing is None else "changed" if changed else "same",
        drift=drift.kind.value if drift is not None else "",
        paths=reported_paths(drift, values=values) if drift is not None else (),
        recorded=RecordedCall(
            asked=legible(call_text(interaction) if values else call_shape(interaction)),
            answered=legible(answer_text(interaction) if values else answer_shape(interaction)),
            failed=interaction.failed,
            started_ns=interaction.started_ns,
            ended_ns=interaction.ended_ns,
            content=_content(interaction) if values else "",
        ),
        replayed=None if crossing is None else _replayed(crossing, values=values),
    )


def _new(crossing: _Crossing, drifts: _Drifts, *, values: bool) -> ReportedCall:
    played = crossing.played
    drift = drifts.of_new(played)
    return ReportedCall(
        number=None,
        lane=legible(played.lane),
        boundary=legible(played.boundary),
        kind=legible(played.kind),
        effect=played.effect,
        status="new",
        drift=drift.kind.value if drift is not None else "",
        replayed=_replayed(crossing, values=values),
    )


def _replayed(crossing: _Crossing, *, values: bool) -> ReplayedCall:
    played = crossing.played
    return ReplayedCall(
        position=crossing.position,
        lane=legible(played.lane),
        asked=legible(played.text if values else played.shape),
        source=played.source,
    )


def _lane(run: Run, index: int) -> str:
    path = run.recording.lanes[index].path if 0 <= index < len(run.recording.lanes) else ()
    return legible("/".join(f"{name}#{ordinal}" for name, ordinal in path) or "/")


def _content(interaction: Interaction) -> str:
    """The request and what came of it, as JSON."""
    answer: Any = interaction.error if interaction.failed else interaction.answer
    both = {"request": plain(interaction.request), "error" if interaction.failed else "answer": plain(answer)}
    return legible(json.dumps(_keyed(both), default=repr, indent=2, ensure_ascii=False))


def _keyed(value: Any) -> Any:
    """A plain value with keys that JSON has."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else repr(key): _keyed(item) for key, item in value.items()}
    return [_keyed(item) for item in value] if isinstance(value, list | tuple) else value
