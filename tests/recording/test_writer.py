"""The writer: in order, bounded, never woken by a submission, alive after a fork and after a failure."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from typing import Any

import pytest

from pytest_fluxrun.recording.writer import Writer


class Sink:
    """Writes to a list; may be held up, and may raise."""

    def __init__(self, **bounds: int) -> None:
        self.written: list[Any] = []
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.dropped: Counter[str] = Counter()
        given = {"max_pending": 10, "max_pending_bytes": 1000, **bounds}
        self.writer: Writer[Any] = Writer(self.write, dropped=self.dropped, **given)

    def write(self, thing: Any) -> None:
        self.begun.set()
        assert self.go_on.wait(10)
        if isinstance(thing, BaseException):
            raise thing
        self.written.append(thing)


def test_things_are_written_in_order_on_one_other_thread():
    """A flush waits for all that was submitted before."""
    threads = set()
    sink = Sink(max_pending=1000)
    write = sink.writer._write
    sink.writer._write = lambda thing: (threads.add(threading.current_thread().name), write(thing))

    assert all(sink.writer.submit(number) for number in range(100))

    assert sink.writer.flush(10)
    assert list(range(100)) == sink.written
    assert {"fluxrun-writer"} == threads
    assert 0 == sink.writer.pending


def test_queue_is_bounded_by_number():
    """What doesn't fit is dropped and counted; when there is room again, things are taken."""
    sink = Sink(max_pending=2)
    sink.go_on.clear()

    assert [True, True, False, False] == [sink.writer.submit(number) for number in range(4)]
    sink.go_on.set()
    assert sink.writer.flush(10)
    assert sink.writer.submit(4)
    assert sink.writer.flush(10)

    assert [0, 1, 4] == sink.written
    assert {"pending-runs": 2} == sink.dropped


def test_queue_is_bounded_by_size():
    """The sum of what waits counts, and what is written counts no more."""
    sink = Sink(max_pending_bytes=100)
    sink.go_on.clear()

    assert [True, True, False, True] == [sink.writer.submit(size, size) for size in (60, 30, 20, 10)]
    sink.go_on.set()
    assert sink.writer.flush(10)
    assert sink.writer.submit(100, 100)
    assert sink.writer.flush(10)

    assert [60, 30, 10, 100] == sink.written
    assert {"pending-bytes": 1} == sink.dropped


def test_flush_gives_up_in_time_and_nothing_is_lost():
    """A store that hangs holds nobody up for longer."""
    sink = Sink()
    sink.go_on.clear()
    sink.writer.submit(1)

    assert not sink.writer.flush(0.01)
    sink.go_on.set()
    assert sink.writer.flush(10)
    assert [1] == sink.written


def test_flush_without_anything_returns_at_once():
    """No thread is started for it."""
    sink = Sink()
    assert sink.writer.flush(0)
    assert sink.writer._thread is None


def test_flush_waits_for_what_is_awaited_and_what_came_before_it():
    """A run that nobody keeps holds nobody up, and is looked at in its turn."""
    sink = Sink()
    sink.go_on.clear()
    sink.writer.submit(1, awaited=False)

    assert sink.writer.flush(0)
    sink.writer.submit(2)
    assert not sink.writer.flush(0.01)
    sink.go_on.set()
    assert sink.writer.flush(10)
    assert [1, 2] == sink.written


def test_flush_waits_for_no_more_than_what_was_there():
    """A steady stream of new things doesn't starve it."""
    sink = Sink()
    write, stop = sink.writer._write, threading.Event()

    def write_and_submit(thing: int) -> None:
        write(thing)
        if not stop.is_set():
            sink.writer.submit(thing + 1)

    sink.writer._write = write_and_submit
    sink.writer.submit(1)

    assert sink.writer.flush(10)
    stop.set()
    assert sink.writer.flush(10)


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), KeyboardInterrupt()])
def test_writer_survives_whatever_a_write_raises(error: BaseException):
    """The thread goes on, and the loss is counted."""
    sink = Sink()
    sink.writer.submit(error, 10)
    sink.writer.submit(2)
    assert sink.writer.flush(10)
    assert [2] == sink.written
    assert {"write-failed": 1} == sink.dropped


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=dict(os.environ),
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def test_forked_child_writes_its_own_and_only_its_own():
    """The parent writes what it had queued; the child starts empty, with a thread of its own."""
    shown = run_python("""
        import os, threading
        from collections import Counter
        from pytest_fluxrun.recording.writer import Writer

        go_on = threading.Event()
        written = []

        def write(thing):
            go_on.wait(10)
            written.append(thing)

        writer = Writer(write, max_pending=10, max_pending_bytes=100, dropped=Counter())
        writer.submit("parent's", 90)
        child = os.fork()
        go_on.set()
        if child == 0:
            assert writer.pending == 0
            assert writer.submit("child's", 90)
        assert writer.flush(10)
        if child == 0:
            print("child", written, flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print("parent", written, flush=True)
    """)
    assert {'child ["child\'s"]', 'parent ["parent\'s"]'} == set(shown.splitlines())
