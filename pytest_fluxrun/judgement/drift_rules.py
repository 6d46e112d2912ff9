"""Which drift fails: by default, by the project's settings, and by a guard's rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from pytest_fluxrun.config import Settings
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.judgement.comparison import text_matches
from pytest_fluxrun.judgement.guard import Guard

__all__ = ["DEFAULT_POLICY", "FAILING", "DriftPolicy", "failing_drifts", "rules_for", "unused_rules", "with_age"]

FAILING: Final = frozenset(
    {DriftKind.CHANGED_EFFECT, DriftKind.MISSING_EFFECT, DriftKind.NEW_EFFECT, DriftKind.REORDERED}
)
"""What fails where nothing else is said; all other kinds are noted."""
_UNPLAYED: Final = frozenset({DriftKind.MISSING_READ, DriftKind.UNPLAYED})
_DAYS: Final = {"d": 1, "w": 7}


@dataclass(frozen=True, slots=True)
class DriftPolicy:
    """A project's rules, for all of its guards.

    Attributes:
        failing: the kinds that fail unless a guard allows them.
        max_age_days: beyond that a run is `aged`; 0: never.
    """

    failing: frozenset[DriftKind] = FAILING
    max_age_days: int = 0

    @classmethod
    def of(cls, settings: Settings, *, strict: bool = False) -> DriftPolicy:
        """What the settings say.

        Args:
            strict: all drift fails.
        """
        unplayed = _UNPLAYED if settings.on_unplayed == "fail" else frozenset()
        named = frozenset(map(DriftKind, settings.fail_on))
        failing = frozenset(DriftKind) if strict else FAILING | unplayed | named
        age = settings.max_age
        return cls(failing, int(age[:-1]) * _DAYS[age[-1]] if age else 0)


DEFAULT_POLICY: Final = DriftPolicy()


def failing_drifts(
    drifts: Iterable[Drift], guard: Guard | None, policy: DriftPolicy = DEFAULT_POLICY
) -> tuple[Drift, ...]:
    """The drift that fails, in its order: what the guard allows never does, what it forbids always."""
    return tuple(
        drift
        for drift in drifts
        if not _allowed(drift, guard) and (drift.kind in policy.failing or _forbidden(drift, guard))
    )


def unused_rules(drifts: Iterable[Drift], guard: Guard | None) -> tuple[str, ...]:
    """The guard's allow rules that no drift needs. Meaningless unless the replay went on to its end."""
    if guard is None:
        return ()
    seen = tuple(drifts)
    return tuple(rule for rule in guard.drift.allow if not any(_concerns(rule, drift) for drift in seen))


def rules_for(drift: Drift) -> tuple[str, ...]:
    """The allow rules that allow exactly this drift: its places where it has some, else its call."""
    if drift.kind is DriftKind.AGED:
        return (drift.kind.value,)
    return tuple(f"{drift.kind}: {text}" for text in drift.paths or (_numbered(drift),))


def with_age(evidence: Evidence, *, started_ns: int, now_ns: int, policy: DriftPolicy) -> Evidence:
    """The evidence with the drift `aged`, where the run is older than the policy wants.

    Args:
        started_ns: when the run was recorded, Unix time.
        now_ns: the time now.
    """
    days = (now_ns - started_ns) // (86_400 * 10**9)
    if not policy.max_age_days or days <= policy.max_age_days:
        return evidence
    recorded = datetime.fromtimestamp(started_ns // 10**9, UTC).date().isoformat()
    text = f"recorded on {recorded}, {days} days ago; fluxrun_max_age is {policy.max_age_days} days"
    return replace(evidence, drifts=(*evidence.drifts, Drift(DriftKind.AGED, 0, text)))


def _allowed(drift: Drift, guard: Guard | None) -> bool:
    if guard is None:
        return False
    if guard.fix is not None and drift.call in guard.fix.effects:
        return True
    texts = list(_texts(guard.drift.allow, drift.kind))
    if any(_says(text, drift) for text in texts):
        return True
    return bool(drift.paths) and all(any(text_matches(path, text) for text in texts) for path in drift.paths)


def _forbidden(drift: Drift, guard: Guard | None) -> bool:
    return guard is not None and any(_concerns(rule, drift) for rule in guard.drift.fail)


def _concerns(rule: str, drift: Drift) -> bool:
    """Whether a rule is about a drift, or about one of its places."""
    return any(
        _says(text, drift) or any(text_matches(path, text) for path in drift.paths)
        for text in _texts((rule,), drift.kind)
    )


def _texts(rules: Iterable[str], kind: DriftKind) -> Iterator[str]:
    """What the rules for a kind say beside it."""
    for rule in rules:
        name, _, text = rule.partition(":")
        if name.strip() == kind:
            yield text.strip()


def _says(text: str, drift: Drift) -> bool:
    """Whether a rule's text is that of a whole drift, with or without the call's number; "" is that of any."""
    return not text or text_matches(drift.text.strip(), text) or text_matches(_numbered(drift), text)


def _numbered(drift: Drift) -> str:
    text = drift.text.strip()
    return f"call[{drift.call}] {text}" if drift.call else text
