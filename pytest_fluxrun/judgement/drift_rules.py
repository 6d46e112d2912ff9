"""Which drift fails a guard: the defaults, and what a guard allows. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.judgement.comparison import text_matches
from pytest_fluxrun.judgement.guard import Guard

__all__ = ["failing_drifts"]

_FAILING = frozenset({DriftKind.CHANGED_EFFECT, DriftKind.MISSING_EFFECT, DriftKind.NEW_EFFECT, DriftKind.REORDERED})


def failing_drifts(drifts: Iterable[Drift], guard: Guard | None) -> tuple[Drift, ...]:
    """The drift that fails the guard, in its order."""
    return tuple(drift for drift in drifts if drift.kind in _FAILING and not _allowed(drift, guard))


def _allowed(drift: Drift, guard: Guard | None) -> bool:
    if guard is None:
        return False
    if guard.fix is not None and drift.call in guard.fix.effects:
        return True
    for rule in guard.drift.allow:
        kind, _, text = rule.partition(":")
        if kind.strip() == drift.kind and (not text.strip() or text_matches(drift.text, text.strip())):
            return True
    return False
