"""Virtual time across threads and pools: order, real work, notifications, busy polls, the deadline."""

from __future__ import annotations

import _thread
import concurrent.futures
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_fluxrun import ambient
from pytest_fluxrun.context import entered
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from tests.replaying.real_time import real_s


def _work(milliseconds: int) -> None:
    """Use the CPU for a while of real time."""
    until = ambient.monotonic_ns() + milliseconds * 1_000_000
    while ambient.monotonic_ns() < until:
        pass


def _all_of(*bodies) -> None:
    """Run each in a thread of its own, to the end."""
    threads = [threading.Thread(target=body) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_an_hour_of_sleep_takes_no_time(replay):
    """A sleep of the only actor moves the clock at once."""
    began_s = real_s()

    replay.call(lambda: time.sleep(3600))

    assert 3600 == replay.now_s
    assert real_s() - began_s < 3600 / 10


def test_two_thousand_sleeps_take_no_time(replay):
    """Each served call is a sleep, so one costs little."""
    began_s = real_s()

    replay.call(lambda: [time.sleep(0.25) for _ in range(2000)])

    assert 500 == replay.now_s
    assert real_s() - began_s < 500 / 10


def test_negative_sleep_is_refused(replay):
    """As by the real time.sleep."""
    with pytest.raises(ValueError, match="non-negative"):
        replay.call(lambda: time.sleep(-1))


def test_outside_a_run_sleep_is_real(replay):
    """A lane in another context changes nothing here."""
    began_s = real_s()

    time.sleep(0.02)

    assert real_s() - began_s >= 0.02
    assert 0 == replay.now_s


def test_sleeping_threads_wake_in_the_order_of_their_time(replay):
    """Four threads started in the wrong order."""
    order = []

    replay.call(lambda: _all_of(*(lambda d=d: (time.sleep(d), order.append(d)) for d in (4, 2, 3, 1))))

    assert [1, 2, 3, 4] == order
    assert 4 == replay.now_s


def test_threads_that_are_due_together_wake_in_the_order_of_waiting(replay):
    """Equal times are no race."""
    order = []

    def party(number):
        time.sleep(number / 1000)
        time.sleep(1 - number / 1000)
        order.append(number)
        time.sleep(1)

    replay.call(lambda: _all_of(*(lambda n=n: party(n) for n in range(5))))

    assert [0, 1, 2, 3, 4] == order


def test_time_out_waits_for_real_work(replay):
    """A result that takes real CPU, but no virtual time, comes before any time-out."""
    with ThreadPoolExecutor(2) as pool:
        result = replay.call(lambda: pool.submit(lambda: (_work(120), "done")[1]).result(timeout=0.001))

    assert "done" == result


def test_time_out_before_a_sleeping_job(replay):
    """The shorter of two virtual waits wins, whatever runs where."""

    def body():
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(lambda: (_work(20), time.sleep(5)))
            with pytest.raises(TimeoutError):
                future.result(timeout=3)
            return replay.now_s

    assert 3 == replay.call(body)


def test_event_set_by_a_sleeping_thread(replay):
    """Event.wait ends with the event, not with its time-out."""
    event = threading.Event()

    def body():
        threading.Thread(target=lambda: (time.sleep(2), event.set())).start()
        return event.wait(10), replay.now_s

    assert (True, 2) == replay.call(body)


def test_event_never_set_times_out(replay):
    """Event.wait gives False at its virtual time."""
    assert (False, 7) == replay.call(lambda: (threading.Event().wait(7), replay.now_s))


def test_condition_hands_over_between_threads(replay):
    """wait_for with a deadline, and notify_all, in virtual time."""
    condition, items = threading.Condition(), []

    def producer():
        for number in range(3):
            time.sleep(1)
            with condition:
                items.append(number)
                condition.notify_all()

    def body():
        threading.Thread(target=producer).start()
        with condition:
            complete = condition.wait_for(lambda: len(items) == 3, timeout=10)
            never = condition.wait_for(lambda: len(items) == 4, timeout=4)
        return complete, never, replay.now_s

    assert (True, False, 7) == replay.call(body)


def test_queue_between_threads(replay):
    """A consumer's time-outs and a producer's pauses interleave as in real time."""
    jobs = queue.Queue(maxsize=1)

    def body():
        threading.Thread(target=lambda: (time.sleep(1.5), jobs.put(1), jobs.put(2))).start()
        seen = []
        while len(seen) < 3:
            try:
                seen.append((jobs.get(timeout=1), replay.now_s))
            except queue.Empty:
                seen.append(("empty", replay.now_s))
        return seen

    assert [("empty", 1.0), (1, 1.5), (2, 1.5)] == replay.call(body)


def test_full_queue_times_out(replay):
    """Queue.put reckons its time-out by the virtual clock too."""
    jobs = queue.Queue(maxsize=1)
    jobs.put(0)

    def body():
        with pytest.raises(queue.Full):
            jobs.put(1, timeout=5)

    replay.call(body)

    assert 5 == replay.now_s


def test_timer_fires_in_time_and_can_be_cancelled(replay):
    """threading.Timer, whose thread waits on an Event."""
    fired = []

    def body():
        threading.Timer(2, lambda: fired.append(replay.now_s)).start()
        cancelled = threading.Timer(3, lambda: fired.append("cancelled"))
        cancelled.start()
        time.sleep(2.5)
        cancelled.cancel()
        time.sleep(5)

    replay.call(body)

    assert [2] == fired


def test_barrier_brings_threads_together(replay):
    """Everybody leaves a barrier at the time of the last."""
    barrier, left = threading.Barrier(3), []

    def party(delay):
        time.sleep(delay)
        barrier.wait(timeout=10)
        left.append(replay.now_s)

    replay.call(lambda: _all_of(*(lambda d=d: party(d) for d in (1, 2, 3))))

    assert [3, 3, 3] == left


def test_semaphore_lets_two_through_at_a_time(replay):
    """Four sleepers of a second take two seconds through a semaphore of two."""
    semaphore = threading.Semaphore(2)

    def party():
        with semaphore:
            time.sleep(1)

    replay.call(lambda: _all_of(*[party] * 4))

    assert 2 == replay.now_s


def test_join_with_a_time_out(replay):
    """It returns at its virtual time while the thread sleeps on."""

    def body():
        thread = threading.Thread(target=lambda: time.sleep(5))
        thread.start()
        thread.join(2)
        first = (thread.is_alive(), replay.now_s)
        thread.join()
        return first, (thread.is_alive(), replay.now_s)

    assert ((True, 2), (False, 5)) == replay.call(body)


def test_join_of_the_current_thread_is_refused(replay):
    """As by the real join, instead of a deadlock."""
    caught = []

    def joins_itself():
        try:
            threading.current_thread().join()
        except RuntimeError as error:
            caught.append(error)

    replay.call(lambda: _all_of(joins_itself))

    assert 1 == len(caught)


def test_raw_thread_counts_as_an_actor(replay):
    """_thread.start_new_thread: the clock waits for its work."""
    results = queue.Queue()

    def body():
        _thread.start_new_thread(lambda: (_work(50), results.put("done")), ())
        return results.get(timeout=0.01)

    assert "done" == replay.call(body)


def test_jobs_beyond_the_workers_wait_for_them(replay):
    """Four jobs of a second on two workers take two seconds."""
    with ThreadPoolExecutor(2) as pool:
        replay.call(lambda: [future.result() for future in [pool.submit(time.sleep, 1) for _ in range(4)]])

    assert 2 == replay.now_s
    assert 0 == replay.clock.forced


def test_nested_pools(replay):
    """A job that waits for jobs of another pool."""
    with ThreadPoolExecutor(2) as outer, ThreadPoolExecutor(4) as inner:

        def job(delay):
            futures = [inner.submit(lambda: (time.sleep(delay), delay)[1]) for _ in range(2)]
            return sum(future.result() for future in futures)

        total = replay.call(lambda: sum(outer.map(job, (1, 2))))

    assert 6 == total
    assert 2 == replay.now_s
    assert 0 == replay.clock.forced


def test_as_completed_gives_the_order_of_completion(replay):
    """The order of virtual time, not of submission."""
    with ThreadPoolExecutor(3) as pool:

        def body():
            futures = [pool.submit(lambda d=d: (time.sleep(d), d)[1]) for d in (3, 1, 2)]
            return [future.result() for future in concurrent.futures.as_completed(futures)]

        assert [1, 2, 3] == replay.call(body)


def test_pool_made_before_the_run(replay):
    """Its idle workers hold nothing up, and serve the run."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()

        assert 1 == replay.call(lambda: pool.submit(lambda: (time.sleep(1), replay.now_s)[1]).result(timeout=2))


def test_cancelled_job_is_waited_for_no_more(replay):
    """A job cancelled while it was queued never starts and doesn't stop the clock."""
    with ThreadPoolExecutor(1) as pool:

        def body():
            pool.submit(time.sleep, 1)
            assert pool.submit(time.sleep, 100).cancel()
            time.sleep(3)

        replay.call(body)

    assert 3 == replay.now_s
    assert 0 == replay.clock.forced


def test_failing_job_ends_like_any_other(replay):
    """Its error arrives, and the clock goes on."""
    with ThreadPoolExecutor(1) as pool:

        def body():
            with pytest.raises(ZeroDivisionError):
                pool.submit(lambda: 1 // 0).result(timeout=1)
            time.sleep(1)

        replay.call(body)

    assert 1 == replay.now_s


def test_broken_pool_doesnt_stop_the_clock(replay):
    """Jobs that a failing initialiser drops are dropped by the clock too."""

    def fail():
        raise OSError("no")

    def body():
        with ThreadPoolExecutor(1, initializer=fail) as pool, pytest.raises(concurrent.futures.BrokenExecutor):
            pool.submit(int).result(timeout=5)
        time.sleep(2)

    replay.call(body)

    assert 2 <= replay.now_s <= 7
    assert 0 == replay.clock.forced


def test_shutdown_with_cancelled_jobs(replay):
    """shutdown(cancel_futures=True) leaves nothing queued."""

    def body():
        pool = ThreadPoolExecutor(1)
        started = threading.Event()
        futures = [pool.submit(lambda: (started.set(), time.sleep(1))), *(pool.submit(time.sleep, 1) for _ in range(2))]
        started.wait()
        pool.shutdown(wait=False, cancel_futures=True)
        futures[0].result()
        time.sleep(1)
        return [future.cancelled() for future in futures]

    assert [False, True, True] == replay.call(body)
    assert 2 == replay.now_s
    assert 0 == replay.clock.forced


def test_thread_of_no_run_is_waited_for_once_it_is_notified(replay):
    """A worker that the app started at boot gets a job through a queue and takes real time for it."""
    jobs = queue.Queue()

    def worker():
        while (event := jobs.get()) is not None:
            _work(60)
            event.set()

    thread = threading.Thread(target=worker)
    thread.start()

    def body():
        done = threading.Event()
        jobs.put(done)
        return done.wait(timeout=5), replay.now_s

    try:
        assert (True, 0) == replay.call(body)
    finally:
        jobs.put(None)
        thread.join()


def test_lone_sleep_waits_for_a_thread_of_no_run(replay):
    """Also where no other actor exists: what the sleeper waits for is done before its time is over."""
    jobs = queue.SimpleQueue()

    def worker():
        while (results := jobs.get()) is not None:
            _work(60)
            results.append("done")

    thread = threading.Thread(target=worker)
    thread.start()
    results = []

    def body():
        jobs.put(results)
        time.sleep(1)
        return list(results)

    try:
        assert ["done"] == replay.call(body)
    finally:
        jobs.put(None)
        thread.join()


def test_pool_thread_notified_by_a_thread_of_no_run(replay):
    """A job of the run waits without a time-out for an event that a boot thread sets after a while of work."""
    asked, answered = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (asked.wait(), _work(40), answered.set()))
    thread.start()

    with ThreadPoolExecutor(1) as pool:

        def body():
            future = pool.submit(lambda: (asked.set(), answered.wait(), "answered")[2])
            return future.result(timeout=3)

        assert "answered" == replay.call(body)
    thread.join()


def test_busy_poll_comes_to_its_deadline(replay):
    """`while now() < deadline` ends: each read moves the clock, ever faster."""
    clock = replay.clock
    began_s = real_s()

    def body():
        deadline = clock.read() + 30_000_000_000
        while clock.read() < deadline:
            pass

    replay.call(body)

    assert real_s() - began_s < 30 / 2
    assert 30 <= replay.now_s < 62


def test_few_reads_hardly_move_the_clock(replay):
    """A thousand reads are a millisecond."""
    replay.call(lambda: [replay.clock.read() for _ in range(1000)])

    assert 0.001 == replay.now_s


def test_busy_poll_doesnt_overtake_a_sleeper(replay):
    """A thread that sets the flag after a second does so before a poll of five seconds gives up."""
    flag = []

    def body():
        threading.Thread(target=lambda: (time.sleep(1), flag.append(replay.now_s))).start()
        deadline = replay.clock.read() + 5_000_000_000
        while not flag and replay.clock.read() < deadline:
            pass
        return bool(flag)

    assert replay.call(body)
    assert 1 <= flag[0] < 5


def test_actor_blocked_in_c_doesnt_stop_the_clock(replay):
    """A lock that only a virtual sleeper releases, waited for in C."""
    lock = threading.Lock()
    lock.acquire()

    def body():
        threading.Thread(target=lambda: (time.sleep(2), lock.release())).start()
        return lock.acquire(timeout=30)

    assert replay.call(body)
    assert 2 == replay.now_s
    assert 1 == replay.clock.forced


def test_advance_to_moves_forward_only_and_wakes_who_is_due(replay):
    """The timeline moves the clock to a recorded read; sleepers before it wake."""
    woke = threading.Event()

    def body():
        threading.Thread(target=lambda: (time.sleep(1), woke.set())).start()
        replay.clock.advance_to(5_000_000_000)
        replay.clock.advance_to(1_000_000_000)
        return woke.wait(3)

    assert replay.call(body)
    assert 5 <= replay.now_s <= 6


def test_clocks_of_two_runs_are_apart(new_replay):
    """One run's sleep doesn't move the other's clock."""
    first, second = new_replay(), new_replay()

    first.call(lambda: time.sleep(5))
    second.call(lambda: time.sleep(1))

    assert (5, 1) == (first.now_s, second.now_s)


def test_thread_that_is_no_actor_sleeps_on_the_clock(replay):
    """A boot thread that carries a run's lane for one job: its sleep is virtual and the driver outwaits it."""
    done = threading.Event()

    def guest():
        with entered(replay.lane):
            time.sleep(1)
        done.set()

    thread = threading.Thread(target=guest)

    def body():
        with entered(None):
            thread.start()
        return done.wait(3), replay.now_s

    assert (True, 1) == replay.call(body)
    thread.join()


def test_waits_that_ended_early_are_forgotten():
    """They leave nothing in the clock's heap for long."""
    clock = VirtualClock()
    clock.adopt()

    for _ in range(1000):
        assert clock.park(_thread.allocate_lock(), 60)

    assert len(clock._waits._due) < 100


def test_notified_thread_is_never_overtaken(replay):
    """A thread that was notified, and that has not come to run yet, counts as running: a hundred hand-overs."""
    ping, pong = queue.Queue(), queue.Queue()

    def partner():
        for _ in range(100):
            pong.put(ping.get(timeout=1))

    def body():
        threads = [threading.Thread(target=partner) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(300):
            ping.put(number)
            pong.get(timeout=0.001)
        for thread in threads:
            thread.join()

    replay.call(body)

    assert 0 == replay.now_s
