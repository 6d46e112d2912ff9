"""A worker's time limit at replay: raised on the virtual clock, in the driving thread, and never beyond its block."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries.httpx import boundary
from pytest_fluxrun.boundary import Call
from pytest_fluxrun.context import entered
from pytest_fluxrun.entries.calling import record
from pytest_fluxrun.entries.calling.time_limit import limited, made_a_call
from pytest_fluxrun.entries.function import entry
from pytest_fluxrun.entry import open_run
from pytest_fluxrun.recording.recorder import Recorder


class OutOfTime(Exception):
    """What a worker raises."""


def test_limit_strikes_when_the_virtual_clock_has_come_to_it(replay: Any):
    """In a sleep of a minute that takes no real time; the clock stands at the limit."""

    def task() -> float:
        with limited(1.5, OutOfTime):
            time.sleep(60)
        raise AssertionError("the sleep came to its end")

    begun = time.monotonic()
    with pytest.raises(OutOfTime):
        replay.call(task)

    assert 1.5 == replay.now_s
    assert time.monotonic() - begun < 10


def test_task_may_handle_its_limit_and_wait_again(replay: Any):
    """It strikes once."""

    def task() -> str:
        with limited(1, OutOfTime):
            try:
                threading.Event().wait(60)
            except OutOfTime:
                time.sleep(3)
                return "cleaned up"
        return "done"

    assert "cleaned up" == replay.call(task)
    assert 4 == replay.now_s


def test_limit_is_gone_with_its_block(replay: Any):
    """What waits afterwards waits to its end, and the signal has its handler back."""
    before = signal.getsignal(signal.SIGWINCH)

    def task() -> str:
        with limited(1, OutOfTime):
            time.sleep(0.5)
        time.sleep(5)
        return "done"

    assert "done" == replay.call(task)
    assert 5.5 == replay.now_s
    assert before == signal.getsignal(signal.SIGWINCH)


@pytest.mark.parametrize("limit_s", [None, 0])
def test_task_without_a_limit_takes_its_time(replay: Any, limit_s: float | None):
    """No thread, no signal."""

    def task() -> str:
        with limited(limit_s, OutOfTime):
            time.sleep(60)
        return "done"

    assert "done" == replay.call(task)


def test_real_time_is_no_affair_of_it():
    """Outside of a replay the worker itself keeps the limit."""
    with limited(0.001, OutOfTime):
        time.sleep(0.01)


def test_error_raised_in_a_recorded_call_is_told_from_others():
    """By its traceback."""
    recorder = Recorder("it", "function", lambda *_: None)

    def strike() -> None:
        raise OutOfTime

    with entered(recorder.lane), pytest.raises(OutOfTime) as in_call:
        recorder.call(boundary, Call({}), strike)
    with pytest.raises(OutOfTime) as elsewhere:
        strike()

    assert (True, False) == (made_a_call(in_call.value), made_a_call(elsewhere.value))
    assert () == patching.displaced()


@pytest.mark.parametrize(("in_call", "limit_s"), [(True, None), (False, 3)])
def test_limit_that_struck_in_a_call_is_left_to_that_call(runs: Any, in_call: bool, limit_s: int | None):
    """It must not strike twice; one that struck in a wait is kept for the replay."""

    def strike() -> None:
        raise OutOfTime

    run = open_run("it", entry)
    assert run is not None

    def task() -> None:
        if in_call:
            runs.opened[0].call(boundary, Call({}), strike)
        strike()

    with pytest.raises(OutOfTime):
        record(run, {"args": [], "limit_s": 3}, task, is_time_limit=lambda error: isinstance(error, OutOfTime))

    assert limit_s == runs.dumped()[0]["limit_s"]
    assert runs.ending.timed_out
