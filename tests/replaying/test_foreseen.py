"""Calls that a library makes in steps: what will answer is found in an early step, and answers in the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from pytest_fluxrun.boundary import Call, Patch, Uncovered
from pytest_fluxrun.context import entered
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.replaying import event_loop
from pytest_fluxrun.replaying.event_loop import VirtualLoop
from pytest_fluxrun.values import dump_error
from tests.replaying.test_replayer import DB, Run, never, recorded, recording, request


class Radio(Uncovered):
    """A library without a boundary."""

    name: ClassVar[str] = "radio"
    modules: ClassVar[tuple[str, ...]] = ()
    instead: ClassVar[str] = "use httpx"

    def patches(self, module: Any) -> list[Patch]:
        return []


@pytest.fixture
def replaying(lane_seams: None, virtual_loop: VirtualLoop) -> Iterator[Callable[..., Run]]:
    """Makes replays of recorded interactions."""
    runs: list[Run] = []

    def replay(*interactions: Any) -> Run:
        runs.append(Run(recording(*interactions), virtual_loop))
        return runs[-1]

    yield replay
    for run in runs:
        run.replayer.close()
        event_loop.finish(virtual_loop, run.clock)


def foreseen(run: Run, call: Call) -> Any:
    """What an early step is told."""
    return run.do(lambda: run.replayer.foresee(DB, call))


def answered(run: Run, call: Call) -> Any:
    """What the last step gets."""
    return run.do(lambda: run.replayer.call(DB, call, never))


def test_foreseen_answer_is_kept_for_its_call(replaying):
    """Another call that asks for the same gets the next one, in whatever order the two are answered."""
    replay = replaying(recorded("get", 1, answer="first"), recorded("get", 1, answer="second"))
    one, other = Call(request("get", 1)), Call(request("get", 1))

    told = foreseen(replay, one), foreseen(replay, other)

    assert (None, None) == told
    assert ("second", "first") == (answered(replay, other), answered(replay, one))


def test_foreseen_error_is_told_before_it_is_raised(replaying):
    """An early step can raise it in its place."""
    error = dump_error(ConnectionRefusedError(111, "refused"))
    replay = replaying(recorded("get", 1, error=error))
    call = Call(request("get", 1))

    assert error == foreseen(replay, call)
    with pytest.raises(ConnectionRefusedError):
        answered(replay, call)


def test_nothing_recorded_is_a_miss_only_without_a_way_to_answer(replaying):
    """A call that the boundary can answer itself is told nothing, and asked for again later."""
    replay = replaying()

    assert foreseen(replay, Call(request("get", 1), otherwise=lambda: None)) is None
    assert replay.replayer.unrecorded is None
    with pytest.raises(UnrecordedCall):
        foreseen(replay, Call(request("get", 1)))
    assert replay.replayer.unrecorded is not None


def test_uncovered_library_is_a_latched_miss_by_name(replaying):
    """Every later call raises it too."""
    replay = replaying(recorded("get", 1, answer="a"))

    with pytest.raises(UnrecordedCall) as caught:
        replay.do(lambda: replay.replayer.uncovered(Radio()))

    assert ("use httpx", True) == (caught.value.next_step, "radio is not covered" in caught.value.what)
    with pytest.raises(UnrecordedCall) as again:
        answered(replay, Call(request("get", 1)))
    assert caught.value is again.value


def test_recorded_call_lasts_from_its_first_step():
    """A connection that took long is part of the call that it was made for."""
    recorder = Recorder("job", "function", lambda *_: None)
    with entered(recorder.lane):
        recorder.call(DB, Call(request("get", 1), started_ns=recorder.mono_ns + 7), lambda: "a")

    (crossing,) = recorder.crossings
    assert recorder.mono_ns + 7 == crossing.started_ns
    assert crossing.ended_ns >= crossing.started_ns
