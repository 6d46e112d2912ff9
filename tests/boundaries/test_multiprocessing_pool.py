"""Calls of a ThreadPool carry lanes of their own, whatever its chunks; at replay its waits are virtual."""

from __future__ import annotations

import contextvars
import multiprocessing
import threading
import time
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool

import pytest

from pytest_fluxrun.context import LANE, current_lane, entered


def _path(*_: object) -> tuple:
    return current_lane().path


def _short(path: tuple) -> str:
    return "/".join(f"{name.rsplit('.', 1)[-1]}#{ordinal}" for name, ordinal in path)


@pytest.fixture
def pool(lane_seams: None) -> Iterator[ThreadPool]:
    with ThreadPool(2) as made:
        yield made


def test_applied_calls_get_lanes_in_the_order_of_asking(pool, recorded_lane):
    """apply_async and apply."""
    with entered(recorded_lane):
        asked = [pool.apply_async(_path), pool.apply_async(_path)]
        last = pool.apply(_path)

    assert ["_path#1", "_path#2", "_path#3"] == [_short(path) for path in (*(one.get(5) for one in asked), last)]


@pytest.mark.parametrize("chunksize", [1, 3, 100])
def test_lanes_of_a_map_are_those_of_its_items(pool, recorded_lane, chunksize):
    """map, starmap, imap and imap_unordered; how many the pool takes at once makes no difference."""
    items = range(5)
    with entered(recorded_lane):
        mapped = [
            pool.map(_path, items, chunksize),
            pool.starmap(_path, zip(items, items, strict=True), chunksize),
            list(pool.imap(_path, items, chunksize)),
            sorted(pool.imap_unordered(_path, items, chunksize)),
        ]

    expected = [[f"_path#{number}/item#{item}" for item in range(1, 6)] for number in range(1, 5)]
    assert expected == [[_short(path) for path in paths] for paths in mapped]


def test_iterable_of_imap_is_walked_in_the_lane_of_the_whole(pool, recorded_lane):
    """A thread of the pool walks it, beside the code that asked."""
    seen = []

    def pages():
        seen.append(current_lane())
        yield 1

    with entered(recorded_lane):
        (item,) = pool.imap(_path, pages())

    assert ["_path#1", "_path#1/item#1"] == [_short(seen[0].path), _short(item)]


def test_callbacks_get_lanes(pool, recorded_lane):
    """Of a result and of an error; they run on a thread of the pool."""
    lanes, called = [], threading.Semaphore(0)

    def good(_):
        lanes.append(_short(_path()))
        called.release()

    def bad(error):
        lanes.append((_short(_path()), type(error)))
        called.release()

    with entered(recorded_lane):
        pool.apply_async(_path, callback=good, error_callback=bad)
        assert called.acquire(timeout=5)
        pool.map_async(lambda _: 1 // 0, [1], callback=good, error_callback=bad)
        assert called.acquire(timeout=5)

    assert ["good#1", ("bad#2", ZeroDivisionError)] == lanes


def test_pool_belongs_to_no_run(recorded_lane):
    """One made inside a run serves callers outside of it without a lane."""
    with entered(recorded_lane):
        pool = ThreadPool(1)
        pool.apply(_path)

    with pool:
        assert [None, None] == [pool.apply(LANE.get), pool.map(lambda _: LANE.get(), [0])[0]]


def test_context_of_the_caller_stays_as_it_was(pool, recorded_lane):
    """`apply(context.run, (function,))`: the lane is there during the call only."""
    context = contextvars.Context()

    with entered(recorded_lane):
        path = pool.apply(context.run, (_path,))

    assert "_path#1" == _short(path)
    assert context.run(LANE.get) is None


def test_results_and_errors_pass(pool, recorded_lane):
    """The seams change nothing of a call."""
    with entered(recorded_lane):
        assert 7 == pool.apply(int, ("111",), {"base": 2})
        assert [] == pool.map(_path, [])
        with pytest.raises(ZeroDivisionError):
            pool.starmap(divmod, [(1, 0)])
        with pytest.raises(ZeroDivisionError):
            list(pool.imap(int, (1 // 0 for _ in range(1))))


def test_pools_of_processes_are_left_alone(recorded_lane):
    """What runs there has no lane here, and no seam of theirs is replaced."""
    assert not hasattr(multiprocessing.pool.Pool.apply_async, "__wrapped__")
    assert not hasattr(multiprocessing.pool.Pool._map_async, "__wrapped__")


def test_sleeps_of_a_replay_are_virtual(replay):
    """Two at a time; the pool, its callbacks and an iterable that waits are counted; nothing is waited for really."""

    def body():
        told = []
        with ThreadPool(2) as pool:
            pool.map(time.sleep, [3, 3, 3, 3], 1)
            assert 6 == replay.now_s
            result = pool.apply_async(time.sleep, (2,), callback=lambda _: (time.sleep(1), told.append(replay.now_s)))
            result.get(timeout=10)
            assert 9 == replay.now_s
            assert [None] * 3 == list(pool.imap(time.sleep, (time.sleep(1) or 2 for _ in range(3))))
            with pytest.raises(multiprocessing.TimeoutError):
                pool.apply_async(time.sleep, (60,)).get(timeout=5)
        return told

    began = time.monotonic()
    told = replay.call(body)

    assert [9] == told
    assert replay.now_s == 9 + 5 + 5
    assert time.monotonic() - began < 5
    assert 0 == replay.clock.forced


def test_error_of_a_replay_is_raised_at_its_virtual_time(replay):
    """And the clock goes on."""

    def fails():
        time.sleep(4)
        raise KeyError("as live")

    def body():
        with ThreadPool(1) as pool, pytest.raises(KeyError, match="as live"):
            pool.apply(fails)

    replay.call(body)

    assert 4 == replay.now_s
