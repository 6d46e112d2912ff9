"""Raw reads to segments: keyed by place, packed, without infrastructure, and read back as they were."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import CodeType
from typing import Any

import pytest

from pytest_fluxrun.columns import pack, unpack
from pytest_fluxrun.errors import DamagedBundle
from pytest_fluxrun.places import is_infrastructure, is_library, module_of, place_of
from pytest_fluxrun.recording.reads import segments_of
from pytest_fluxrun.replaying.recorded_reads import recorded_lanes
from pytest_fluxrun.run import Recording, Segment
from tests.ambient_runs import RecordingSession


def here() -> tuple[CodeType, int]:
    """The caller's code and instruction."""
    frame = sys._getframe(1)
    return frame.f_code, frame.f_lasti


def segments(raw: list[Any], position: dict[int, int] | None = None) -> list[Segment]:
    """The segments of one lane with these raw reads."""
    session = RecordingSession()
    session.lane.index = 0
    session.lane.ambient = raw
    return list(segments_of([(session.lane, session.lane.ambient or [])], position=position or {}))


@pytest.fixture
def place() -> tuple[CodeType, int]:
    """Some code of the application."""
    return here()


def test_place_is_qualname_fragment_and_line() -> None:
    """A place holds no line number, so that moved code keeps it."""
    code, lasti = here()

    expected = "test_place_is_qualname_fragment_and_line|here()|code, lasti = here()"
    assert expected == place_of(code, lasti)


def test_place_without_source_is_its_qualname() -> None:
    """Code whose source is gone still has a name."""
    space: dict[str, Any] = {"here": here}
    exec("def generated():\n    return here()", space)

    assert "generated||" == place_of(*space["generated"]())


@pytest.mark.parametrize(
    ("filename", "module", "wall", "steady", "library"),
    [
        (datetime.__module__, "", False, False, False),
        (sys.modules["json"].__file__, "json", False, True, True),
        (sys.modules["threading"].__file__, "threading", True, True, False),
        (sys.modules["logging"].__file__, "logging", True, True, True),
        ("/x/lib/python3.12/site-packages/httpx/_client.py", "httpx._client", False, True, True),
        ("/x/lib/python3.12/site-packages/jwt/api_jwt.py", "jwt.api_jwt", False, False, True),
        ("/x/lib/python3.12/site-packages/sqlalchemy/pool/base.py", "sqlalchemy.pool.base", True, True, False),
        ("/x/lib/python3.12/site-packages/asyncio_extra.py", "asyncio_extra", False, False, True),
        (sys.modules["pytest_fluxrun.run"].__file__, "pytest_fluxrun.run", True, True, False),
        ("<frozen importlib._bootstrap>", "importlib._bootstrap", True, True, False),
        ("<string>", "", False, False, False),
        ("/srv/shop/main.py", "", False, False, False),
    ],
)
def test_infrastructure_is_told_by_file(filename: str, module: str, wall: bool, steady: bool, library: bool) -> None:
    """Wall and steady clocks have their lists; entropy is attributed past libraries and logging, but past no loop."""
    assert module == module_of(filename)
    assert (wall, steady) == (is_infrastructure("time.time", filename), is_infrastructure("time.monotonic", filename))
    assert library == is_library(filename)


def test_infrastructure_reads_are_left_out(place: tuple[CodeType, int]) -> None:
    """What logging reads isn't in the recording; what the app reads is."""
    logging_code = sys.modules["logging"].LogRecord.__init__.__code__

    found = segments([("time.time", logging_code, 0, 1.5), ("time.time", *place, 2.5)])

    assert [[2.5]] == [read.values for segment in found for read in segment.reads]


def test_crossings_part_a_lane_into_segments(place: tuple[CodeType, int]) -> None:
    """Segments follow the interaction's index; empty ones and crossings that weren't kept leave none."""
    raw = [("time.time", *place, 1.0), 7, 8, ("time.time", *place, 2.0), 9, ("time.time", *place, 3.0)]

    found = segments(raw, {7: 0, 8: 1})

    assert [(-1, [1.0]), (1, [2.0, 3.0])] == [(segment.after, segment.reads[0].values) for segment in found]


def test_lane_in_the_middle_of_a_call_has_no_reads() -> None:
    """A run may end while a call is under way; its lane's list is then elsewhere."""
    session = RecordingSession()
    session.lane.ambient = None

    assert [] == list(segments_of([(session.lane, session.lane.ambient or [])], position={}))


def test_interleaved_reads_keep_their_order(place: tuple[CodeType, int]) -> None:
    """Two places that read in turn are two columns, and one order again."""
    code, lasti = here()
    raw: list[Any] = []
    for number in range(50):
        raw += [("time.time", *place, float(number)), ("time.monotonic_ns", code, lasti, number)]

    found = segments(raw)
    recording = Recording(wall_ns=0, mono_ns=0, perf_ns=0, duration_ns=0, segments=tuple(found))

    assert 2 == len(found[0].reads)
    assert [read[3] for read in raw] == [read.form for read in recorded_lanes(recording)[0].segments[-1].clock]


@pytest.mark.parametrize(
    "values",
    [
        [],
        [0.1, 1e300, -0.0],
        [0.1] * 100,
        [1, -(2**63)] * 10,
        [0, 2**64 - 1] * 10,
        [2**200, -(2**90)] * 10,
        [b"", b"abc"],
        [b"\x00\xff"] * 20,
        [b"\x00", b"ab"] * 20,
        [True, None, "text"],
        [[1, 2.5, b"x", None]] * 10,
        [True, False] * 10,
    ],
)
def test_column_gives_its_values_back(values: list[Any]) -> None:
    """Long and short columns of any sort, types included."""
    assert repr(values) == repr(unpack(pack(values)))


@pytest.mark.parametrize("column", ["d:AAAA", "d:!!!!", "z:", "x0:AAAA", "x:", "", "q", 5, {"d": 1}, None])
def test_damaged_column_is_refused(column: Any) -> None:
    """A typed error, whatever the damage."""
    with pytest.raises(DamagedBundle):
        unpack(column)


def test_inconsistent_ranks_are_refused(place: tuple[CodeType, int]) -> None:
    """Ranks that don't fit their values are damage, found before anything is served."""
    found = segments([("time.time", *place, 1.0), ("time.time", *place, 2.0)])[0]
    for order in ([0], [0, 2], [-1, 0], [0.0, 1.0], "d:AAAA"):
        damaged = replace(found, reads=(replace(found.reads[0], order=order),))
        recording = Recording(wall_ns=0, mono_ns=0, perf_ns=0, duration_ns=0, segments=(damaged,))
        with pytest.raises(DamagedBundle):
            recorded_lanes(recording)


def test_stored_forms_are_plain(place: tuple[CodeType, int]) -> None:
    """Datetimes and struct_times are kept as numbers."""
    moment = datetime(2024, 2, 29, 12, 0, 0, 7, tzinfo=UTC)
    found = segments([("datetime.now", *place, moment), ("time.gmtime", *place, time.gmtime(0))])

    zone = time.gmtime(0).tm_zone
    assert [[1709208000000007], [[1970, 1, 1, 0, 0, 0, 3, 1, 0, zone, 0]]] == [read.values for read in found[0].reads]
