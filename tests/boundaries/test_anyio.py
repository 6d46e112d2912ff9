"""anyio's worker threads keep the lane of the task that asked, and are handed back without one."""

from __future__ import annotations

import anyio
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
