"""anyio's worker threads keep the lane of the task that asked, and are handed back without one."""

from __future__ import annotations

import time

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from pytest_fluxrun.context import LANE, current_lane, entered


def _path() -> tuple:
    return current_lane().path


def test_job_keeps_the_lane_of_its_task(recorded_lane):
    """The library copies the whole context, so the job is part of the task's lane."""

    async def body():
        with entered(recorded_lane):
            mine = await anyio.to_thread.run_sync(_path)
            seen = []

            async def task():
                seen.append(await anyio.to_thread.run_sync(_path))

            async with anyio.create_task_group() as group:
                group.start_soon(task)
                group.start_soon(task)
            return mine, sorted(path[0][1] for path in seen)

    assert ((), [1, 2]) == anyio.run(body)


def test_worker_belongs_to_no_run(recorded_lane):
    """A worker started inside a run serves a caller outside of it without a lane."""

    async def body():
        with entered(recorded_lane):
            await anyio.to_thread.run_sync(_path)
        return await anyio.to_thread.run_sync(LANE.get)

    assert anyio.run(body) is None


def test_worker_spends_no_lanes(recorded_lane):
    """A job is part of its task's lane, however it is handed over and back."""

    async def body():
        with entered(recorded_lane):
            for _ in range(3):
                await anyio.to_thread.run_sync(_path)

    anyio.run(body)

    assert 0 == recorded_lane._spawned


def test_what_a_worker_has_the_loop_do_gets_lanes(recorded_lane):
    """from_thread.run and run_sync, numbered in the order in which the job asks."""

    async def on_loop():
        return _path()

    def job():
        return [anyio.from_thread.run_sync(_path), anyio.from_thread.run(on_loop), anyio.from_thread.run_sync(_path)]

    async def body():
        with entered(recorded_lane):
            return await anyio.to_thread.run_sync(job)

    first, second, third = anyio.run(body)

    assert [(("_path", 1),), (("_path", 2),)] == [first, third]
    assert [1, 1] == [number for _, number in second]


def test_portal_of_start_up_gets_lanes(recorded_lane):
    """A loop on a thread of no run, called through a blocking portal; in a replay it keeps the run's time."""

    async def on_loop():
        await anyio.lowlevel.checkpoint()
        return _path()

    with entered(None), anyio.from_thread.start_blocking_portal() as portal:
        with entered(recorded_lane):
            paths = [portal.call(on_loop), portal.start_task_soon(on_loop).result(5)]
        outside = portal.call(LANE.get)

    assert 2 == len({path[0][1] for path in paths})
    assert outside is None


def test_portal_of_start_up_keeps_the_time_of_the_run(new_replay):
    """Its sleeps are virtual, and a time-out comes when it should."""
    boot, replay = new_replay(), new_replay()
    began = time.monotonic()
    with entered(boot.lane):
        opened = anyio.from_thread.start_blocking_portal()
        portal = boot.call(opened.__enter__)
    boot.clock.release()

    def body():
        portal.call(anyio.sleep, 20)
        return portal.start_task_soon(anyio.sleep, 30).result(timeout=100)

    replay.call(body)
    opened.__exit__(None, None, None)

    assert 50 == replay.now_s
    assert 0 == replay.clock.forced
    assert time.monotonic() - began < 5


def test_job_of_a_cancelled_scope_is_ended_once(replay):
    """A job given up, then another on the same worker: the clock counts each once."""

    async def body():
        with anyio.move_on_after(1):
            await anyio.to_thread.run_sync(replay.clock.sleep, 3, abandon_on_cancel=True)
        await anyio.sleep(5)
        await anyio.to_thread.run_sync(replay.clock.sleep, 1)
        await anyio.sleep(1)

    replay.drive(body)

    assert 8 == replay.now_s
    assert 0 == replay.clock._running
