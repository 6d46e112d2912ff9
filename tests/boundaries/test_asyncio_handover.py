"""Work handed to consumers of no run, and to loops that other threads run, stays in the run that handed it over."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import uvloop

from pytest_fluxrun.context import LANE, Lane, current_lane, entered
from tests.conftest import LaneOwner


def _lane() -> str | None:
    lane = LANE.get()
    return None if lane is None else "/".join(f"{name.rsplit('.', 1)[-1]}#{number}" for name, number in lane.path)


async def _lane_of_task() -> str | None:
    await asyncio.sleep(0)
    return _lane()


@pytest.fixture
def background(lane_seams: None) -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that a thread of no run runs for ever."""
    with _running(asyncio.new_event_loop()) as loop:
        yield loop


@contextlib.contextmanager
def _running(loop: asyncio.AbstractEventLoop) -> Iterator[asyncio.AbstractEventLoop]:
    up = threading.Event()
    loop.call_soon(up.set)
    with entered(None):
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
    assert up.wait(5)
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    assert not thread.is_alive()
    loop.close()


def test_coroutine_given_to_another_threads_loop_gets_a_lane(background, recorded_lane):
    """Numbered where it was given away."""
    with entered(recorded_lane):
        futures = [asyncio.run_coroutine_threadsafe(_lane_of_task(), background) for _ in range(2)]

    assert ["callback#1/_lane_of_task#1", "callback#2/_lane_of_task#1"] == [future.result(5) for future in futures]


def test_callback_given_to_another_threads_loop_gets_a_lane(background, recorded_lane):
    """In the context that was given with it, too; from outside it has none."""
    lanes, done = [], threading.Semaphore(0)

    def callback():
        lanes.append(_lane())
        done.release()

    with entered(recorded_lane):
        background.call_soon_threadsafe(callback)
        background.call_soon_threadsafe(callback, context=contextvars.Context())
    background.call_soon_threadsafe(callback)
    for _ in range(3):
        assert done.acquire(timeout=5)

    assert ["callback#1", "callback#2", None] == lanes


def test_callback_on_the_own_loop_stays_in_its_lane(recorded_lane):
    """As with call_soon."""

    async def body():
        seen = asyncio.get_running_loop().create_future()
        with entered(recorded_lane):
            asyncio.get_running_loop().call_soon_threadsafe(lambda: seen.set_result(current_lane()))
        return await seen

    assert asyncio.run(body()) is recorded_lane


@pytest.mark.parametrize("takes", ["get", "wait_for", "task"])
def test_consumer_of_no_run_works_in_the_lane_of_each_job(recorded_lane, takes):
    """However it waits for the next one: plainly, with a time-out, or for whichever of several things comes first."""
    if takes == "task" and sys.version_info < (3, 12):
        pytest.skip("Python 3.11 doesn't tell the context of a task, so what it got can't be handed on")
    other = Lane(LaneOwner())

    async def take(jobs):
        if takes == "get":
            return await jobs.get()
        if takes == "wait_for":
            return await asyncio.wait_for(jobs.get(), 5)
        task = asyncio.create_task(jobs.get())
        await asyncio.wait([task, asyncio.create_task(asyncio.sleep(0))], return_when=asyncio.ALL_COMPLETED)
        return task.result()

    async def body():
        jobs, lanes = asyncio.Queue(), []

        async def consume():
            while (job := await take(jobs)) is not None:
                lanes.append((job, _lane(), await asyncio.create_task(_lane_of_task())))

        consumer = asyncio.create_task(consume())
        for job, lane in enumerate((recorded_lane, None, other, recorded_lane)):
            with entered(lane):
                await jobs.put(job)
            await asyncio.sleep(0.01)
        await jobs.put(None)
        await consumer
        return lanes

    expected = [
        (0, "int#1", "int#1/_lane_of_task#1"),
        (1, None, None),
        (2, "int#1", "int#1/_lane_of_task#1"),
        (3, "int#2", "int#2/_lane_of_task#1"),
    ]
    assert expected == asyncio.run(body())


def test_time_out_of_a_wait_for_a_job_leaves_no_lane(recorded_lane):
    """And no coroutine that nobody awaited."""

    async def body():
        jobs = asyncio.Queue()
        with entered(recorded_lane):
            jobs.put_nowait("job")
        await asyncio.wait_for(jobs.get(), 5)
        lanes = [_lane()]
        for timeout in (0, 0.01):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(jobs.get(), timeout)
            lanes.append(_lane())
        return lanes

    assert ["str#1", None, None] == asyncio.run(body())


def test_consumer_of_the_run_stays_in_its_own_lane(recorded_lane):
    """Producers and consumers of one run."""

    async def body():
        with entered(recorded_lane):
            jobs = asyncio.Queue()

            async def consume():
                await jobs.get()
                return _lane()

            consumer = asyncio.create_task(consume())
            await jobs.put("job")
            return await consumer

    assert "consume#1" == asyncio.run(body())


def test_full_queue_notes_nothing(recorded_lane):
    """A job that didn't get in is nobody's."""

    async def body():
        jobs, same = asyncio.Queue(1), object()
        jobs.put_nowait(same)
        with entered(recorded_lane), pytest.raises(asyncio.QueueFull):
            jobs.put_nowait(same)
        await jobs.get()
        return LANE.get()

    assert asyncio.run(body()) is None


def test_loop_of_another_thread_keeps_the_time_of_the_run_that_calls_it(virtual_loop, new_replay):
    """A client on a loop that the app started at boot: its sleeps are virtual, and no time-out comes too early."""

    async def fetch(seconds):
        await asyncio.sleep(seconds)
        await asyncio.wait_for(asyncio.sleep(seconds), 2 * seconds)
        return _lane()

    boot = new_replay()
    with _running(boot.call(asyncio.new_event_loop)) as loop:
        boot.clock.release()
        began = time.monotonic()
        for _ in range(2):
            replaying = new_replay()

            def body():
                futures = [asyncio.run_coroutine_threadsafe(fetch(seconds), loop) for seconds in (20, 30)]
                lanes = [future.result(timeout=100) for future in futures]
                with pytest.raises(TimeoutError):
                    asyncio.run_coroutine_threadsafe(asyncio.sleep(1_000), loop).result(timeout=5)
                return lanes

            assert ["callback#1/fetch#1", "callback#2/fetch#1"] == replaying.call(body)
            assert 65 == replaying.now_s
            assert 0 == replaying.clock.forced
            replaying.finish()
        assert time.monotonic() - began < 5
        real = asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01, "real"), loop)
        assert "real" == real.result(5)


def test_loop_of_another_thread_outlives_a_run_that_is_ended(new_replay):
    """The deadline ends the run, not the app's thread."""
    boot = new_replay()
    with _running(boot.call(asyncio.new_event_loop)) as loop:
        boot.clock.release()
        replaying = new_replay()

        def body():
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(timeout=5)
            replaying.clock.kill()

        replaying.call(body)
        replaying.finish()

        assert "alive" == asyncio.run_coroutine_threadsafe(asyncio.sleep(0, "alive"), loop).result(5)


def test_uvloop_of_another_thread_gets_lanes_too(recorded_lane):
    """Its loop is called by itself."""
    with _running(uvloop.new_event_loop()) as loop, entered(recorded_lane):
        assert "callback#1/_lane_of_task#1" == asyncio.run_coroutine_threadsafe(_lane_of_task(), loop).result(5)


def test_loop_that_uvloop_makes_in_a_replay_is_virtual(replay):
    """It can't keep the run's time itself."""

    def body():
        loop = uvloop.new_event_loop()
        loop.run_until_complete(asyncio.sleep(50))
        loop.close()

    replay.call(body)

    assert 50 == replay.now_s


def test_queue_looks_as_ever(lane_seams):
    """To those who ask whether its `get` is to be awaited."""
    is_coroutine = inspect.iscoroutinefunction if sys.version_info >= (3, 12) else asyncio.iscoroutinefunction
    assert is_coroutine(asyncio.Queue().get)
    assert "get" == asyncio.Queue.get.__name__
