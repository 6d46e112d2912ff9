"""The timeline: exact in step, and tolerant of code that reads more, less, elsewhere or under another name."""

from __future__ import annotations

import linecache
import random
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any

import pytest

from pytest_fluxrun import ambient, patching
from pytest_fluxrun.boundaries import clock, entropy
from pytest_fluxrun.context import LANE, entered
from pytest_fluxrun.drift import DriftKind
from pytest_fluxrun.run import Recording
from tests.ambient_runs import RecordingSession, child, crossed, record, replay, stored

pytestmark = pytest.mark.skipif(not ambient.is_native(), reason="the C extension isn't built")
_number = count()


@pytest.fixture(autouse=True)
def _seams() -> Iterator[None]:
    patching.install(clock.boundary.patches(time))
    patching.install(entropy.boundary.patches(random))
    yield
    patching.restore_all()
    ambient.uninstall()


def program(source: str) -> Callable[[], Any]:
    """The function `main` of a source text, with its lines where tracebacks look for them."""
    text = textwrap.dedent(source)
    filename = f"/srv/shop/main{next(_number)}.py"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    space: dict[str, Any] = {"child": child, "crossed": crossed}
    exec(compile(text, filename, "exec"), space)
    return space["main"]  # type: ignore[no-any-return]


BEFORE = """
    import time, random, os

    def main():
        seen = {}
        seen["start"] = time.time()
        seen["id"] = os.urandom(8)
        crossed(0)
        seen["middle"] = time.monotonic_ns()
        seen["dice"] = [random.random() for _ in range(3)]
        crossed(1)
        seen["end"] = time.time()
        return seen
"""


def changed(*changes: tuple[str, str]) -> Callable[[], Any]:
    """BEFORE with replacements, each of which must apply."""
    source = BEFORE
    for old, new in changes:
        assert old in source
        source = source.replace(old, new)
    return program(source)


def test_unchanged_code_sees_what_it_saw() -> None:
    """Bit for bit, without drift, any number of times, and the clock ends where the run ended."""
    main = program(BEFORE)
    recorded, recording = record(main)

    first, second = replay(recording, main), replay(recording, main)

    assert recorded == first.result == second.result
    assert () == first.drifts
    end_ns = round(recorded["end"] * 1e9) - recording.wall_ns
    clock_of_run = first.session.clock
    assert clock_of_run is not None
    assert end_ns <= clock_of_run.now_ns() < end_ns + 1_000_000


def test_year_does_not_matter() -> None:
    """Values are the recording's, whatever the machine's clock says."""
    main = program("import datetime as d\ndef main(): return d.datetime.now(d.UTC), d.datetime.now(d.UTC)")
    _, recording = record(main)
    early = int(datetime(2001, 2, 3, tzinfo=UTC).timestamp()) * 10**9
    segment = recording.segments[0]
    moved = tuple(replace(read, values=[early // 1000 + 5, early // 1000 + 9]) for read in segment.reads)
    then = replace(recording, wall_ns=early, segments=(replace(segment, reads=moved),))

    first, second = replay(then, main).result

    assert [datetime(2001, 2, 3, 0, 0, 0, microsecond, tzinfo=UTC) for microsecond in (5, 9)] == [first, second]


@pytest.mark.parametrize(
    "changes",
    [
        [('seen["start"] = time.time()', 'seen["extra"] = time.time()\n        seen["start"] = time.time()')],
        [('seen["end"] = time.time()', 'seen["extra"] = time.time_ns()\n        seen["end"] = time.time()')],
        [("crossed(1)", 'seen["extra"] = [time.monotonic() for _ in range(99)]; crossed(1)')],
        [("seen = {}", 'seen = {"extra": os.urandom(8)}')],
        [("crossed(0)", 'seen["extra"] = random.random(); crossed(0)')],
    ],
    ids=["clock-before", "other-clock", "many", "id-before", "draw-before"],
)
def test_added_reads_leave_the_others_exact(changes: list[tuple[str, str]]) -> None:
    """What was there keeps its value; the new read is noted once."""
    recorded, recording = record(program(BEFORE))

    replayed = replay(recording, changed(*changes))

    assert recorded == {key: replayed.result[key] for key in recorded}
    assert 1 == len(replayed.drifts)


def test_added_clock_read_lies_between_its_neighbours() -> None:
    """Time never goes backward, and drift names the place."""
    lines = [
        'seen["start"] = time.time()',
        'a = max([time.time_ns() for _ in range(40)]); seen["start"] = time.time(); b = time.time_ns()',
    ]
    main = changed((lines[0], lines[1]), ("return seen", "return a, seen, b"))
    recorded, recording = record(program(BEFORE))

    first, seen, second = (replayed := replay(recording, main)).result

    assert first <= round(seen["start"] * 1e9) + 200
    assert second >= round(seen["start"] * 1e9) - 200
    assert seen["end"] >= second / 1e9
    assert recorded == seen
    assert {DriftKind.CLOCK_INTERPOLATED} == {kind for kind, _ in replayed.drifts}
    assert f"time.time_ns() in main: {lines[1]}" in {text for _, text in replayed.drifts}


def test_long_added_poll_pushes_the_recorded_reads_forward() -> None:
    """Where added reads have used up the room, what comes after is no longer exact, but never earlier."""
    start = 'seen["start"] = time.time()'
    _, recording = record(program(BEFORE))

    poll = f"polled = [time.time() for _ in range(2000)]; {start}"
    polled, seen = replay(recording, changed((start, poll), ("return seen", "return polled, seen"))).result

    assert polled == sorted(polled)
    assert polled[-1] <= seen["start"] <= seen["end"]


@pytest.mark.parametrize(
    ("old", "new", "gone"),
    [
        ('seen["start"] = time.time()', "pass", "start"),
        ('seen["middle"] = time.monotonic_ns()', "pass", "middle"),
        ('seen["id"] = os.urandom(8)', "pass", "id"),
        ('seen["dice"] = [random.random() for _ in range(3)]', "pass", "dice"),
    ],
)
def test_removed_reads_are_passed_over(old: str, new: str, gone: str) -> None:
    """The rest keeps its values, without drift."""
    recorded, recording = record(program(BEFORE))

    replayed = replay(recording, changed((old, new)))

    del recorded[gone]
    assert recorded == replayed.result
    assert () == replayed.drifts


@pytest.mark.parametrize(
    "changes",
    [
        [("    def main", "    # moved\n\n    X = 1\n    def main")],
        [('seen["start"] = time.time()', 'seen["start"]  =  float(time.time())')],
        [('seen["id"] = os.urandom(8)', 'seen["id"] = bytes(os.urandom(8))')],
        [("def main", "def handler"), ("return seen", "return seen\n    main = handler")],
        [('seen["id"] = os.urandom(8)', "pass"), ('seen["end"]', 'seen["id"] = os.urandom(8); seen["end"]')],
    ],
    ids=["moved-down", "reworded", "reworded-id", "renamed-function", "id-made-later"],
)
def test_moved_and_renamed_reads_keep_their_values(changes: list[tuple[str, str]]) -> None:
    """Line numbers, wording around the read, the function's name and the time of an id's making may change."""
    recorded, recording = record(program(BEFORE))

    replayed = replay(recording, changed(*changes))

    assert recorded == replayed.result
    assert () == replayed.drifts


def test_reordered_calls_keep_ids_and_a_forward_clock() -> None:
    """Two independent calls in another order: each keeps its id; clock reads never go back."""
    source = """
        import os, time
        def one(seen): crossed(0); seen.append(("one", os.urandom(4), time.time()))
        def two(seen): crossed(1); seen.append(("two", os.urandom(4), time.time()))
        def main():
            seen = []
            one(seen); two(seen)
            return seen
    """
    recorded, recording = record(program(source))

    replayed = replay(recording, program(source.replace("one(seen); two(seen)", "two(seen); one(seen)")))

    assert {key: entropy for key, entropy, _ in recorded} == {key: entropy for key, entropy, _ in replayed.result}
    times = [at for *_, at in replayed.result]
    assert times == sorted(times)


CACHED = """
    import time
    def main():
        first = time.time()
        crossed(0)
        seen = [time.time_ns(), time.time_ns()]
        crossed(1)
        return first, seen, time.monotonic_ns()
"""


@pytest.mark.parametrize("skipped", ["crossed(0)", "crossed(1)"])
def test_a_look_up_that_is_not_made_leaves_the_reads_exact(skipped: str) -> None:
    """A cache may be warm at replay that was cold in production, in a process that has replayed other runs."""
    recorded, recording = record(program(CACHED))

    replayed = replay(recording, program(CACHED.replace(skipped, "pass")))

    assert recorded == replayed.result
    assert () == replayed.drifts


def test_clock_read_beyond_an_effect_that_is_not_made_lies_before_it() -> None:
    """Only what changes nothing may be left out without a trace."""
    recorded, recording = record(program(CACHED))
    interactions = tuple(replace(one, effect=True) for one in recording.interactions)

    replayed = replay(replace(recording, interactions=interactions), program(CACHED.replace("crossed(0)", "pass")))

    assert recorded[0] * 1e9 <= replayed.result[1][0] < recorded[1][0]
    assert {DriftKind.CLOCK_INTERPOLATED} == {kind for kind, _ in replayed.drifts}


def test_read_that_is_made_before_its_look_up_and_again_after_it() -> None:
    """The added one can't be told from the recorded one before the call comes: both see the recorded instant."""
    source = """
        import time
        def now(): return time.time_ns()
        def main():
            first = now()
            crossed(0)
            return first, now()
    """
    recorded, recording = record(program(source))

    replayed = replay(recording, program(source.replace("crossed(0)", "added = now(); crossed(0)")))

    assert recorded == replayed.result
    assert {DriftKind.CLOCK_INTERPOLATED} == {kind for kind, _ in replayed.drifts}


LANES = """
    import os, time
    def work(name):
        with child(name):
            return name, time.time_ns(), os.urandom(4)
    def main():
        return [work("a"), work("b"), work("a"), os.urandom(4)]
"""


def test_lanes_have_their_own_reads() -> None:
    """In whatever order lanes run, each sees what it saw."""
    recorded, recording = record(program(LANES))

    other_order = program(LANES.replace('work("a"), work("b"), work("a")', 'work("b"), work("a"), work("a")'))
    replayed = replay(recording, other_order)

    assert sorted(recorded[:3]) == sorted(replayed.result[:3])
    assert recorded[3] == replayed.result[3]


def test_renamed_lane_is_found_by_position() -> None:
    """A renamed coroutine keeps its reads; one more lane has only added ones, the same each time."""
    recorded, recording = record(program(LANES))
    renamed = replay(recording, program(LANES.replace('work("b")', 'work("c")')))
    added = program(LANES.replace('work("a"), os', 'work("a"), work("new"), os'))

    assert [name_and_reads[1:] for name_and_reads in recorded[:3]] == [row[1:] for row in renamed.result[:3]]
    assert () == renamed.drifts
    first, second = replay(recording, added), replay(recording, added)
    assert first.result == second.result
    assert recorded == [*first.result[:3], first.result[4]]
    assert [DriftKind.CLOCK_INTERPOLATED, DriftKind.ENTROPY_EXTRA] == [kind for kind, _ in first.drifts]


def test_unknown_lane_is_recognised_by_its_call() -> None:
    """A lane that is neither at its name nor at its position becomes the recorded one on getting that one's answer."""
    source = """
        import time
        def main():
            with child("a"): pass
            with child("b"):
                crossed(0)
                return time.time()
    """
    recorded, recording = record(program(source))

    replayed = replay(recording, program(source.replace('with child("a"): pass', "pass").replace('"b"', '"c"')))

    assert recorded == replayed.result


def test_busy_poll_ends() -> None:
    """A loop that the recording doesn't know and that waits for the clock gets there."""
    main = program(
        "import time\ndef main():\n    end = time.time() + 3600\n    while time.time() < end: pass\n    return end"
    )
    nothing = Recording(wall_ns=10**18, mono_ns=0, perf_ns=0, duration_ns=0)

    assert 3600 <= replay(nothing, main).result - 1e9 < 3601


def test_infrastructure_reads_the_virtual_clock() -> None:
    """What isn't recorded sees the run's time, in step with what the app reads."""
    main = program(
        "import time, logging\ndef main():\n    at = time.time()\n    return at, logging.makeLogRecord({}).created"
    )
    _, recording = record(main)
    past = replace(recording, wall_ns=10**18, segments=())

    at, created = replay(past, main).result

    assert 0 <= created - at < 1
    assert abs(created - 1e9) < 1


def test_reads_are_real_again_after_the_run() -> None:
    """What is left of a run whose clock is over sees the present."""
    _, recording = record(time.time)

    def left() -> float:
        lane = LANE.get()
        assert lane is not None
        lane.session.clock.over = True  # type: ignore[union-attr]
        return time.time()

    past = replace(recording, wall_ns=10**18, segments=())
    assert abs(replay(past, left).result * 1e9 - ambient.time_ns()) < 60 * 10**9


def test_threads_read_their_lanes_at_once() -> None:
    """Eight threads with a lane each, all at the same time, each exact."""

    def work(results: list[Any], index: int) -> None:
        results[index] = [(time.time_ns(), random.random()) for _ in range(300)]

    def run(session: Any) -> list[Any]:
        results: list[Any] = [None] * 8
        lanes = [session.lane.spawn("work") for _ in range(8)]

        def enter(index: int) -> None:
            with entered(lanes[index]):
                work(results, index)

        threads = [threading.Thread(target=enter, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    session = RecordingSession()
    recorded = run(session)
    replayed = replay(session.recording(), lambda: run(LANE.get().session))  # type: ignore[union-attr]

    assert recorded == replayed.result
    assert () == replayed.drifts
    assert all(earlier <= later for lane in replayed.result for (earlier, _), (later, _) in pairwise(lane))


def test_local_zone_is_the_recording_machines() -> None:
    """Added naive reads are in the zone that the recorded ones show, not in this machine's."""
    main = program("import datetime as d\ndef main(): return d.datetime.now()")
    _, recording = record(main)
    segment = stored(recording).segments[0]
    form = [recording.wall_ns // 1000, 5 * 3600 + 1800, 0]
    there = replace(recording, segments=(replace(segment, reads=(replace(segment.reads[0], values=[form]),)),))
    twice = program(
        "import datetime as d, time\ndef main(): return d.datetime.now(), d.datetime.now(), time.localtime()"
    )

    first, second, third = replay(there, twice).result

    expected = datetime(1970, 1, 1) + timedelta(microseconds=form[0], hours=5, minutes=30)
    assert expected == replay(there, main).result
    assert abs(first - expected) < timedelta(seconds=1)
    assert abs(second - expected) < timedelta(seconds=1)
    assert (expected.hour, expected.minute, 19800) == (third.tm_hour, third.tm_min, third.tm_gmtoff)
