"""The loop that outlives the items: virtual timers, executors, cancel scopes, many runs, the end of a run."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.to_thread
import pytest

from pytest_fluxrun import ambient
from pytest_fluxrun.context import current_lane
from pytest_fluxrun.errors import DeadlineExceeded


def _real_s() -> float:
    return ambient.monotonic_ns() / 1e9


def _work(milliseconds: int) -> None:
    """Use the CPU for a while of real time."""
    until_s = _real_s() + milliseconds / 1000
    while _real_s() < until_s:
        pass


async def _after(delay_s: float, value: object) -> object:
    await asyncio.sleep(delay_s)
    return value


def test_an_hour_passes_in_no_time(replay):
    """asyncio.sleep moves the clock, and the loop's own time with it."""
    began_s = _real_s()

    async def body():
        loop = asyncio.get_running_loop()
        before_s = loop.time()
        await asyncio.sleep(3600)
        return round(loop.time() - before_s, 6)

    assert 3600 == replay.drive(body)
    assert 3600 == replay.now_s
    assert _real_s() - began_s < 3600 / 10


def test_a_thousand_sleeps_take_no_time(replay):
    """Every awaited served call is one."""
    began_s = _real_s()

    async def body():
        for _ in range(1000):
            await asyncio.sleep(0.5)

    replay.drive(body)

    assert 500 == replay.now_s
    assert _real_s() - began_s < 500 / 10


def test_tasks_wake_in_the_order_of_their_time(replay):
    """Whatever the order in which they were made."""

    async def body():
        return [await task for task in asyncio.as_completed([_after(delay, delay) for delay in (3, 1, 2)])]

    assert [1, 2, 3] == replay.drive(body)
    assert 3 == replay.now_s


def test_sleeps_in_tasks_and_threads_share_one_order(replay):
    """Two tasks and two threads, interleaved."""
    order = []

    def in_thread(delay_s):
        time.sleep(delay_s)
        order.append(delay_s)

    async def in_task(delay_s):
        await asyncio.sleep(delay_s)
        order.append(delay_s)

    async def body():
        await asyncio.gather(
            in_task(3), asyncio.to_thread(in_thread, 2), in_task(1), asyncio.to_thread(in_thread, 4), in_task(5)
        )

    replay.drive(body)

    assert [1, 2, 3, 4, 5] == order


def test_wait_for_waits_for_real_work_in_an_executor(replay):
    """150 ms of CPU take no virtual time, so a time-out of 10 ms doesn't fire."""

    async def body():
        return await asyncio.wait_for(asyncio.to_thread(lambda: (_work(150), "done")[1]), 0.01)

    assert "done" == replay.drive(body)


def test_wait_for_ends_before_a_sleeping_job(replay):
    """A job that sleeps longer than the time-out is given up at the time-out."""
    times = []

    async def body():
        try:
            await asyncio.wait_for(asyncio.to_thread(lambda: (_work(30), time.sleep(5))), 2)
        except TimeoutError:
            times.append(replay.now_s)

    replay.drive(body)

    assert [2] == times


def test_nested_time_outs(replay):
    """The inner one first."""

    async def body():
        async with asyncio.timeout(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await asyncio.sleep(10)
            return replay.now_s

    assert 1 == replay.drive(body)


def test_hedged_calls_keep_their_winner(replay):
    """The faster of two, and the slower cancelled."""

    async def body():
        slow, fast = asyncio.ensure_future(_after(0.30, "slow")), asyncio.ensure_future(_after(0.12, "fast"))
        done, pending = await asyncio.wait({slow, fast}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return [task.result() for task in done], replay.now_s

    assert (["fast"], 0.12) == replay.drive(body)


def test_hedge_started_late_across_threads(replay):
    """A second request after 100 ms, in a thread; the first one, slower, loses."""

    def request(delay_s, name):
        time.sleep(delay_s)
        return name

    async def body():
        first = asyncio.ensure_future(asyncio.to_thread(request, 0.5, "first"))
        done, _ = await asyncio.wait({first}, timeout=0.1)
        assert not done
        second = asyncio.ensure_future(asyncio.to_thread(request, 0.2, "second"))
        done, _ = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
        return [task.result() for task in done], replay.now_s

    assert (["second"], 0.3) == replay.drive(body)


def test_gather_of_to_thread_overlaps(replay):
    """Ten seconds of sleep in each of ten threads are ten seconds."""

    async def body():
        await asyncio.gather(*(asyncio.to_thread(time.sleep, 10) for _ in range(6)))

    replay.drive(body)

    assert 10 == replay.now_s


def test_pool_smaller_than_its_jobs(replay):
    """A pool of two, made before the run, takes five jobs of a second in three."""
    with ThreadPoolExecutor(2) as pool:

        async def body():
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.run_in_executor(pool, time.sleep, 1) for _ in range(5)))

        replay.drive(body)

    assert 3 == replay.now_s


def test_anyio_worker_threads_in_a_task_group(replay):
    """Jobs overlap and the group ends with the last."""
    ended = []

    def job(delay_s):
        time.sleep(delay_s)
        ended.append((delay_s, replay.now_s))

    async def body():
        async with anyio.create_task_group() as group:
            for delay_s in (3, 1, 2):
                group.start_soon(anyio.to_thread.run_sync, job, delay_s)

    replay.drive(body)

    assert [(1, 1), (2, 2), (3, 3)] == ended


def test_anyio_jobs_wait_for_the_limiter(replay):
    """Three jobs of a second through a limiter of one take three seconds."""

    async def body():
        limiter = anyio.CapacityLimiter(1)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(functools.partial(anyio.to_thread.run_sync, time.sleep, 1, limiter=limiter))

    replay.drive(body)

    assert 3 == replay.now_s


def test_anyio_cancel_scope_abandons_a_worker_thread(replay):
    """move_on_after gives up at its time while the job sleeps on."""

    async def body():
        with anyio.move_on_after(1) as scope:
            await anyio.to_thread.run_sync(time.sleep, 5, abandon_on_cancel=True)
        return scope.cancelled_caught, replay.now_s

    assert (True, 1) == replay.drive(body)


def test_anyio_time_out_waits_for_real_work(replay):
    """CPU in a worker thread takes no virtual time."""

    async def body():
        with anyio.fail_after(0.001):
            return await anyio.to_thread.run_sync(lambda: (_work(60), "done")[1])

    assert "done" == replay.drive(body)


def test_anyio_from_thread_comes_back_to_the_loop(replay):
    """A worker thread that awaits on the loop."""

    def job():
        return anyio.from_thread.run(_after, 2, "back")

    async def body():
        return await anyio.to_thread.run_sync(job), replay.now_s

    assert ("back", 2) == replay.drive(body)


def test_exceptions_of_jobs_arrive(replay):
    """From a pool and from an anyio worker; the clock goes on."""

    async def body():
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await anyio.to_thread.run_sync(lambda: 1 // 0)
        await asyncio.sleep(1)

    replay.drive(body)

    assert 1 == replay.now_s


def test_blocking_sleep_in_a_coroutine_delays_timers(replay):
    """As in real time: the loop is blocked meanwhile."""
    fired = []

    async def body():
        asyncio.get_running_loop().call_later(1, lambda: fired.append(replay.now_s))
        time.sleep(3)  # noqa: ASYNC251 - what is tested
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    replay.drive(body)

    assert [3] == fired


def test_thread_sets_an_asyncio_event(replay):
    """call_soon_threadsafe from a thread of the run wakes the loop before any later timer."""

    async def body():
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        threading.Thread(target=lambda: (time.sleep(1), _work(40), loop.call_soon_threadsafe(event.set))).start()
        await asyncio.wait_for(event.wait(), 1.001)
        return replay.now_s

    assert 1 == replay.drive(body)


def test_thread_of_no_run_sets_an_asyncio_event(replay):
    """A boot thread that takes real time for it is waited for."""
    asked = threading.Event()
    wake = []
    thread = threading.Thread(target=lambda: (asked.wait(), _work(40), wake[0]()))
    thread.start()

    async def body():
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        wake.append(lambda: loop.call_soon_threadsafe(event.set))
        asked.set()
        await asyncio.wait_for(event.wait(), 5)
        return replay.now_s

    assert 0 == replay.drive(body)
    thread.join()


def test_busy_poll_in_a_coroutine_ends(replay):
    """A poll that yields to the loop; another task's timer isn't overtaken."""
    flag = []

    async def sets_the_flag():
        await asyncio.sleep(1)
        flag.append(replay.now_s)

    async def body():
        task = asyncio.ensure_future(sets_the_flag())
        deadline_ns = replay.clock.read() + 5_000_000_000
        while not flag and replay.clock.read() < deadline_ns:  # noqa: ASYNC110 - what is tested
            await asyncio.sleep(0)
        await task
        return flag[0]

    assert replay.drive(body) < 2


def test_loop_made_inside_a_run_is_virtual(replay):
    """asyncio.run in a thread of the run and in its driver: two loops, one clock."""

    async def both():
        return await asyncio.gather(_after(2, "a"), _after(1, "b"))

    def body():
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(lambda: asyncio.run(_after(3, "c")))
            return asyncio.run(both()), future.result(timeout=5), replay.now_s

    assert (["a", "b"], "c", 3) == replay.call(body)


def test_two_hundred_runs_on_one_loop(new_replay):
    """Each begins at zero, and none sees the other's timers."""
    began_s = _real_s()

    for number in range(200):
        replay = new_replay()

        async def body(number=number):
            first = asyncio.ensure_future(_after(1 + number, "first"))
            job = asyncio.to_thread(time.sleep, 0.5) if number % 10 == 0 else asyncio.sleep(0.5)
            await job
            return await first

        assert "first" == replay.drive(body)
        assert 1 + number == replay.now_s
        replay.finish()

    assert _real_s() - began_s < sum(range(1, 201)) / 10


def test_between_runs_the_loop_keeps_real_time(replay, virtual_loop):
    """A sleep outside a run is as long as it says."""
    replay.drive(lambda: asyncio.sleep(3600))
    began_s = _real_s()

    virtual_loop.run_until_complete(asyncio.sleep(0.03))

    assert 0.03 <= _real_s() - began_s < 5


def test_timer_of_no_run_survives_a_run(new_replay, virtual_loop):
    """A ticker that was started between the runs neither fires early nor is lost."""
    fired = []
    handle = virtual_loop.call_later(3600, fired.append, 1)

    new_replay().drive(lambda: asyncio.sleep(60))

    assert [] == fired
    assert not handle.cancelled()
    handle.cancel()


def test_tasks_left_behind_are_cancelled_with_the_run(replay):
    """They may clean up, in virtual time; those of nobody stay."""
    seen = []

    async def left_behind():
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.5)
            seen.append("cleaned up")

    async def body():
        replay.task = asyncio.ensure_future(left_behind())
        await asyncio.sleep(1)

    replay.drive(body)
    replay.finish()

    assert ["cleaned up"] == seen
    assert replay.task.cancelled()


def test_kill_ends_a_hanging_coroutine_and_the_loop_serves_the_next(new_replay):
    """A future that nobody resolves, with a thread and a pool job that wait too."""
    hanging, following = new_replay(), new_replay()
    begun, thread_ended = threading.Event(), threading.Event()

    def kill():
        begun.wait(5)
        hanging.clock.kill()

    killer = threading.Thread(target=kill)

    def waits():
        begun.set()
        try:
            threading.Event().wait()
        finally:
            thread_ended.set()

    async def body():
        threading.Thread(target=waits).start()
        job = asyncio.ensure_future(anyio.to_thread.run_sync(threading.Event().wait))
        await asyncio.get_running_loop().create_future()
        await job

    killer.start()
    with pytest.raises(DeadlineExceeded):
        hanging.drive(body)
    hanging.finish()
    killer.join()

    assert thread_ended.wait(5)
    assert "next" == following.drive(lambda: _after(1, "next"))
    assert 1 == following.now_s


def test_kill_ends_a_coroutine_that_waits_for_a_job(replay):
    """The job raises, and its error or the loop's own ends the drive."""
    killer = threading.Timer(0.05, replay.clock.kill)
    killer.start()

    with pytest.raises(DeadlineExceeded):
        replay.drive(lambda: asyncio.to_thread(threading.Event().wait))
    killer.join()


def test_the_driven_coroutine_runs_in_the_root_lane(replay):
    """The task that drive makes is no lane of its own."""

    async def body():
        return current_lane()

    assert replay.lane is replay.drive(body)


def test_task_that_fails_leaves_the_clock_usable(new_replay):
    """The error arrives; the next run works."""

    async def fails():
        await asyncio.sleep(1)
        raise KeyError("lost")

    with pytest.raises(KeyError):
        new_replay().drive(fails)

    assert 1 == new_replay().drive(lambda: _after(1, 1))


def test_a_timer_outlives_the_drive_that_set_it(replay):
    """Driven again on the same clock, the loop goes on where it was, however little real time went by."""
    fired = []

    async def leave():
        asyncio.get_running_loop().call_later(0.5, fired.append, "timer")
        await asyncio.sleep(0.4)

    replay.drive(leave)
    assert not fired
    replay.drive(functools.partial(asyncio.sleep, 0.11))

    assert ["timer"] == fired
