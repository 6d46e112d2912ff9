"""Run ids: their form, their order, and that threads and forks never share one."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_fluxrun.bundle import is_run_id, new_run_id, run_id_time_ns, runid
from pytest_fluxrun.bundle.base32 import ALPHABET


@pytest.fixture(autouse=True)
def _fresh_sequence() -> Iterator[None]:
    """Let each test begin like a new process, since ids never go back within one."""
    runid._SEQUENCE.reset()
    yield
    runid._SEQUENCE.reset()


def _as_uuid(run_id: str) -> uuid.UUID:
    value = 0
    for character in run_id:
        value = value * 32 + ALPHABET.index(character)
    return uuid.UUID(int=value)


def test_run_id_is_a_uuid_of_version_7() -> None:
    """Version, variant and time stand where RFC 9562 puts them."""
    before = time.time_ns() // 1_000_000
    run_id = new_run_id()
    after = time.time_ns() // 1_000_000
    made = _as_uuid(run_id)

    assert is_run_id(run_id)
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before <= made.int >> 80 <= after + 1
    assert run_id_time_ns(run_id) == (made.int >> 80) * 1_000_000


def test_ids_of_one_process_only_grow() -> None:
    """Within a millisecond, and when the clock goes back, the next id is still greater."""
    start = time.time_ns() + 10**15
    moments = [start] * 500 + [start - 10**9] * 500 + [start + 5_000_000] * 2 + [start - 10**12] * 100
    ids = [new_run_id(moment) for moment in moments]

    assert sorted(set(ids)) == ids


def test_poor_randomness_still_gives_distinct_ids() -> None:
    """With the same random bytes every time, ids don't repeat."""
    now = time.time_ns() + 10**16

    assert len({new_run_id(now, bytes) for _ in range(1000)}) == 1000


def test_threads_never_share_an_id() -> None:
    """Ids made at once by several threads are all different."""
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: new_run_id(), range(4000)))

    assert len(set(ids)) == 4000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_forked_children_never_share_an_id() -> None:
    """Children that continue from the same state make different ids, even under one clock."""
    now = time.time_ns() + 10**17
    new_run_id(now)
    outputs = []
    for _ in range(4):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, "\n".join(new_run_id(now) for _ in range(50)).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            outputs += stream.read().decode().split()
        os.waitpid(child, 0)

    assert len(outputs) == len(set(outputs)) == 200


@given(st.text(max_size=30))
def test_only_the_form_is_a_run_id(text: str) -> None:
    """What isn't 26 digits of the alphabet is no run id."""
    valid = len(text) == 26 and set(text) <= set(ALPHABET) and text[0] in "01234567"

    assert valid == is_run_id(text)


@pytest.mark.parametrize(
    "text", ["", "8" + "0" * 25, "0" * 25, "0" * 27, "0" * 25 + "l", "0" * 26 + "\n", "0" * 25 + "A", "../" + "0" * 23]
)
def test_near_run_ids_are_refused(text: str) -> None:
    """Upper case, lookalikes, paths and line ends aren't accepted."""
    assert not is_run_id(text)
    with pytest.raises(ValueError, match="not a run id"):
        run_id_time_ns(text)
