"""The end of a virtual clock: a deadline ends everything that waits on it, and what is left behind has real time."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_fluxrun.context import entered
from pytest_fluxrun.errors import DeadlineExceeded
from tests.replaying.real_time import real_s, until


def test_kill_ends_everything_that_waits(replay):
    """The deadline: driver, thread and pool job raise, and no thread is left behind."""
    before = threading.active_count()
    ended = queue.SimpleQueue()
    pool = ThreadPoolExecutor(1)
    killer = threading.Timer(0.05, replay.clock.kill)

    def waits_for_ever(name):
        try:
            threading.Event().wait()
        except DeadlineExceeded:
            ended.put(name)
            raise

    def body():
        threading.Thread(target=waits_for_ever, args=("thread",)).start()
        pool.submit(waits_for_ever, "job").result()

    killer.start()
    with pytest.raises(DeadlineExceeded):
        replay.call(body)
    with pytest.raises(DeadlineExceeded):
        replay.call(lambda: time.sleep(1))
    pool.shutdown()
    killer.join()

    assert {"job", "thread"} == {ended.get(timeout=5), ended.get(timeout=5)}
    until(lambda: threading.active_count() == before)


def test_kill_raises_a_given_error(replay):
    """What the deadline knows, e.g. stacks, arrives in the driver."""
    error = DeadlineExceeded("no outcome in 10 s", stacks="where it hung")
    killer = threading.Timer(0.02, replay.clock.kill, (error,))
    killer.start()

    with pytest.raises(DeadlineExceeded) as caught:
        replay.call(lambda: threading.Event().wait())
    killer.join()

    assert "where it hung" == caught.value.stacks


def test_jobs_still_queued_at_the_deadline_never_run(replay):
    """They fail instead."""
    ran, futures = [], []
    pool = ThreadPoolExecutor(1)
    killer = threading.Timer(0.05, replay.clock.kill)

    def body():
        futures.append(pool.submit(threading.Event().wait))
        futures.append(pool.submit(ran.append, 1))
        futures[0].result()

    killer.start()
    with pytest.raises(DeadlineExceeded):
        replay.call(body)
    killer.join()
    pool.shutdown()

    assert [] == ran
    assert isinstance(futures[1].exception(), DeadlineExceeded)


def test_threads_left_behind_go_on_in_real_time(replay):
    """When the run is over its pending sleeps end, and later ones are real."""
    times = queue.SimpleQueue()

    def left_behind():
        threading.Event().wait(3600)
        times.put(real_s())
        time.sleep(0.03)
        times.put(real_s())

    def body():
        threading.Thread(target=left_behind).start()
        time.sleep(1)

    with entered(None):
        replay.call(body)
        now_s = replay.now_s
        replay.finish()

    first, second = times.get(timeout=5), times.get(timeout=5)
    assert second - first >= 0.03
    assert 1 == now_s


def test_thread_left_behind_can_still_be_notified(replay):
    """A worker that a run started, and that lives on, serves the next one."""
    jobs, workers = queue.Queue(), []

    def worker():
        while (event := jobs.get()) is not None:
            event.set()

    def body():
        workers.append(threading.Thread(target=worker))
        workers[0].start()

    replay.call(body)
    replay.finish()
    event = threading.Event()
    jobs.put(event)
    jobs.put(None)

    assert event.wait(5)
    workers[0].join(5)
    assert not workers[0].is_alive()
