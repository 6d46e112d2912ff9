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
