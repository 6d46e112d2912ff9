"""The preamble's bounds: what comes before the first run may go on for ever, and its runs must say what they lack."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_fluxrun import ambient
from pytest_fluxrun.boundary import Call
from pytest_fluxrun.columns import unpack
from pytest_fluxrun.config import Settings
from pytest_fluxrun.context import Lane, entered
from pytest_fluxrun.entry import Ending
from pytest_fluxrun.recording.dumping import Preamble, dump_preamble, dump_run
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.run import Run
from tests.recording.test_recorder import DB, request


def preamble(**options: Any) -> Recorder:
    return Recorder("", "", lambda *_: None, preamble=True, **options)


def call(recorder: Recorder, lane: Lane, answer: Any = "a") -> Any:
    with entered(lane):
        return recorder.call(DB, Call(request()), lambda: answer)


def run_with(dumped: Preamble) -> Run:
    recorder = Recorder("job", "function", lambda *_: None)
    ending = Ending(dump=lambda: (None, {"returned": None, "error": None}))
    recorder.finish(ending)
    return dump_run(recorder, ending, dumped, Settings(), "0" * 26)


def test_a_thread_that_polls_before_the_first_run_leaves_room_for_start_up():
    """A tenth of the bound for each lane: the poller's later calls are made and not kept, the lifespan's are."""
    recorder = preamble(max_interactions=100)
    poller, lifespan = recorder.lane.spawn("poll"), recorder.lane.spawn("lifespan")
    for _ in range(500):
        assert "a" == call(recorder, poller)
    call(recorder, lifespan, "b")
    recorder.close()

    dumped = dump_preamble(recorder)

    assert ["a"] * 10 + ["b"] == [one.answer for one in dumped.recording.interactions]
    assert () == run_with(dumped).readiness.reasons


def test_a_preamble_ends_ten_minutes_after_the_start(monkeypatch: pytest.MonkeyPatch):
    """A process that waits long for its first run collects nothing meanwhile, and tasks it starts are no lanes."""
    recorder = preamble()
    call(recorder, recorder.lane, "early")
    now = ambient.monotonic_ns
    monkeypatch.setattr(ambient, "monotonic_ns", lambda: now() + 601 * 10**9)

    assert "late" == call(recorder, recorder.lane, "late")
    assert "late" == recorder.read("environment", "MODE", lambda: "late")
    lanes = len(recorder.lanes)
    call(recorder, recorder.lane.spawn("task"), "late")

    assert lanes == len(recorder.lanes)
    assert ["early"] == [one.answer for one in dump_preamble(recorder).recording.interactions]
    assert {} == dump_preamble(recorder).recording.reads
    assert not recorder.over_bound


def test_a_renewed_preamble_has_its_time_again(monkeypatch: pytest.MonkeyPatch):
    """A worker that its master forks hours after the import starts anew."""
    recorder = preamble()
    now = ambient.monotonic_ns
    monkeypatch.setattr(ambient, "monotonic_ns", lambda: now() + 601 * 10**9)
    waiting = recorder.lane.spawn("task")
    recorder.renew()

    call(recorder, recorder.lane, "of the worker")
    call(recorder, waiting, "of a lane that began between")

    assert ["of the worker"] == [one.answer for one in dump_preamble(recorder).recording.interactions]
    assert not recorder.over_bound


def test_more_lanes_than_the_bound_are_not_collected():
    """A server that starts a task for each heartbeat; the preamble is then over its bounds."""
    recorder = preamble(max_interactions=10)
    lanes = [recorder.lane.spawn("task") for _ in range(150)]

    assert "a" == call(recorder, lanes[-1])

    assert 100 == len(recorder.lanes)
    assert recorder.over_bound
    assert [] == recorder.crossings


@pytest.mark.parametrize(("interactions", "max_bytes"), [(3, 4 << 20), (100, 200)], ids=["calls", "bytes"])
def test_runs_of_a_preamble_over_its_bounds_say_so(interactions: int, max_bytes: int):
    """They carry none of it, and their readiness names it."""
    recorder = preamble(max_interactions=interactions)
    for _ in range(9):
        call(recorder, recorder.lane.spawn("task"))
    recorder.close()

    run = run_with(dump_preamble(recorder, max_bytes=max_bytes))

    assert ("unready", ("preamble-over-bound",)) == (run.readiness.state, run.readiness.reasons)
    assert run.preamble is not None
    assert () == run.preamble.interactions


def test_a_thread_that_reads_the_clock_for_ever_does_not_fill_the_preamble():
    """The first hundred thousand reads of a lane are kept."""
    recorder = preamble()
    lane = recorder.lane.spawn("ticker")
    code = call.__code__
    lane.ambient.extend(("time.time", code, 0, 1_700_000_000.0 + number / 7) for number in range(150_000))
    recorder.close()

    dumped = dump_preamble(recorder)

    (segment,) = dumped.recording.segments
    assert [100_000] == [len(unpack(read.values)) for read in segment.reads]
    assert () == run_with(dumped).readiness.reasons


def test_a_call_that_cannot_be_kept_is_left_out_of_the_preamble_and_no_run_is_unready_for_it():
    """Start-up that makes it again says so by name; the others keep their places."""
    recorder = preamble()
    for answer in ("a", "undumpable", object(), "b"):
        call(recorder, recorder.lane, answer)
    recorder.close()

    dumped = dump_preamble(recorder)

    assert ["a", "b"] == [one.answer for one in dumped.recording.interactions]
    assert () == run_with(dumped).readiness.reasons


def test_runs_of_one_process_name_it_and_those_of_another_name_another():
    """Random, so that nothing outside the sealed body links them."""
    first, second = dump_preamble(preamble()), dump_preamble(preamble())
    assert run_with(first).process == run_with(first).process
    assert run_with(first).process != run_with(second).process
    assert 16 == len(Run.from_payload(run_with(first).to_payload()).process)
