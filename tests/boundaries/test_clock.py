"""The clock: every shape of import is recorded, and served again bit for bit; nothing else in the process notices."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import operator
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from time import time as copied
from typing import Any

import freezegun
import pytest
import time_machine

from pytest_fluxrun import ambient, patching
from pytest_fluxrun.boundaries.clock import boundary
from pytest_fluxrun.config import Settings, use_settings
from pytest_fluxrun.context import LANE, entered
from pytest_fluxrun.replaying.traveller import travelling
from tests.ambient_runs import RecordingSession, record, replay

native = pytest.mark.skipif(not ambient.is_native(), reason="the C extension isn't built")


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    patching.install(boundary.patches(time))
    yield
    patching.restore_all()
    ambient.uninstall()


@pytest.fixture
def pure() -> Iterator[None]:
    """Attribute wrappers in place of the C extension."""
    ambient.uninstall()
    use_settings(Settings(pure=True))
    patching.install(boundary.patches(time))
    yield
    use_settings(None)


def default_argument(now: Any = time.time) -> float:
    """A copy in a default argument."""
    return float(now())


@dataclass
class Stamped:
    """A copy in a default factory."""

    at: datetime = field(default_factory=datetime.now)
    day: date = field(default_factory=date.today)


class Clocked:
    """Copies as class attributes."""

    now = time.monotonic
    perf = staticmethod(time.perf_counter)


class Moment(datetime):
    """A subclass, as libraries have them."""


library = types.ModuleType("library")
exec("from time import time_ns as now\ndef read(): return now()", library.__dict__)
partial = functools.partial(time.time)
BERLIN = timezone(timedelta(hours=1))


def shapes() -> list[Any]:
    """Every way in which programs hold a clock."""
    return [
        time.time(),
        copied(),
        default_argument(),
        dataclasses.astuple(Stamped()),
        library.read(),
        partial(),
        Clocked.now(),
        Clocked.perf(),
        [f() for f in [time.time] * 2],
        [next(iter(time.time_ns, None)) for _ in range(3)],
        list(itertools.starmap(time.perf_counter_ns, [()] * 3)),
        operator.methodcaller("monotonic_ns")(time),
        [datetime.now(UTC), datetime.now(tz=BERLIN), datetime.now(), Moment.now(), Moment.now(UTC)],
        [datetime.today(), Moment.today(), date.today()],
        [tuple(time.localtime()), time.localtime().tm_zone, tuple(time.gmtime(None)), time.gmtime().tm_gmtoff],
        [time.ctime(), time.asctime(), time.strftime("%Y-%m-%d %H:%M:%S")],
    ]


@native
def test_every_import_shape_is_served_bit_for_bit() -> None:
    """What was read comes again, with its type, whatever way the program holds the clock."""
    recorded, recording = record(shapes)

    replayed = replay(recording, shapes)

    assert repr(recorded) == repr(replayed.result)
    assert () == replayed.drifts


@native
def test_utcnow_is_served_bit_for_bit() -> None:
    """The deprecated one too."""

    def read() -> list[Any]:
        return [datetime.utcnow(), Moment.utcnow()]

    with pytest.warns(DeprecationWarning, match="utcnow") if sys.version_info >= (3, 12) else entered(None):
        recorded, recording = record(read)
        assert repr(recorded) == repr(replay(recording, read).result)


@native
def test_explicit_times_are_not_reads() -> None:
    """Functions that are given a time convert it and no more."""

    def convert() -> list[Any]:
        return [time.localtime(5), time.gmtime(5), time.ctime(5), time.strftime("%Y", time.gmtime(5))]

    converted, recording = record(convert)

    assert () == recording.segments
    assert converted == replay(recording, convert).result


@native
def test_wrong_arguments_raise_as_before() -> None:
    """A bad call is the original's to refuse, recording and replaying."""

    def wrong() -> list[str]:
        messages = []
        moment: Any = datetime
        calls: list[tuple[Any, ...]] = [(moment.now, 1, 2), (time.strftime,), (time.localtime, "x"), (time.time, 1)]
        for call, *arguments in calls:
            with pytest.raises(TypeError) as caught:
                call(*arguments)
            messages.append(str(caught.value))
        return messages

    expected = wrong()
    recorded, recording = record(wrong)

    assert expected == recorded == replay(recording, wrong).result


@native
def test_other_threads_keep_real_time() -> None:
    """A thread of no run reads the real clock while a run is replayed a year later."""
    _, recording = record(lambda: [time.time() for _ in range(3)])
    year_ago = dataclasses.replace(recording, wall_ns=recording.wall_ns - 365 * 86_400 * 10**9)
    outside: list[float] = []

    def read() -> float:
        thread = threading.Thread(target=lambda: outside.append(time.time()))
        thread.start()
        thread.join()
        return time.time()

    inside = replay(year_ago, read).result

    assert abs(outside[0] * 1e9 - ambient.time_ns()) < 60 * 10**9
    assert outside[0] - inside > 364 * 86_400


@native
def test_failing_append_does_not_reach_the_host() -> None:
    """A code object without a lane list, and a lane without `ambient`, leave the read as it is."""

    class Odd:
        session = None

    with entered(Odd()):  # type: ignore[arg-type]  # not a Lane, on purpose
        assert abs(time.time() * 1e9 - ambient.time_ns()) < 60 * 10**9


@native
def test_time_machine_over_the_seam_is_named_and_undone() -> None:
    """A travelling time-machine displaces the hooks, which are back when it stops, however often it travels."""
    for _ in range(2):
        with time_machine.travel(0, tick=False):
            displaced = ambient.displaced()
            ambient.install()
            assert time.time() == 0
        assert "time.time" in displaced
        assert () == ambient.displaced()

    assert 1 == len(record(time.time)[1].segments)


@native
def test_time_machine_under_the_seam_still_travels() -> None:
    """Installed while time-machine travels, the hooks pass on to it, and can be renewed once it has stopped."""
    ambient.uninstall()
    with time_machine.travel(0, tick=False):
        ambient.install()
        assert time.time() == 0
        assert datetime.now(UTC).year == 1970
    ambient.install()

    assert () == ambient.displaced()
    assert 1 == len(record(time.time)[1].segments)
    assert abs(time.time() * 1e9 - ambient.time_ns()) < 60 * 10**9


@native
def test_freezegun_freezes_as_before() -> None:
    """With the hooks in place freezegun freezes, and afterwards runs are recorded."""
    with freezegun.freeze_time("2001-02-03"):
        import datetime as dt

        assert dt.datetime.now(UTC).year == 2001

    assert 1 == len(record(time.time)[1].segments)


@native
def test_lane_stops_recording_at_its_bound() -> None:
    """A run that polls the clock for ever holds bounded memory."""
    session = RecordingSession()
    reads: Any = session.lane.ambient
    reads.extend([0] * ambient.MOST_READS_PER_LANE)
    with entered(session.lane):
        time.time()

    assert ambient.MOST_READS_PER_LANE == len(reads)


@native
@pytest.mark.parametrize(
    "program",
    [
        "import atexit; atexit.register(time.time)",
        "LANE.set(Lane(Owner())); sys.modules.clear(); time.time()",
        "class Late:\n    def __del__(self, now=time.time): now()\nLANE.set(Lane(Owner())); sys.late = Late()",
        "pid = os.fork()\nLANE.set(Lane(Owner())); time.time()\nif pid: assert os.waitpid(pid, 0)[1] == 0",
        "import threading; threading.Thread(target=lambda: [time.time() for _ in range(9**5)], daemon=True).start()",
    ],
    ids=["atexit", "modules-gone", "finalizer", "fork", "daemon-thread"],
)
def test_interpreter_ends_cleanly(program: str) -> None:
    """Reads at the very end, after a fork or from a daemon thread don't crash the process."""
    source = (
        "import os, sys, time\n"
        "from pytest_fluxrun import ambient\n"
        "from pytest_fluxrun.context import LANE, Lane\n"
        "class Owner:\n    def ambient_for(self, lane): return []\n"
        "ambient.install()\n" + program
    )
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, check=False)

    assert (0, b"", b"") == (ended.returncode, ended.stdout, ended.stderr)


@native
def test_subinterpreter_is_refused_and_reads_real_time() -> None:
    """The hooks serve the main interpreter; another one may not load them and is not disturbed by them."""
    interpreters = pytest.importorskip("_xxsubinterpreters", reason="CPython 3.13 names it otherwise")
    interpreter = interpreters.create()
    try:
        interpreters.run_string(
            interpreter,
            "import time\nassert time.time() > 1e9\n"
            "try:\n    from pytest_fluxrun import _ambient\n"
            "except ImportError: pass\n"
            "else: raise AssertionError('loaded')\n",
        )
    finally:
        interpreters.destroy(interpreter)


def test_time_machine_that_is_imported_over_the_wrappers_travels() -> None:
    """It takes the functions of `time` for ones in C when it is first imported, and ends the process if they aren't."""
    source = """
import time
from pytest_fluxrun import patching
from pytest_fluxrun.boundaries.clock import boundary
from pytest_fluxrun.config import Settings, use_settings
use_settings(Settings(pure=True))
patching.install(boundary.patches(time))
import time_machine
with time_machine.travel(86_400, tick=False):
    print(time.time(), time.gmtime().tm_mday)
"""
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, check=False, text=True)
    assert (0, "86400.0 2") == (ended.returncode, ended.stdout.strip()), ended.stderr


@pytest.mark.usefixtures("pure")
def test_wrappers_serve_what_goes_through_the_module() -> None:
    """Without the extension, calls through `time` are served bit for bit; without a lane nothing changes."""

    def read() -> list[Any]:
        return [
            time.time(),
            time.time_ns(),
            time.monotonic(),
            time.perf_counter(),
            tuple(time.localtime()),
            time.strftime("%H:%M:%S"),
            time.ctime(),
            time.gmtime(0),
        ]

    recorded, recording = record(read)
    replayed = replay(recording, read)

    assert recorded == replayed.result
    assert () == replayed.drifts
    assert LANE.get() is None
    assert abs(time.time() * 1e9 - ambient.time_ns()) < 60 * 10**9


@pytest.mark.usefixtures("pure")
def test_traveller_shows_a_run_its_own_time() -> None:
    """Without the extension, `datetime.now()` and copies of `time.time` lie on the run's time line, in runs only."""
    _, recording = record(time.time)
    year_ago = dataclasses.replace(recording, wall_ns=recording.wall_ns - 365 * 86_400 * 10**9, segments=())
    with travelling():
        inside = replay(year_ago, lambda: (datetime.now(UTC), copied(), time.time()))
        outside = datetime.now(UTC)

    moment, seconds, attribute = inside.result
    assert outside - moment > timedelta(days=364)
    assert timedelta(0) <= datetime.fromtimestamp(seconds, UTC) - moment < timedelta(seconds=1)
    assert 0 <= attribute - seconds < 1
    assert {"clock-interpolated"} == {kind for kind, _ in inside.drifts}
