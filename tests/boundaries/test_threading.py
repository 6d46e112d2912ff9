"""Threads carry a lane of their own, and nothing else of the context; outside runs nothing changes."""

from __future__ import annotations

import _thread
import contextvars
import gc
import queue
import threading
import weakref

import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.context import LANE, current_lane, entered


def _in_thread(lane, **thread):
    with entered(lane):
        made = threading.Thread(**thread)
        made.start()
        made.join()
    return made


def test_thread_runs_in_a_lane_named_after_its_target(recorded_lane):
    """Numbered in the order of starting."""
    paths = []

    def target():
        paths.append(current_lane().path)

    _in_thread(recorded_lane, target=target)
    _in_thread(recorded_lane, target=target)

    names = [(path[0][0].rsplit(".", 1)[-1], path[0][1]) for path in paths]
    assert [("target", 1), ("target", 2)] == names


def test_lane_is_numbered_where_the_thread_is_started(recorded_lane):
    """Not where it happens to run first."""
    paths, gate = {}, threading.Event()

    def target(number):
        gate.wait(5)
        paths[number] = current_lane().position

    with entered(recorded_lane):
        threads = [threading.Thread(target=target, args=(number,)) for number in (1, 2, 3)]
        for thread in threads:
            thread.start()
    gate.set()
    for thread in threads:
        thread.join()

    assert {1: (1,), 2: (2,), 3: (3,)} == paths


def test_timer_is_named_after_its_function(recorded_lane):
    """The timer's own class says nothing."""
    lanes = queue.SimpleQueue()

    def ring():
        lanes.put(current_lane())

    with entered(recorded_lane):
        threading.Timer(0.001, ring).start()

    assert repr(lanes.get(timeout=5)).endswith("ring#1")


def test_subclass_is_named_after_its_class(recorded_lane):
    """A thread that overrides run."""
    lanes = []

    class Worker(threading.Thread):
        def run(self):
            lanes.append(current_lane())

    with entered(recorded_lane):
        worker = Worker()
        worker.start()
        worker.join()

    assert repr(lanes[0]).endswith("Worker#1")
    assert "run" not in vars(worker)


def test_only_the_lane_is_carried(recorded_lane):
    """Other context variables start unset, as in every new thread."""
    variable, seen = contextvars.ContextVar("variable", default="unset"), []
    variable.set("of the parent")

    _in_thread(recorded_lane, target=lambda: seen.append(variable.get()))

    assert ["unset"] == seen


def test_raw_thread_runs_in_a_lane(recorded_lane):
    """_thread.start_new_thread, with arguments."""
    lanes = queue.SimpleQueue()

    def raw(first, second):
        lanes.put((first, second, current_lane()))

    with entered(recorded_lane):
        _thread.start_new_thread(raw, (1,), {"second": 2})

    first, second, lane = lanes.get(timeout=5)
    assert (1, 2) == (first, second)
    assert repr(lane).endswith("raw#1")


def test_outside_runs_threads_have_no_lane(lane_seams):
    """And raw ones neither."""
    lanes = queue.SimpleQueue()

    _in_thread(None, target=lambda: lanes.put(LANE.get()))
    _thread.start_new_thread(lambda: lanes.put(LANE.get()), ())

    assert [None, None] == [lanes.get(timeout=5), lanes.get(timeout=5)]


def test_thread_of_a_run_that_is_over_has_no_lane(recorded_lane):
    """What is left of a run hands nothing on."""
    lanes = []
    recorded_lane.session.closed = True

    _in_thread(recorded_lane, target=lambda: lanes.append(LANE.get()))

    assert [None] == lanes


def test_exceptions_reach_the_hook(recorded_lane, monkeypatch):
    """As from every thread."""
    caught = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: caught.append(arguments.exc_type))

    _in_thread(recorded_lane, target=lambda: 1 // 0)

    assert [ZeroDivisionError] == caught


def test_starting_twice_is_refused(recorded_lane):
    """By threading's own error, and no lane is spent on it."""
    thread = _in_thread(recorded_lane, target=int)
    spawned = recorded_lane._spawned

    with entered(recorded_lane), pytest.raises(RuntimeError, match="once"):
        thread.start()

    assert spawned == recorded_lane._spawned


def test_thread_that_cannot_start_leaves_nothing(recorded_lane, monkeypatch):
    """The system refuses; the run method is its own again."""

    def refuses(*_, **__):
        raise RuntimeError("can't start new thread")

    starter = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"
    monkeypatch.setattr(threading, starter, refuses)
    thread = threading.Thread(target=int)

    with entered(recorded_lane), pytest.raises(RuntimeError, match="can't start"):
        thread.start()

    assert "run" not in vars(thread)


def test_finished_thread_keeps_no_lane(recorded_lane):
    """A thread object that lives on holds neither its lane nor the session."""
    lanes = []
    thread = _in_thread(recorded_lane, target=lambda: lanes.append(weakref.ref(current_lane().session)))
    session = weakref.ref(recorded_lane.session)

    assert session() is lanes[0]()
    assert not any(held is recorded_lane for held in gc.get_referents(thread))
    assert "run" not in vars(thread)


def test_waits_outside_runs_are_as_before(lane_seams):
    """Time-outs of the wrapped waits, errors and notifications."""
    condition = threading.Condition()

    with condition:
        assert not condition.wait(0.001)
    with pytest.raises(RuntimeError, match="un-acquired"):
        condition.wait()
    with pytest.raises(queue.Empty):
        queue.Queue().get(timeout=0.001)


def test_seams_are_restored(lane_seams):
    """Nothing of them stays when FluxRun is taken out."""
    patching.restore_all()

    assert "fluxrun" not in threading.Thread.start.__code__.co_filename
    assert "fluxrun" not in threading.Condition.wait.__code__.co_filename
    assert not hasattr(_thread.start_new_thread, "__wrapped__")


def test_thread_that_is_given_a_context_has_a_lane_of_its_own(recorded_lane):
    """`target=context.run`: named after the function, and not in the lane of the code whose context was copied."""
    lanes = queue.SimpleQueue()
    variable = contextvars.ContextVar("variable")

    def work(number):
        lanes.put((number, variable.get(), repr(current_lane()).rsplit(".", 1)[-1]))

    with entered(recorded_lane):
        variable.set("copied")
        _in_thread(recorded_lane, target=contextvars.copy_context().run, args=(work, 1))
        _thread.start_new_thread(contextvars.copy_context().run, (work, 2))

    assert [(1, "copied", "work#1"), (2, "copied", "work#2")] == [lanes.get(timeout=5), lanes.get(timeout=5)]
