"""asgiref's bridges between sync and async code carry the context, and the lane with it: the caller waits meanwhile.

It needs no boundary of its own: its pools, loops and calls from thread to loop have the seams of the standard library.
"""

from __future__ import annotations

import asyncio
import time

from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async

from pytest_fluxrun.context import LANE, current_lane, entered


def _lane() -> str | None:
    lane = LANE.get()
    return None if lane is None else "/".join(f"{name.rsplit('.', 1)[-1]}#{number}" for name, number in lane.path)


async def _lane_of_coroutine() -> str | None:
    await asyncio.sleep(0)
    return _lane()


def _run(coroutine, lane):
    async def in_lane():
        with entered(lane):
            return await coroutine

    return asyncio.run(in_lane())


def test_sync_code_keeps_the_lane_of_its_task(recorded_lane):
    """The bridge copies the context; on the thread that all such code shares, or on any."""

    async def body():
        lanes = [await sync_to_async(_lane)(), await sync_to_async(_lane, thread_sensitive=False)()]
        async with ThreadSensitiveContext():
            lanes.append(await sync_to_async(_lane)())
        lanes.extend(await asyncio.gather(sync_to_async(_lane)(), sync_to_async(_lane)()))
        return lanes, current_lane() is recorded_lane

    lanes, kept = _run(body(), recorded_lane)

    assert ["", "", "", "__call__#1", "__call__#2"] == [lane.replace("SyncToAsync.", "") for lane in lanes]
    assert kept


def test_async_code_keeps_the_lane_of_the_sync_code_above(recorded_lane):
    """In a new loop of its own; afterwards the caller is in its own lane again."""
    with entered(recorded_lane):
        lanes = [async_to_sync(_lane_of_coroutine)() for _ in range(2)]
        assert current_lane() is recorded_lane

    assert ["", ""] == lanes


def test_tasks_below_a_bridge_get_lanes(recorded_lane):
    """On the outer loop, to which sync code below hands its coroutine back."""

    async def inner():
        return await asyncio.gather(_lane_of_coroutine(), _lane_of_coroutine())

    def bridge():
        return async_to_sync(inner)(), _lane()

    async def body():
        return [await sync_to_async(bridge)() for _ in range(2)], current_lane() is recorded_lane

    lanes, kept = _run(body(), recorded_lane)

    assert [
        (["_lane_of_coroutine#1", "_lane_of_coroutine#2"], ""),
        (["_lane_of_coroutine#3", "_lane_of_coroutine#4"], ""),
    ] == lanes
    assert kept


def test_sync_code_below_tasks_below_sync_code_is_in_the_lane_of_its_task(recorded_lane):
    """It runs on the first thread, which idles meanwhile."""

    async def middle():
        return await asyncio.gather(sync_to_async(_lane)(), sync_to_async(_lane)())

    with entered(recorded_lane):
        lanes = async_to_sync(middle)()
        assert current_lane() is recorded_lane

    assert ["__call__#1", "__call__#2"] == lanes


def test_thread_shared_by_all_forgets_the_run(recorded_lane):
    """A caller of no run gets no lane from the one before."""
    _run(sync_to_async(_lane)(), recorded_lane)

    assert asyncio.run(sync_to_async(LANE.get)()) is None


def test_sleeps_of_a_replay_are_virtual(replay):
    """Both ways, and nested."""

    async def inner():
        await asyncio.sleep(2)
        await sync_to_async(time.sleep)(3)

    def outer():
        time.sleep(1)
        async_to_sync(inner)()

    async def body():
        await asyncio.wait_for(asyncio.gather(sync_to_async(outer)(), asyncio.sleep(4)), 60)
        return replay.now_s

    began = time.monotonic()
    assert 6 == replay.drive(body)
    replay.call(outer)

    assert 12 == replay.now_s
    assert 0 == replay.clock.forced
    assert time.monotonic() - began < 5
