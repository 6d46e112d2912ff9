"""Which recorded interaction answers a call, and the drift that lies in it: exact, in other words, from beside the run.

Knows nothing of time, misses and threads: the replayer calls it with its lock held, and decides what nothing answers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from pytest_fluxrun.boundary import Boundary, Call, Difference, Picks, Request
from pytest_fluxrun.context import Lane
from pytest_fluxrun.derived import Derived
from pytest_fluxrun.drift import Drift, DriftKind
from pytest_fluxrun.naming import CallName
from pytest_fluxrun.replaying.answers import Answers
from pytest_fluxrun.replaying.matching import Matcher
from pytest_fluxrun.replaying.missing import call_name, call_text
from pytest_fluxrun.run import Interaction, Recording

__all__ = ["REPEATED", "Finder", "Played"]

REPEATED: Final = -2
"""The position of an answer that was given before: the recorded time has no room for it, so that it takes none."""
_MOST_REPEATS: Final = 100


@dataclass(frozen=True, slots=True)
class Played:
    """One crossing of a replay.

    Attributes:
        index: the recorded interaction that answered, or -1: the boundary itself did, or nothing.
        name: as a guard names the call.
        source: `run`, `preamble`, `guard`, `supplement`, `earlier`, `local` (the boundary answered) or `miss`.
        shape: the call with nothing in it that could be a value.
    """

    index: int
    source: str
    lane: str
    text: str
    effect: bool
    name: CallName
    shape: str = ""

    @property
    def boundary(self) -> str:
        """The library's name."""
        return self.name.boundary

    @property
    def kind(self) -> str:
        """The kind's name."""
        return self.name.kind


class Finder:
    """Finds answers for one replay.

    Args:
        recording: the run's.
        shared: what answers beside it.
        tokens: the run's redaction tokens.
        derived: tells the digests that the replay has made of tokens so far.
        observe: takes each drift.
        watch: is shown each crossing as it is answered.

    Attributes:
        played: crossings in the order of happening.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        shared: Answers,
        tokens: tuple[str, ...],
        derived: Callable[[], tuple[str, ...]],
        observe: Callable[[Drift], None],
        watch: Callable[[Played], object] = lambda _: None,
    ) -> None:
        self.matcher = Matcher(recording.interactions, recording.lanes, tokens)
        self.played: list[Played] = []
        self._interactions = recording.interactions
        self._shared = shared
        self._tokens = tokens
        self._derived = derived
        self._observe = observe
        self._watch = watch
        self._last_effect: dict[tuple[tuple[tuple[str, int], ...], int], int] = {}
        self._new_reads: set[int] = set()

    def find(self, boundary: Boundary[Any], call: Call, lane: Lane) -> tuple[Interaction, int] | None:
        """The interaction that answers, and its index: -1 where it isn't the run's own, REPEATED where it was used."""
        kind, request = boundary.kind, call.form()
        canonical = kind.canonical(request)
        effect = kind.is_effect(request)
        index = self.matcher.take(kind, canonical, lane.path, lane.position)
        if index is None and self._tokens:
            recorded = self._without_secrets(boundary, call, canonical)
            if recorded is not None:
                canonical = recorded
                index = self.matcher.take(kind, canonical, lane.path, lane.position)
        picks: Picks = ()
        repeated = False
        if index is None and not effect:
            index = self._repeated(boundary, call, canonical)
            repeated = index is not None
        if index is None and (found := self._in_other_words(boundary, call, lane)) is not None:
            index, picks, repeated = found
        if index is None and effect:
            index = self._changed(boundary, call, lane)
        if index is None:
            answer = self._from_beside(boundary, call, lane, canonical, effect=effect)
            return None if answer is None else (answer, -1)
        self.note(boundary, request, lane, index, "run")
        self._check_order(boundary, call, lane, index)
        return self._picked(boundary, index, picks), REPEATED if repeated else index

    def note(self, boundary: Boundary[Any], request: Request, lane: Lane, index: int, source: str) -> None:
        """Keep a crossing in `played`."""
        kind = boundary.kind
        self.played.append(
            Played(
                index=index,
                source=source,
                lane=repr(lane),
                text=kind.text(request),
                effect=kind.is_effect(request),
                name=call_name(boundary, request),
                shape=kind.shape(request),
            )
        )
        self._watch(self.played[-1])

    def _without_secrets(self, boundary: Boundary[Any], call: Call, canonical: str) -> str | None:
        """The recorded call that a call is but for its secrets, or for what was made of them, if there is one."""
        kind, request = boundary.kind, call.form()
        recorded = self.matcher.unredacted(kind, kind.operation(request), canonical)
        if recorded is None and (derived := self._derived()):
            recorded = self.matcher.underived(kind, request, Derived(derived))
            if recorded is not None:
                text = f"{call_text(boundary, request)} holds what is computed from a redacted secret"
                self._observe(Drift(DriftKind.DERIVED_VALUE, 0, text))
        return recorded

    def _repeated(self, boundary: Boundary[Any], call: Call, canonical: str) -> int | None:
        """The last answer to an identical read made again, which is drift."""
        kind, request = boundary.kind, call.form()
        if not kind.may_repeat(request):
            return None
        index = self.matcher.repeat(kind, canonical, at_most=_MOST_REPEATS)
        if index is not None:
            self._observe(Drift(DriftKind.REPEATED_READ, index + 1, call_text(boundary, request)))
        return index

    def _in_other_words(self, boundary: Boundary[Any], call: Call, lane: Lane) -> tuple[int, Picks, bool] | None:
        """A recorded call that asks the same in other words, or more than that; whether it had answered before."""
        kind, request = boundary.kind, call.form()
        for index, picks, played in self.matcher.fitting(kind, request, lane.path):
            interaction = self._interactions[index]
            if played and (interaction.effect or not kind.may_repeat(request)):
                continue
            if picks and not interaction.failed and boundary.project(interaction.answer, picks) is None:
                continue
            self.matcher.mark(index)
            if picks:
                self._observe(Drift(DriftKind.PROJECTED_READ, index + 1, call_text(boundary, request)))
            elif played:
                self._observe(Drift(DriftKind.REPEATED_READ, index + 1, call_text(boundary, request)))
            return index, picks, played
        return None

    def _picked(self, boundary: Boundary[Any], index: int, picks: Picks) -> Interaction:
        interaction = self._interactions[index]
        if not picks or interaction.failed:
            return interaction
        return replace(interaction, answer=boundary.project(interaction.answer, picks))

    def _changed(self, boundary: Boundary[Any], call: Call, lane: Lane) -> int | None:
        """An effect of the same operation with other arguments, which is drift."""
        kind, request = boundary.kind, call.form()
        if call.otherwise is not None:
            return None
        index = self.matcher.take_effect(kind, kind.operation(request), lane.path, lane.position)
        if index is not None:
            differences = kind.differences(self.matcher.request(index), request)
            paths = tuple(_difference_text(index, difference) for difference in differences)
            self._observe(Drift(DriftKind.CHANGED_EFFECT, index + 1, call_text(boundary, request), paths))
        return index

    def _from_beside(
        self, boundary: Boundary[Any], call: Call, lane: Lane, canonical: str, *, effect: bool
    ) -> Interaction | None:
        """What start-up asked; for a read, what was asked for this run later, and what earlier runs read. All drift."""
        kind, request = boundary.kind, call.form()
        shared = self._shared.matcher.any_of(kind, canonical) if kind.may_repeat(request) else None
        if shared is not None:
            self.note(boundary, request, lane, shared, "preamble")
            if effect or (shared not in self._new_reads and not kind.is_upkeep(request)):
                self._new_reads.add(shared)
                drift = DriftKind.NEW_EFFECT if effect else DriftKind.NEW_READ
                self._observe(Drift(drift, 0, call_text(boundary, request)))
            return self._shared.interactions[shared]
        if call.otherwise is not None:
            return None
        by_hand = self._by_hand(boundary, request)
        if by_hand is not None:
            self.note(boundary, request, lane, -1, "guard")
            return by_hand
        if effect:
            return None
        for source, matcher, interactions, drift in (
            ("supplement", self._shared.supplement_matcher, self._shared.supplement, DriftKind.EXTENDED_READ),
            ("earlier", self._shared.earlier_matcher, self._shared.earlier, DriftKind.COLD_READ),
        ):
            index = matcher.any_of(kind, canonical)
            if index is not None:
                self.note(boundary, request, lane, index, source)
                self._observe(Drift(drift, 0, call_text(boundary, request)))
                return interactions[index]
        return None

    def _by_hand(self, boundary: Boundary[Any], request: Request) -> Interaction | None:
        """What the run's guard answers in words; drift.

        Raises:
            GuardError: the words aren't an answer to this call.
        """
        found = self._shared.by_hand(call_name(boundary, request))
        if found is None:
            return None
        answer = boundary.answer(request, found.reply)
        self._observe(Drift(DriftKind.ANSWERED, 0, call_text(boundary, request)))
        return Interaction(boundary.name, boundary.kind.name, boundary.schema, 0, 0, 0, None, answer=answer)

    def _check_order(self, boundary: Boundary[Any], call: Call, lane: Lane, index: int) -> None:
        """Effects that one lane made come in their order where one lane makes them again; the lock is held."""
        interaction = self._interactions[index]
        if not interaction.effect:
            return
        lanes = (lane.path, interaction.lane)
        last = self._last_effect.get(lanes, -1)
        self._last_effect[lanes] = max(last, index)
        if index < last:
            path = f"call[{index + 1}]: before call[{last + 1}] → after it"
            self._observe(Drift(DriftKind.REORDERED, index + 1, call_text(boundary, call.form()), (path,)))


def _difference_text(index: int, difference: Difference) -> str:
    name = f" ({difference.name})" if difference.name else ""
    return f"call[{index + 1}].{difference.path}{name}: {difference.recorded!r} → {difference.asked!r}"
