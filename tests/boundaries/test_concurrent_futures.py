"""Pool jobs carry a lane of their own; workers carry none from one run to the next."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_fluxrun.context import LANE, Lane, current_lane, entered


def _path() -> tuple:
    return current_lane().path


def test_job_runs_in_a_lane_named_after_its_function(recorded_lane):
    """Numbered in the order of submission."""
    with ThreadPoolExecutor(1) as pool, entered(recorded_lane):
        futures = [pool.submit(_path), pool.submit(functools.partial(_path))]

        assert [(("_path", 1),), (("_path", 2),)] == [future.result() for future in futures]


def test_map_spawns_a_lane_for_each_item(recorded_lane):
    """Executor.map submits."""
    with ThreadPoolExecutor(2) as pool, entered(recorded_lane):
        positions = list(pool.map(lambda _: current_lane().position, range(3)))

    assert [(1,), (2,), (3,)] == positions


def test_worker_forgets_the_run(recorded_lane):
    """A worker thread started inside a run has no lane afterwards, nor a job from outside."""
    with ThreadPoolExecutor(1) as pool:
        with entered(recorded_lane):
            pool.submit(int).result()

        assert pool.submit(LANE.get).result() is None


def test_pool_keeps_no_reference_to_a_finished_run(lane_seams):
    """A pool that lives on doesn't hold the session."""

    class Owner:
        clock, preamble, closed = None, False, False

        def ambient_for(self, lane):
            return None

    owner = Owner()
    gone = weakref.ref(owner)
    with ThreadPoolExecutor(1) as pool:
        with entered(Lane(owner)):
            pool.submit(int).result()
        pool.submit(int).result()
        del owner

        assert gone() is None


def test_to_thread_runs_in_a_lane_within_its_context(recorded_lane):
    """asyncio.to_thread copies the context; the job's lane is set inside of that copy."""
    variable = contextvars.ContextVar("variable")

    def job():
        return variable.get(), current_lane().path

    async def body():
        with entered(recorded_lane):
            variable.set("carried by asyncio")
            return await asyncio.gather(asyncio.to_thread(job), asyncio.to_thread(job))

    results = asyncio.run(body())

    assert {"carried by asyncio"} == {value for value, _ in results}
    assert [("to_thread", 1), ("to_thread", 2)] == [path[0] for _, path in results]
    assert all(path[1][0].endswith("job") for _, path in results)


def test_context_of_the_caller_stays_as_it_was(recorded_lane):
    """`submit(context.run, function)`: the lane is there during the job only."""
    context = contextvars.Context()

    with ThreadPoolExecutor(1) as pool, entered(recorded_lane):
        path = pool.submit(context.run, _path).result()

    assert (("_path", 1),) == path
    assert context.run(LANE.get) is None


def test_run_in_executor_spawns_a_lane(recorded_lane):
    """With the loop's default pool."""

    async def body():
        with entered(recorded_lane):
            return await asyncio.get_running_loop().run_in_executor(None, _path)

    assert (("_path", 1),) == asyncio.run(body())


def test_arguments_results_and_errors_pass(recorded_lane):
    """The seam changes nothing of a job."""
    with ThreadPoolExecutor(1) as pool, entered(recorded_lane):
        assert 7 == pool.submit(int, "111", base=2).result()
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result()
        with pytest.raises(TypeError):
            pool.submit()


def test_submitting_after_shutdown_is_refused(recorded_lane):
    """By the pool's own error."""
    pool = ThreadPoolExecutor(1)
    pool.shutdown()

    with entered(recorded_lane), pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(int)


def test_submitting_after_shutdown_doesnt_stop_a_replays_clock(replay):
    """A refused job is not waited for."""

    def body():
        pool = ThreadPoolExecutor(1)
        pool.shutdown()
        with pytest.raises(RuntimeError):
            pool.submit(int)
        with ThreadPoolExecutor(1) as other:
            other.submit(replay.clock.sleep, 1).result(timeout=5)

    replay.call(body)

    assert 1 == replay.now_s


def test_callback_of_a_future_runs_in_a_lane(recorded_lane):
    """Numbered where it was added, whoever calls it; one of C and one of asyncio's spend none."""
    lanes, gate, appended = [], threading.Event(), []

    class Listener:
        def done(self, future):
            lanes.append(("method", _path()))

    def told(word, future):
        lanes.append((word, _path()))

    with ThreadPoolExecutor(1) as pool, entered(recorded_lane):
        future = pool.submit(gate.wait, 5)
        future.add_done_callback(functools.partial(told, "first"))
        future.add_done_callback(Listener().done)
        future.add_done_callback(appended.append)
        gate.set()
        pool.submit(int).result()
        future.add_done_callback(functools.partial(told, "last"))

    names = [(word, path[0][0].rsplit(".", 1)[-1], path[0][1]) for word, path in lanes]
    assert [("first", "told", 1), ("method", "done", 1), ("last", "told", 2)] == names
    assert [future] == appended


def test_waiting_for_a_job_spends_one_lane(recorded_lane):
    """The job's own: what asyncio chains to its future is none of the app's."""

    async def body():
        with entered(recorded_lane):
            await asyncio.get_running_loop().run_in_executor(None, int)
            return recorded_lane._spawned

    assert 1 == asyncio.run(body())


def test_callback_of_a_future_waits_in_virtual_time(replay):
    """On the worker's thread, as a part of the run."""

    def body():
        told = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(time.sleep, 2)
            future.add_done_callback(lambda _: (time.sleep(3), told.set()))
            assert told.wait(timeout=30)

    replay.call(body)

    assert 5 == replay.now_s
    assert 0 == replay.clock.forced
