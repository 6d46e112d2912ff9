"""Records a function's clock and entropy reads and replays them, with the smallest sessions, as a run stores them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pytest_fluxrun import ambient
from pytest_fluxrun.context import LANE, Clock, Lane, entered
from pytest_fluxrun.drift import Drift
from pytest_fluxrun.recording.reads import segments_of
from pytest_fluxrun.replaying.timeline import Timeline
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from pytest_fluxrun.run import Interaction, LaneSpec, Recording, Run

__all__ = ["RecordingSession", "ReplayingSession", "crossed", "record", "replay", "stored"]


class RecordingSession:
    """Owns lanes whose reads are recorded."""

    preamble = False
    closed = False
    clock: Clock | None = None

    def __init__(self) -> None:
        self.lanes: list[Lane] = []
        self.crossings: list[Lane] = []
        self.wall_ns, self.mono_ns = ambient.time_ns(), ambient.monotonic_ns()
        self.lane = Lane(self)

    def ambient_for(self, lane: Lane) -> list[Any]:
        """A list for the lane's reads."""
        self.lanes.append(lane)
        return []

    def crossed(self, lane: Lane, number: int) -> None:
        """A crossing of the lane ends; numbers count from 0."""
        assert number == len(self.crossings)
        self.crossings.append(lane)
        assert lane.ambient is not None
        lane.ambient.append(number)

    def recording(self) -> Recording:
        """What was recorded."""
        for index, lane in enumerate(self.lanes):
            lane.index = index
        return Recording(
            wall_ns=self.wall_ns,
            mono_ns=self.mono_ns,
            perf_ns=self.mono_ns,
            duration_ns=ambient.monotonic_ns() - self.mono_ns,
            lanes=tuple(LaneSpec(lane.path, lane.position) for lane in self.lanes),
            interactions=tuple(
                Interaction("b", "http", 1, lane.index, 0, 0, {"number": number})
                for number, lane in enumerate(self.crossings)
            ),
            segments=tuple(
                segments_of(
                    [(lane, lane.ambient or []) for lane in self.lanes],
                    position={n: n for n in range(len(self.crossings))},
                )
            ),
        )


class ReplayingSession:
    """Owns lanes that a timeline serves."""

    preamble = False
    closed = False

    def __init__(self, recording: Recording, *, run_id: str, tokens: tuple[str, ...]) -> None:
        clock = VirtualClock()
        self.clock: Clock | None = clock
        self.drifts: list[Drift] = []
        self.timeline = Timeline(recording, clock=clock, run_id=run_id, observe=self.drifts.append, tokens=tokens)
        self.lane = Lane(self)

    def ambient_for(self, lane: Lane) -> Any:
        """What serves the lane's reads."""
        return self.timeline.ambient_for(lane.path, lane.position)

    def crossed(self, lane: Lane, number: int) -> None:
        """A recorded crossing was served."""
        self.timeline.crossed(lane.path, lane.position, number)


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a replay."""

    result: Any
    drifts: tuple[tuple[str, str], ...]
    session: ReplayingSession


@contextmanager
def child(name: str) -> Iterator[Lane]:
    """Run the block in a new child lane."""
    lane = LANE.get()
    assert lane is not None
    with entered(lane.spawn(name)) as spawned:
        assert spawned is not None
        yield spawned


def crossed(number: int) -> None:
    """In a recorded function: its call of that number is over."""
    lane = LANE.get()
    assert lane is not None
    lane.session.crossed(lane, number)  # type: ignore[attr-defined]  # both sessions above have it


def record(function: Callable[[], Any]) -> tuple[Any, Recording]:
    """What a function returned in a run, and the run's recording."""
    session = RecordingSession()
    with entered(session.lane):
        result = function()
    return result, session.recording()


def stored(recording: Recording) -> Recording:
    """The recording after having been written and read."""
    run = Run(id="0" * 26, project="p", entry="e", entry_kind="function", input=None, outcome=None, recording=recording)
    return Run.from_payload(run.to_payload()).recording


def replay(
    recording: Recording, function: Callable[[], Any], *, run_id: str = "run", tokens: tuple[str, ...] = ()
) -> Replay:
    """Run a function against a recording that was stored in between."""
    session = ReplayingSession(stored(recording), run_id=run_id, tokens=tokens)
    with entered(session.lane):
        result = function()
    return Replay(result, tuple((drift.kind, drift.text) for drift in session.drifts), session)
