"""What a replay showed, as data for judgement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.naming import CallName
from pytest_fluxrun.replaying.finding import Played

__all__ = ["Evidence"]

_NOT_MADE = frozenset({"local", "miss"})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a replay showed.

    Attributes:
        recorded: the run's outcome.
        outcome: the replay's, or None where the deadline ended it.
        unrecorded: message of the latched miss, or "".
        asked: the missed call on one line, or "".
        lacked: the missed call of a boundary: `call`, as a guard names it, `kind` and `request`, a Value.
        asked_by: the project's code that made the missed call, as `Class.method (file:line)`, or "".
        all_played: the miss came after every recorded interaction had been played, upkeep aside.
        leaks: blocked live side effects, one line each.
        deadline: what was waited for, or "".
        drifts: in the order of happening.
        tokens: what stands for secrets in the recorded outcome.
        derived: digests that the replay made of such tokens, hexadecimal; recorded are those of the secrets.
        recorded_logs: the run's log records, as `level logger: message`.
        logs: the replay's.
        telemetry: what instruments wanted to send and didn't, one line each. Never a ground for a verdict.
        crossings: in the order of happening.
    """

    recorded: Any
    outcome: Any
    unrecorded: str = ""
    asked: str = ""
    lacked: Mapping[str, Any] | None = None
    asked_by: str = ""
    all_played: bool = False
    leaks: tuple[str, ...] = ()
    deadline: str = ""
    drifts: tuple[Drift, ...] = ()
    tokens: tuple[str, ...] = ()
    derived: tuple[str, ...] = ()
    recorded_logs: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    telemetry: tuple[str, ...] = ()
    crossings: tuple[Played, ...] = ()

    @property
    def calls(self) -> tuple[CallName, ...]:
        """The calls that were answered, in the order of happening; not those that the boundary answered by itself."""
        return tuple(crossing.name for crossing in self.crossings if crossing.source not in _NOT_MADE)

    def to_document(self) -> dict[str, Any]:
        """As JSON holds it, to be handed to another process."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Evidence:
        """What `to_document` gave, after JSON."""
        plain = {"recorded", "outcome"}
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) and name not in plain else value
            for name, value in document.items()
        }
        fields["drifts"] = tuple(
            Drift(DriftKind(drift["kind"]), drift["call"], drift["text"], tuple(drift["paths"]))
            for drift in document["drifts"]
        )
        fields["crossings"] = tuple(
            Played(**{**crossing, "name": CallName(**crossing["name"])}) for crossing in document["crossings"]
        )
        return cls(**fields)
