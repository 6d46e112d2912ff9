"""A worker of no run works in the lane of the run whose job it took; pools and mailboxes carry nothing."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pytest_fluxrun import handover
from pytest_fluxrun.context import LANE, Lane, current_lane, entered
from tests.conftest import LaneOwner


def _lane() -> str | None:
    lane = LANE.get()
    return None if lane is None else "/".join(f"{name.rsplit('.', 1)[-1]}#{number}" for name, number in lane.path)


class Worker:
    """A thread of no run that calls each job it is given, and says in which lane; None ends it."""

    def __init__(self, jobs: queue.Queue) -> None:
        self.jobs = jobs
        self.lanes: list[str | None] = []
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self) -> None:
        while (job := self.jobs.get()) is not None:
            self.lanes.append(_lane())
            if callable(job):
                job()
            self.jobs.task_done()

    def stop(self) -> None:
        self.jobs.put(None)
        self.thread.join(5)
        assert not self.thread.is_alive()


@pytest.fixture
def worker(lane_seams: None) -> Iterator[Callable[[queue.Queue], Worker]]:
    made: list[Worker] = []

    def make(jobs: queue.Queue) -> Worker:
        made.append(Worker(jobs))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def job() -> None:
    """What a run puts."""


def test_job_runs_in_a_lane_of_the_run_that_put_it(worker, recorded_lane):
    """Numbered in the order of putting; a job from outside runs in none."""
    jobs = queue.Queue()
    working = worker(jobs)
    other = Lane(LaneOwner())
    with entered(recorded_lane):
        jobs.put(job)
        jobs.put((job, 1))
        jobs.put({"no": "function"})
    jobs.put(lambda: None)
    with entered(other):
        jobs.put(job)
    jobs.join()

    assert ["job#1", "job#2", "dict#1", None, "job#1"] == working.lanes


def test_lane_lasts_until_the_next_job_is_asked_for(recorded_lane):
    """Not longer: a worker that waits holds no run."""
    jobs = queue.Queue()
    with entered(recorded_lane):
        jobs.put(job)
    jobs.get()
    lanes = [_lane()]
    with pytest.raises(queue.Empty):
        jobs.get_nowait()
    lanes.append(_lane())

    assert ["job#1", None] == lanes


@pytest.mark.parametrize("make", [queue.LifoQueue, queue.PriorityQueue])
def test_other_orders_carry_too(worker, recorded_lane, make):
    """Jobs are known by their identity, not by their place."""
    jobs = make()
    with entered(recorded_lane):
        for number in (3, 1, 2):
            jobs.put((number, "job"))
    working = worker(jobs)
    jobs.join()

    expected = {
        queue.LifoQueue: ["tuple#3", "tuple#2", "tuple#1"],
        queue.PriorityQueue: ["tuple#2", "tuple#3", "tuple#1"],
    }
    assert expected[make] == working.lanes


def test_equal_jobs_of_several_putters_keep_their_order(worker, recorded_lane):
    """A number or a string is one object, whoever puts it."""
    jobs, other = queue.Queue(), Lane(LaneOwner())
    for lane in (recorded_lane, None, other, recorded_lane):
        with entered(lane):
            jobs.put(7)
    working = worker(jobs)
    jobs.join()

    assert ["int#1", None, "int#1", "int#2"] == working.lanes


def test_job_of_a_run_that_is_over_runs_in_no_lane(worker, recorded_lane):
    """Nobody would keep what it does."""
    jobs = queue.Queue()
    with entered(recorded_lane):
        jobs.put(job)
    recorded_lane.session.closed = True
    working = worker(jobs)
    jobs.join()

    assert [None] == working.lanes


def test_worker_with_a_lane_of_start_up_moves_too(worker, recorded_lane):
    """One that was started when the app was imported."""
    start_up = LaneOwner()
    start_up.preamble = True
    jobs = queue.Queue()
    with entered(Lane(start_up)):
        jobs.put(job)
        working = worker(jobs)
    with entered(recorded_lane):
        jobs.put(job)
    jobs.join()

    assert ["work#1", "job#1"] == working.lanes


def test_code_of_a_run_stays_in_its_own_lane(recorded_lane):
    """A mailbox that another run fills: what is taken from it is data, not work."""
    mailbox, other = queue.Queue(), Lane(LaneOwner())
    with entered(other):
        mailbox.put("news")

    with entered(recorded_lane):
        assert "news" == mailbox.get()
        assert current_lane() is recorded_lane


def test_pool_of_connections_carries_nothing(lane_seams, recorded_lane):
    """A run that takes from a queue puts no jobs there: what it returns is a connection, for whoever comes next."""
    pool = queue.Queue()
    with entered(recorded_lane):
        with pytest.raises(queue.Empty):
            pool.get_nowait()
        pool.put("connection")
    pool.get()

    assert LANE.get() is None


def test_full_queue_notes_nothing(recorded_lane):
    """A job that didn't get in is nobody's."""
    jobs = queue.Queue(1)
    same = object()
    jobs.put(same)
    with entered(recorded_lane), pytest.raises(queue.Full):
        jobs.put(same, timeout=0)
    jobs.get()

    assert LANE.get() is None


def test_emptied_queue_holds_nothing_for_ever(recorded_lane):
    """One that is cleared behind its back keeps a bounded number of jobs."""
    jobs = queue.Queue()
    with entered(recorded_lane):
        for _ in range(1_000):
            jobs.put(object())
            jobs.queue.clear()

    assert handover._SPARE == vars(jobs)["_fluxrun_jobs"]._held


def test_queues_outside_runs_hold_nothing(lane_seams):
    """Nothing is added to them."""
    jobs = queue.Queue()
    jobs.put(1)
    jobs.get()

    assert "_fluxrun_jobs" not in vars(jobs)


def test_worker_of_start_up_waits_in_the_virtual_time_of_its_job(worker, new_replay):
    """It is an actor of the run for the job, and of no run while it waits for the next one."""
    jobs = queue.Queue()
    worker(jobs)

    def body(replaying):
        for _ in range(3):
            done = threading.Event()
            jobs.put(lambda done=done: (time.sleep(20), done.set()))
            assert done.wait(timeout=30)
        assert not threading.Event().wait(5)
        jobs.join()
        return replaying.now_s

    began = time.monotonic()
    for _ in range(2):
        replaying = new_replay()
        assert 65 == replaying.call(lambda replaying=replaying: body(replaying))
        assert 0 == replaying.clock.forced
        replaying.finish()
    assert time.monotonic() - began < 10


def test_nothing_is_left_where_many_put_and_take_at_once(lane_seams):
    """Equal jobs from many threads: each comes out once, and the last one takes the last note with it."""
    jobs, taken = queue.Queue(), []

    def put(lane):
        with entered(lane):
            for _ in range(300):
                jobs.put(1)

    def take():
        for _ in range(300):
            jobs.get()
            taken.append(_lane() is not None)

    threads = [threading.Thread(target=put, args=(Lane(LaneOwner()),)) for _ in range(4)]
    threads += [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert [True] * 1_200 == taken
    assert (0, {}) == (vars(jobs)["_fluxrun_jobs"]._held, vars(jobs)["_fluxrun_jobs"]._lanes)


def test_worker_of_start_up_outlives_a_run_that_is_ended(worker, new_replay):
    """A job that waits for ever is over with the deadline; the next run's is done."""
    jobs, ended = queue.Queue(), []
    working = worker(jobs)
    first = new_replay()

    def waits_for_ever():
        jobs.put(lambda: ended.append(threading.Event().wait()))
        time.sleep(1)
        first.clock.kill()

    first.call(waits_for_ever)
    first.finish()
    jobs.join()
    second, done = new_replay(), threading.Event()

    def next_run():
        jobs.put(done.set)
        return done.wait(timeout=30)

    assert second.call(next_run)
    assert [False] == ended
    assert working.thread.is_alive()
