"""The deadline against everything that an app may block on, on the main thread and beside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
import threading
import time

import pytest
import time_machine

from pytest_fluxrun.errors import DeadlineExceeded
from pytest_fluxrun.execution import deadline as module
from pytest_fluxrun.execution.deadline import Deadline

SHORT_S = 0.15


def _lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def _spin():
    while True:
        pass


def _swallow_once():
    with contextlib.suppress(BaseException):
        time.sleep(30)
    time.sleep(30)


def _await_for_ever():
    asyncio.run(asyncio.Event().wait())


def _block_in_a_callback():
    """Asyncio logs what a callback raises, BaseException or not, and goes on."""

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        loop.call_soon(time.sleep, 30)
        await asyncio.Event().wait()

    asyncio.run(main())


BLOCKS = {
    "lock": _lock,
    "event": lambda: threading.Event().wait(),
    "select": lambda: select.select([], [], [], 30),
    "pipe": lambda: os.read(os.pipe()[0], 1),
    "sleep": lambda: time.sleep(30),
    "loop": _spin,
    "swallows one": _swallow_once,
    "await": _await_for_ever,
    "callback": _block_in_a_callback,
}


@pytest.mark.parametrize("name", BLOCKS)
def test_block_on_the_main_thread_ends(name):
    """Whatever it waits for, with the stacks of all threads, and no handler left behind."""
    handler = signal.getsignal(signal.SIGURG)
    with pytest.raises(DeadlineExceeded) as caught, Deadline(SHORT_S):
        BLOCKS[name]()
    assert "thread MainThread" in caught.value.stacks
    assert "test_deadline.py" in caught.value.stacks
    assert signal.getsignal(signal.SIGURG) is handler


def test_block_that_ends_in_time_is_left_alone():
    """Its result and its errors pass."""
    with Deadline(30) as deadline:
        pass
    with pytest.raises(KeyError), Deadline(30):
        {}["x"]
    assert not deadline.expired


def test_swallowing_it_for_good_changes_nothing():
    """A block that catches everything and returns still had no outcome in time."""
    deadline = Deadline(SHORT_S)
    with pytest.raises(DeadlineExceeded), deadline, contextlib.suppress(BaseException):
        time.sleep(30)
    assert deadline.expired


def test_another_error_made_of_it_is_its_cause():
    """What the app raised instead stays visible."""

    def give_up():
        try:
            time.sleep(30)
        except BaseException:
            raise ValueError("gave up") from None

    with pytest.raises(DeadlineExceeded) as caught, Deadline(SHORT_S):
        give_up()
    assert isinstance(caught.value.__cause__, ValueError)


def test_stacks_show_what_a_task_awaits():
    """The innermost coroutine, not only the task's own."""

    async def innermost():
        await asyncio.Event().wait()

    async def outer():
        await innermost()

    loop = asyncio.new_event_loop()
    try:
        task = loop.create_task(outer(), name="order")
        with pytest.raises(DeadlineExceeded) as caught, Deadline(SHORT_S, loop=loop):
            loop.run_until_complete(task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
    finally:
        loop.close()
    assert "task order" in caught.value.stacks
    assert "in innermost" in caught.value.stacks


def test_clock_is_killed_first():
    """What waits on the virtual clock ends by the clock's own error, and no signal is needed."""

    class Clock:
        def __init__(self):
            self.parked = threading.Event()

        def kill(self):
            self.parked.set()

        def wait(self):
            self.parked.wait()
            raise LookupError("by the clock")

    clock = Clock()
    with pytest.raises(DeadlineExceeded) as caught, Deadline(SHORT_S, clock):
        clock.wait()
    assert isinstance(caught.value.__cause__, LookupError)


def test_block_on_another_thread_ends():
    """There it arrives at the next bytecode, with the same message."""
    caught = []

    def run():
        try:
            with Deadline(SHORT_S):
                _spin()
        except DeadlineExceeded as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert [str(error) for error in caught] == [f"the replay gave no outcome in {SHORT_S} s"]
    assert "test_deadline.py" in caught[0].stacks


def test_clock_ends_a_wait_on_another_thread():
    """No exception reaches a thread inside a lock; the clock's kill does."""

    class Clock(threading.Event):
        kill = threading.Event.set

    caught = []

    def run():
        clock = Clock()
        try:
            with Deadline(SHORT_S, clock):
                clock.wait()
        except DeadlineExceeded as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    assert len(caught) == 1


def test_earlier_deadline_inside_a_later_one():
    """The watcher is woken where the new deadline comes before the one that it waits for."""
    with Deadline(30) as outer:
        with pytest.raises(DeadlineExceeded), Deadline(SHORT_S):
            time.sleep(30)
        assert signal.getsignal(signal.SIGURG) == outer._interrupt
    assert not outer.expired


def test_earlier_deadline_after_a_later_one():
    """The watcher still sleeps for the first, which is over, when the second comes."""
    with Deadline(30):
        pass
    with pytest.raises(DeadlineExceeded), Deadline(SHORT_S):
        time.sleep(30)


def test_one_resisting_block_holds_up_no_other():
    """Each expiry has a thread of its own."""
    release = threading.Event()
    held = threading.Thread(target=_held, args=(release,))
    held.start()
    try:
        with pytest.raises(DeadlineExceeded), Deadline(2 * SHORT_S):
            time.sleep(3)
    finally:
        release.set()
        held.join(10)
    assert not held.is_alive()


def _held(release):
    with contextlib.suppress(DeadlineExceeded), Deadline(SHORT_S):
        release.wait()


def test_foreign_signal_is_passed_on():
    """A SIGURG that the watcher didn't send belongs to whoever handled it before."""
    got = []
    before = signal.signal(signal.SIGURG, lambda number, _: got.append(number))
    try:
        with Deadline(30):
            signal.raise_signal(signal.SIGURG)
    finally:
        signal.signal(signal.SIGURG, before)
    assert got == [signal.SIGURG]


def test_deadline_works_in_a_forked_child():
    """The parent's watcher isn't there; the child starts its own."""
    with Deadline(30):
        pid = _fork()
        if pid == 0:
            status = 1
            try:
                with Deadline(SHORT_S):
                    time.sleep(30)
            except DeadlineExceeded:
                status = 0
            finally:
                os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _fork():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def test_time_travel_moves_no_deadline():
    """A test that travels a year ahead or back has the same real seconds left."""
    with time_machine.travel("2001-01-01"), Deadline(30) as deadline:
        pass
    with time_machine.travel("2101-01-01"), pytest.raises(DeadlineExceeded), Deadline(SHORT_S):
        time.sleep(30)
    assert not deadline.expired


@pytest.mark.skipif(sys.platform == "win32", reason="SIGURG is POSIX")
def test_handler_set_by_c_code_is_left_alone(monkeypatch):
    """Python can't put such a handler back, so the exception takes the way without a signal."""
    monkeypatch.setattr(module.signal, "getsignal", lambda _: None)
    with pytest.raises(DeadlineExceeded), Deadline(SHORT_S) as deadline:
        _spin()
    assert not deadline._signalled
