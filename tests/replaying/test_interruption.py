"""A replayed run that its server had given up on is interrupted at that time, wherever it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from pytest_fluxrun.context import entered
from pytest_fluxrun.replaying import event_loop

GAVE_UP = SystemExit(1)


def call(replay: Any, function: Callable[[], Any], at_s: float = 30) -> Any:
    with entered(replay.lane):
        return event_loop.call(function, replay.clock, (int(at_s * 1e9), GAVE_UP))


@pytest.mark.parametrize(
    "wait",
    [lambda: time.sleep(60), lambda: threading.Event().wait(60), lambda: threading.Event().wait()],
    ids=["sleep", "timed wait", "endless wait"],
)
def test_wait_that_reaches_beyond_is_interrupted(replay: Any, wait: Callable[[], Any]) -> None:
    """At the offset, with the very error."""
    with pytest.raises(SystemExit) as raised:
        call(replay, wait)
    assert GAVE_UP is raised.value
    assert 30 == replay.now_s


def test_wait_that_ends_before_is_not(replay: Any) -> None:
    """Nor one after the function has returned."""
    assert "done" == call(replay, lambda: time.sleep(29) or "done")
    replay.call(lambda: time.sleep(60))
    assert 89 == replay.now_s


def test_wait_that_begins_too_late_is_interrupted_at_once(replay: Any) -> None:
    """The clock had been moved past it by reads."""

    def late() -> None:
        replay.clock.advance_to(int(40e9))
        time.sleep(1)

    with pytest.raises(SystemExit):
        call(replay, late)
    assert 40 == replay.now_s


def test_function_that_goes_on_is_interrupted_once(replay: Any) -> None:
    """What it does about it takes its time."""

    def stubborn() -> None:
        try:
            time.sleep(60)
        finally:
            time.sleep(5)

    with pytest.raises(SystemExit):
        call(replay, stubborn)
    assert 35 == replay.now_s


def test_other_threads_of_the_run_are_not_interrupted(replay: Any) -> None:
    """A signal handler runs on the thread that serves the request."""
    slept: list[float] = []

    def work() -> None:
        time.sleep(40)
        slept.append(replay.now_s)

    def serve() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        try:
            time.sleep(60)
        except SystemExit:
            thread.join()

    call(replay, serve)
    assert [40] == slept
