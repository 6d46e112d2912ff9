"""The frame: padding classes, and memory that follows the bytes at hand and never a declared length."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_fluxrun.bundle.format import split
from pytest_fluxrun.bundle.frame import pack_payload, padded_size, unpack_payload
from pytest_fluxrun.errors import BundleError, BundleTooLarge, DamagedBundle

HEAD = struct.Struct(">BQQ")


def _peak_bytes(frame: bytes) -> tuple[bytes | BundleError, int]:
    tracemalloc.start()
    try:
        result = unpack_payload(frame)
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=3000))
def test_payload_comes_back(payload: bytes) -> None:
    """Packing and unpacking change nothing."""
    assert payload == unpack_payload(pack_payload(payload))


@given(st.integers(0, 64 << 20))
def test_padding_costs_at_most_an_eighth_and_keeps_few_classes(size: int) -> None:
    """A padded size is no smaller, at most 12.5% greater above 1 KiB, and is its own class."""
    padded = padded_size(size)

    assert padded >= max(size, 1024)
    assert padded <= max(1024, size * 1.125)
    assert padded == padded_size(padded)


@pytest.mark.parametrize(
    ("size", "padded"), [(0, 1024), (1024, 1024), (1025, 1088), (9000, 9216), (20_000, 20_480), (1_000_000, 1_015_808)]
)
def test_padded_sizes_are_those_of_padme(size: int, padded: int) -> None:
    """The sizes that PADMÉ gives, worked out by hand from its definition."""
    assert padded == padded_size(size)


def test_there_are_few_size_classes() -> None:
    """All sizes up to 64 KiB fall into less than a hundred classes."""
    assert len({padded_size(size) for size in range(1 << 16)}) < 100


@pytest.mark.parametrize("declared", [2**64 - 1, 256 << 20, 1 << 20])
def test_declared_length_costs_no_memory(declared: int) -> None:
    """A frame that promises a payload it doesn't have is refused within a few KiB."""
    stream = zlib.compress(b"small")

    result, peak = _peak_bytes(HEAD.pack(1, declared, len(stream)) + stream)

    assert isinstance(result, BundleError)
    assert peak < 64 << 10


def test_stream_that_gives_more_than_declared_is_stopped() -> None:
    """A stream of 50 MiB behind a declared KiB is inflated to a KiB, not to its end."""
    stream = zlib.compress(bytes(50 << 20), 9)

    result, peak = _peak_bytes(HEAD.pack(1, 1024, len(stream)) + stream)

    assert isinstance(result, DamagedBundle)
    assert peak < 256 << 10


def test_zip_bomb_is_refused_by_its_ratio() -> None:
    """A stream that inflates a thousandfold is refused before it is inflated."""
    stream = zlib.compress(bytes(50 << 20), 9)

    result, peak = _peak_bytes(HEAD.pack(1, 50 << 20, len(stream)) + stream)

    assert isinstance(result, BundleTooLarge)
    assert peak < 64 << 10


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    """Bytes that aren't a frame give an error by value, never an exception."""
    result = unpack_payload(noise)

    assert isinstance(result, (bytes, BundleError))
    if isinstance(result, bytes):
        assert noise[0] in {0, 1}


@pytest.mark.parametrize("where", [9, 13])
def test_lengths_in_the_head_cost_no_memory(where: int) -> None:
    """A bundle's head that declares 4 GiB is refused within a few KiB."""
    head = bytearray(b"\x89FXR\r\n\x1a\n\x01" + bytes(2000))
    head[where : where + 4] = b"\xff" * 4
    tracemalloc.start()
    try:
        with pytest.raises(BundleTooLarge):
            split(bytes(head))
        assert tracemalloc.get_traced_memory()[1] < 64 << 10
    finally:
        tracemalloc.stop()
