"""Tasks carry a lane of their own, numbered in the order of spawning; nothing changes outside runs."""

from __future__ import annotations

import asyncio
import contextvars
import time
import timeit

import uvloop

from pytest_fluxrun.context import LANE, current_lane, entered


async def _path() -> tuple:
    return current_lane().path


async def _two_deep() -> list:
    return await asyncio.gather(_path(), _path())


def _run(coroutine, lane=None):
    async def in_lane():
        with entered(lane):
            return await coroutine

    return asyncio.run(in_lane())


def test_tasks_get_lanes_in_the_order_of_spawning(recorded_lane):
    """Identical tasks differ by ordinal, nested ones by path."""
    paths = _run(_two_deep(), recorded_lane)

    assert [(("_path", 1),), (("_path", 2),)] == paths


def test_lanes_of_nested_tasks_are_paths(recorded_lane):
    """A gather in a gather."""

    async def outer():
        return await asyncio.gather(_two_deep(), _two_deep())

    paths = _run(outer(), recorded_lane)

    assert [
        [(("_two_deep", 1), ("_path", 1)), (("_two_deep", 1), ("_path", 2))],
        [(("_two_deep", 2), ("_path", 1)), (("_two_deep", 2), ("_path", 2))],
    ] == paths


def test_positions_count_every_spawn(recorded_lane):
    """Whatever the names, so that a renamed coroutine keeps its position."""

    async def position():
        return current_lane().position

    async def renamed():
        return current_lane().position

    async def body():
        return await asyncio.gather(position(), renamed(), position())

    assert [(1,), (2,), (3,)] == _run(body(), recorded_lane)


def test_task_groups_and_callbacks_carry_the_lane(recorded_lane):
    """TaskGroup spawns lanes; call_later stays in the lane that asked for it."""
    seen = []

    async def body():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_path())
        asyncio.get_running_loop().call_later(0.001, lambda: seen.append(current_lane()))
        await asyncio.sleep(0.01)
        return task.result()

    assert (("_path", 1),) == _run(body(), recorded_lane)
    assert [recorded_lane] == seen


def test_context_given_by_the_caller_gets_the_lane(recorded_lane):
    """Only FluxRun's own variable is set in it."""
    variable = contextvars.ContextVar("variable", default="unset")
    context = contextvars.Context()
    context.run(variable.set, "given")

    async def reads():
        return variable.get(), current_lane().path

    async def body():
        variable.set("of the parent")
        return await asyncio.create_task(reads(), context=context)

    value, path = _run(body(), recorded_lane)

    assert "given" == value
    assert "reads" in path[0][0]


def test_task_that_shares_the_running_context_shares_its_lane(recorded_lane):
    """A context that is entered can't be set from outside, and needn't."""

    async def body():
        shared = contextvars.copy_context()

        async def spawns():
            return await asyncio.get_running_loop().create_task(_path(), context=shared)

        return await asyncio.create_task(spawns(), context=shared)

    path = _run(body(), recorded_lane)

    assert path[0][0].endswith("spawns")


def test_parent_keeps_its_lane(recorded_lane):
    """Making a task changes nothing for the one who makes it."""

    async def body():
        task = asyncio.create_task(_path())
        mine = current_lane()
        await task
        return mine

    assert recorded_lane is _run(body(), recorded_lane)


def test_outside_runs_tasks_have_no_lane(lane_seams):
    """And their names, factories and results are as ever."""

    async def body():
        task = asyncio.create_task(asyncio.sleep(0, "result"), name="named")
        return task.get_name(), await task, LANE.get()

    assert ("named", "result", None) == _run(body())


def test_a_run_that_is_over_hands_on_nothing(recorded_lane):
    """Tasks made by what is left of it belong to no lane."""

    async def body():
        recorded_lane.session.closed = True

        async def lane():
            return current_lane()

        task = asyncio.create_task(lane())
        await task
        return recorded_lane._spawned

    assert 0 == _run(body(), recorded_lane)


def test_tasks_cost_little(recorded_lane):
    """Outside of runs about a task more, in a run a few; ratios of interleaved rounds, in CPU time."""

    async def nothing():
        pass

    async def measured():
        loop = asyncio.get_running_loop()
        patched, original = loop.create_task, type(loop).create_task.__wrapped__
        tasks = []

        def cost(make):
            return timeit.timeit(lambda: tasks.append(make(nothing())), timer=time.thread_time, number=500)

        def one_round():
            bare = cost(lambda coroutine: original(loop, coroutine))
            idle = cost(patched)
            with entered(recorded_lane):
                return bare, idle, cost(patched)

        bare, idle, carried = map(min, zip(*(one_round() for _ in range(9)), strict=True))
        await asyncio.gather(*tasks)
        return idle / bare, carried / bare

    idle, carried = _run(measured())

    assert idle < 3
    assert carried < 8


def test_uvloop_tasks_get_lanes_too(recorded_lane):
    """Its loop makes tasks by itself."""

    async def in_lane():
        with entered(recorded_lane):
            return await _two_deep()

    assert [(("_path", 1),), (("_path", 2),)] == uvloop.run(in_lane())
