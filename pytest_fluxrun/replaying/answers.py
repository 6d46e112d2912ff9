"""What answers the replays of a process beside each run's own recording: its start-up, and what earlier runs read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from pytest_fluxrun.naming import CallName
from pytest_fluxrun.replaying.matching import Matcher
from pytest_fluxrun.run import HandAnswer, Interaction, LaneSpec, Recording
from pytest_fluxrun.values import Value

__all__ = ["Answers"]


class Answers:
    """What a process's replays share: the preamble's interactions, which may answer any number of times.

    Args:
        preamble: a recording.
        supplement: what `fluxrun extend` asked for the run: for reads alone, each noted as drift.
        by_hand: what the run's guard answers in words: in their order, of those for one call the last again and again.
        earlier: what earlier runs of the recorded process had read: asked last, for reads alone, each noted as drift.
    """

    def __init__(
        self,
        preamble: Recording | None,
        *,
        earlier: Recording | None = None,
        supplement: Sequence[Interaction] = (),
        by_hand: Sequence[HandAnswer] = (),
    ) -> None:
        interactions = () if preamble is None else preamble.interactions
        self.interactions = interactions
        self.matcher = Matcher(interactions, () if preamble is None else preamble.lanes)
        self._earlier = earlier
        self.supplement = tuple(supplement)
        self.supplement_matcher = Matcher(self.supplement, (LaneSpec((), ()),))
        self._by_hand = tuple(by_hand)
        self._given: set[int] = set()
        self.reads: Mapping[str, Mapping[str, list[Value]]] = {} if preamble is None else preamble.reads

    @cached_property
    def earlier(self) -> tuple[Interaction, ...]:
        """What earlier runs had asked, read when something is looked for there; so are the two below.

        Raises:
            DamagedBundle: it can't be read.
        """
        return () if self._earlier is None else self._earlier.interactions

    @cached_property
    def earlier_matcher(self) -> Matcher:
        """Finds in `earlier`."""
        return Matcher(self.earlier, () if self._earlier is None else self._earlier.lanes)

    @property
    def earlier_reads(self) -> Mapping[str, Mapping[str, list[Value]]]:
        """What earlier runs had read without a call."""
        return {} if self._earlier is None else self._earlier.reads

    def by_hand(self, call: CallName) -> HandAnswer | None:
        """What the guard says of a call."""
        fitting = [
            index
            for index, one in enumerate(self._by_hand)
            if call.fits(one.call) and not (one.once and index in self._given)
        ]
        if not fitting:
            return None
        index = next((index for index in fitting if index not in self._given), fitting[-1])
        self._given.add(index)
        return self._by_hand[index]
