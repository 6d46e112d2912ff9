"""The contract of ambient boundaries, which are read and not called: clock, entropy, sleeps, environment, logging.

Subclass AmbientContract and give it exercises. Unlike `boundary`, it records and replays with the real sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, ClassVar

import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundary import Seams
from pytest_fluxrun.context import entered
from pytest_fluxrun.drift import Drift
from pytest_fluxrun.recording.dumping import dump_preamble
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.replaying.answers import Answers
from pytest_fluxrun.replaying.event_loop import call
from pytest_fluxrun.replaying.replayer import Replayer
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from pytest_fluxrun.run import Recording, Run
from pytest_fluxrun.testing.exercises import Exercised

__all__ = ["AmbientContract"]

_RUN_ID = "01jd3k5v8sy9qf4m2w6x7zabcd"


class AmbientContract(Exercised):
    """What every ambient boundary must do. Subclass it as `TestX`.

    Attributes:
        seams: what is under test, and the seams that its exercises need beside it.
        exercises: name → a function that reads the ambience and returns what it read, comparable with `==`.
        constant: names of exercises that give the same result live whenever they run.
    """

    seams: ClassVar[tuple[Seams, ...]]
    exercises: ClassVar[Mapping[str, Callable[[], Any]]]
    constant: ClassVar[frozenset[str]] = frozenset()

    @pytest.fixture(autouse=True)
    def _installed(self) -> Iterator[None]:
        """The seams for the length of a test; those of a plugin in the same process are put back."""
        others = patching.installed_patches()
        for seams in self.seams:
            for name in seams.modules:
                patching.install(seams.patches(import_module(name)))
        yield
        patching.restore_all()
        patching.install(others)

    def record(self, exercise: str) -> tuple[Any, Recording]:
        """What an exercise read in a recorded run, and the recording as a bundle would hold it."""
        recorder = Recorder("contract", "function", lambda *_: None)
        with entered(recorder.lane):
            read = self.exercises[exercise]()
        recorder.close()
        run = Run(_RUN_ID, "contract", "contract", "function", None, None, dump_preamble(recorder).recording)
        return read, Run.from_payload(run.to_payload()).recording

    def replay(self, exercise: str, recording: Recording) -> tuple[Any, Replayer]:
        """What the exercise reads when the recording is replayed."""
        clock = VirtualClock()
        replayer = Replayer(recording, run_id=_RUN_ID, shared=Answers(None), clock=clock)
        with entered(replayer.lane):
            read = call(self.exercises[exercise], clock)
        replayer.close()
        clock.close()
        return read, replayer

    def test_a_replay_reads_what_was_recorded(self, exercise: str) -> None:
        """Every read is served exactly, without drift, and the same is logged."""
        recorded, recording = self.record(exercise)

        replayed, replayer = self.replay(exercise, recording)

        assert recorded == replayed
        drifts: list[Drift] = []
        assert drifts == replayer.drifts
        assert [log["message"] for log in recording.logs] == [log["message"] for log in replayer.logs]

    def test_two_recordings_differ(self, exercise: str) -> None:
        """The exercise really reads something: live, two runs of it read different values."""
        first, second = self.record(exercise), self.record(exercise)
        if exercise in self.constant:
            assert first[0] == second[0]
        else:
            assert first[0] != second[0]

    def test_outside_a_run_nothing_is_recorded_or_served(self, exercise: str) -> None:
        """Without a lane the real ambience answers, also while a replay's recording is at hand."""
        recorded, recording = self.record(exercise)
        live = self.exercises[exercise]()

        _, replayer = self.replay(exercise, recording)

        assert exercise in self.constant or recorded != live
        assert [] == replayer.late

    def test_what_a_crossing_reads_is_part_of_it(self, exercise: str) -> None:
        """Reads made while a boundary's live call is under way aren't the app's."""
        recorder = Recorder("contract", "function", lambda *_: None)
        recorder.lane.ambient, recorder.lane.inside = None, True
        with entered(recorder.lane):
            self.exercises[exercise]()
        recorder.close()
        recording = dump_preamble(recorder).recording

        assert () == recording.segments
        assert {} == recording.reads
        assert () == recording.logs
