"""Chunked transfer coding, off and on."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from pytest_fluxrun.boundaries.http.asked import Asked, Origin
from pytest_fluxrun.boundaries.http.exchange import text_or_bytes
from pytest_fluxrun.boundaries.http.framing import framed, unframe
from pytest_fluxrun.kinds.http import HTTP

CHUNKS = st.lists(st.binary(min_size=1, max_size=40), max_size=8)


def cut(wire: bytes, places: list[int]) -> list[bytes]:
    """The wire in pieces."""
    ends = sorted({place % (len(wire) + 1) for place in places} | {len(wire)})
    return [wire[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(chunks=CHUNKS, places=st.lists(st.integers(0, 999), max_size=12))
def test_chunks_come_back_however_the_wire_was_read(chunks, places):
    """In any pieces: the same chunks, each with the piece that ended it."""
    wire = b"".join(piece for chunk in chunks for piece in framed(chunk)) + b"0\r\n\r\n"
    pieces = cut(wire, places)

    found = unframe(pieces)

    assert (chunks, True, 0) == (found.chunks, found.terminated, found.missing)
    assert sorted(found.ends) == found.ends
    assert len(chunks) == len(found.ends)


@given(chunks=CHUNKS, last=st.binary(max_size=20), missing=st.integers(1, 5000))
def test_cut_chunk_comes_back_with_what_it_lacks(chunks, last, missing):
    """So that a library that counts the missing bytes counts the same."""
    wire = b"".join(piece for chunk in chunks for piece in framed(chunk)) + b"".join(framed(last, missing))

    found = unframe([wire])

    assert ([*chunks, last], False, missing) == (found.chunks, found.terminated, found.missing)


def test_what_is_no_chunked_coding_ends_the_chunks():
    """Neither an error nor an endless loop."""
    found = unframe([b"3\r\nabc\r\nnot a size\r\nmore"])

    assert ([b"abc"], False) == (found.chunks, found.terminated)


def _asked_in(pieces: list[bytes]) -> tuple[Asked, list[bool]]:
    """An upload as it is sent, and after each piece whether it was whole."""
    asked = Asked(Origin("http", "a", None), 0, lambda: None)
    asked.add(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
    whole = []
    for piece in pieces:
        asked.add(piece)
        whole.append(asked.whole())
    return asked, whole


@given(chunks=CHUNKS, places=st.lists(st.integers(0, 999), max_size=12))
def test_upload_is_whole_with_its_last_chunk(chunks, places):
    """Not before, in whatever pieces it is sent; asking after each changes nothing of the body."""
    pieces = [*cut(b"".join(piece for chunk in chunks for piece in framed(chunk)), places), b"0\r\n\r\n"]

    asked, whole = _asked_in(pieces)

    assert [*([False] * (len(pieces) - 1)), True] == whole
    assert text_or_bytes(b"".join(chunks)) == asked.form()["body"]


def test_a_long_upload_costs_no_more_a_chunk():
    """Each piece is read once: sixteen times the chunks are not 256 times the work."""
    chunk = b"".join(framed(b"x" * 1024))

    def cost(count):
        began_s = time.thread_time()
        _asked_in([chunk] * count)
        return time.thread_time() - began_s

    rounds = [(cost(200), cost(3200)) for _ in range(5)]

    assert min(long for _, long in rounds) < 64 * min(short for short, _ in rounds)


def test_unread_body_equals_only_another():
    """A request that failed before its body was read isn't one without a body."""
    form = {"method": "POST", "url": "http://a/", "headers": [], "body": "", "streamed": True}

    assert HTTP.canonical({**form, "unread": True}) == HTTP.canonical({**form, "unread": True})
    assert HTTP.canonical({**form, "unread": True}) != HTTP.canonical(form)
