"""A run's JSON: what is written is what is read, with types; anything else is a typed error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_fluxrun.errors import BundleError, DamagedBundle, UnsupportedVersion
from pytest_fluxrun.run import Interaction, LaneSpec, Read, Readiness, Recording, Run, Segment
from pytest_fluxrun.values import encode

json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def run(value: Any = None) -> Run:
    recording = Recording(
        wall_ns=1_700_000_000 * 10**9,
        mono_ns=5,
        perf_ns=6,
        duration_ns=7,
        lanes=(LaneSpec((), ()), LaneSpec((("work", 1), ("load", 2)), (1, 3))),
        interactions=(Interaction("httpx", "http", 1, 1, 2, 3, value, answer=value, failed=False, effect=True),),
        segments=(Segment(0, -1, (Read("time.time", "f|g|h", [1.5], [0]),)),),
        reads={"environment": {"MODE": [value]}},
        logs=({"message": "m", "level": "INFO", "extra": value},),
    )
    return Run(
        "01" + "0" * 24, "shop", "web", "asgi", value, {"response": None, "error": None}, recording,
        preamble=recording, readiness=Readiness("unready", ("over-bound",)), tokens=("fx1",), versions={"python": "3"},
    )  # fmt: skip


@settings(deadline=None)
@given(json)
def test_run_survives_its_json_with_types(value: Any):
    """1 stays neither 1.0 nor true, at every place that holds a value."""
    written = run(value)
    read = Run.from_payload(written.to_payload())
    assert written == read
    assert repr(written) == repr(read)


def test_values_of_python_survive():
    """What `encode` gives is JSON."""
    value = encode({"big": 2**80, "nan": float("inf"), "raw": b"\xff", "keys": {1: (2,)}, "odd": "\ud800"})
    assert run(value) == Run.from_payload(run(value).to_payload())


def payload(**changes: Any) -> bytes:
    return orjson.dumps({**orjson.loads(run().to_payload()), **changes})


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b"[" * 5000 + b"]" * 5000,
        payload(recording=None),
        payload(recording={"lanes": 3}),
        payload(entry=None),
        payload(entry=3),
        payload(tokens="abc"),
        payload(readiness={"state": 1}),
        payload(versions={"python": 3}),
    ],
)
def test_payload_that_is_no_run_is_damaged(damaged: bytes):
    """Never another exception."""
    with pytest.raises(DamagedBundle):
        Run.from_payload(damaged)


def test_run_of_a_newer_release_says_so():
    """The next step is to upgrade."""
    with pytest.raises(UnsupportedVersion) as raised:
        Run.from_payload(replace(run(), schema=99).to_payload())
    assert "99" in str(raised.value)
    assert isinstance(raised.value, BundleError)


# -- what earlier runs had read


def test_earlier_reads_survive_their_json_and_a_second_one() -> None:
    """Also in a run that goes on to a child process before anybody has looked at them."""
    written = replace(run({"earlier": {"deep": ',"earlier":{'}}), earlier=run("read before").recording)

    again = Run.from_payload(Run.from_payload(written.to_payload()).to_payload())

    assert written == again
    assert written.to_payload() == again.to_payload()


def test_earlier_reads_are_parsed_when_they_are_asked_for() -> None:
    """They are most of a payload, and a replay that passes needs none: only who looks at them learns of damage."""
    written = replace(run(), earlier=run().recording)
    damaged = written.to_payload().replace(b',"earlier":{"wall_ns":17', b',"earlier":{"wall_ns":"a",".":17')

    read = Run.from_payload(damaged)

    assert read.recording == written.recording
    assert read.earlier is not None
    with pytest.raises(DamagedBundle, match="wall_ns"):
        _ = read.earlier.interactions


@pytest.mark.parametrize("end", [b"", b"]", b",", b'"x'])
def test_damage_around_earlier_reads_is_refused_at_once(end: bytes) -> None:
    """What isn't theirs is read before the run is driven."""
    whole = replace(run(), earlier=run().recording).to_payload()

    with pytest.raises(DamagedBundle):
        Run.from_payload(whole[:-1] + end)


def test_earlier_reads_that_are_no_json_are_refused_when_asked_for() -> None:
    """The signature is a trusted producer's, so that this is a fault in it."""
    whole = replace(run(), earlier=run().recording).to_payload()
    read = Run.from_payload(whole.replace(b',"earlier":{', b',"earlier":{{'))

    assert read.earlier is not None
    with pytest.raises(DamagedBundle, match="JSON"):
        _ = read.earlier.reads
