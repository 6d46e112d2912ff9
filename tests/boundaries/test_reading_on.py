"""Reading beyond an answer that the recorded program left: a miss, unless the program is stopped at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.httpx import boundary
from pytest_fluxrun.context import entered
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.replaying import event_loop
from pytest_fluxrun.replaying.answers import Answers
from pytest_fluxrun.replaying.event_loop import VirtualLoop
from pytest_fluxrun.replaying.replayer import Replayer
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from pytest_fluxrun.run import LaneSpec, Recording

FORM = {"method": "GET", "url": "http://pay.example/feed", "headers": [], "body": "", "streamed": False}
ASKED = "httpx GET http://pay.example/feed (reading on after chunk 2)"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def replayer(lane_seams: None, virtual_loop: VirtualLoop, clock: VirtualClock) -> Iterator[Replayer]:
    """Of a run whose calls have all been played."""
    empty = Recording(1_700_000_000 * 10**9, 0, 0, 10**9, (LaneSpec((), ()),))
    made = Replayer(empty, run_id="0" * 26, shared=Answers(None), clock=clock)
    yield made
    made.close()
    event_loop.finish(virtual_loop, clock)


@pytest.mark.parametrize(("stopped_after_s", "missed"), [(0.04, False), (0.4, True)])
def test_coroutine_that_is_stopped_at_once_has_not_read_on(
    replayer: Replayer, clock: VirtualClock, virtual_loop: VirtualLoop, stopped_after_s: float, missed: bool
) -> None:
    """The recorded program was stopped there, between two chunks; later it wasn't."""

    async def body() -> Any:
        task = asyncio.ensure_future(ReadingOn(boundary, replayer, lambda: FORM).arefuse(2))
        await asyncio.sleep(stopped_after_s)
        task.cancel()
        return await asyncio.gather(task, return_exceptions=True)

    with entered(replayer.lane):
        (raised,) = event_loop.drive(virtual_loop, body(), clock)

    assert type(raised) is (UnrecordedCall if missed else asyncio.CancelledError)
    assert ([] if missed else [ASKED]) == replayer.late
    assert missed is (replayer.unrecorded is not None)


def test_thread_that_reads_on_is_told_what_it_asked(replayer: Replayer, clock: VirtualClock) -> None:
    """By the text of the call."""

    def body() -> None:
        ReadingOn(boundary, replayer, lambda: FORM).refuse(2)

    with entered(replayer.lane), pytest.raises(UnrecordedCall) as raised:
        event_loop.call(body, clock)

    assert ASKED == raised.value.asked
    assert raised.value is replayer.unrecorded


def test_answer_of_another_run_is_refused_and_no_miss_of_this_one(replayer: Replayer, clock: VirtualClock) -> None:
    """A response that outlived its run."""
    with pytest.raises(UnrecordedCall, match="the app read on"):
        ReadingOn(boundary, replayer, lambda: FORM).refuse(2)

    assert replayer.unrecorded is None
