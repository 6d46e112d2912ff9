"""`wsgi.input`: however an app reads it, it gets what the server gives, and the same at replay."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from pytest_fluxrun.entries.wsgi import entry
from pytest_fluxrun.registry import instrument
from tests.entries.wsgi_server import TEXT, environ, replayed, serve

BODY = b"first\nsecond line\nthird"


def reader(read: Callable[[Any], Any]) -> Any:
    """An app that answers with what `read` makes of the input."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return [repr(read(environ["wsgi.input"])).encode()]

    return app


def into(stream: Any) -> Any:
    buffer = bytearray(7)
    number = stream.readinto(buffer)
    return number, bytes(buffer)


WAYS = {
    "whole": lambda stream: stream.read(),
    "negative": lambda stream: stream.read(-1),
    "sized": lambda stream: [stream.read(4), stream.read(100), stream.read(1)],
    "nothing": lambda stream: stream.read(0),
    "never": lambda stream: None,
    "line": lambda stream: [stream.readline(), stream.readline(3), *(stream.readline() for _ in range(3))],
    "lines": lambda stream: stream.readlines(),
    "hinted": lambda stream: [stream.readlines(3), stream.read()],
    "iterated": list,
    "next": lambda stream: [next(iter(stream)), stream.read(2)],
    "mixed": lambda stream: [stream.read(2), stream.readline(), *stream],
    "into": lambda stream: [into(stream), stream.read1(3), into(stream), stream.read()],
    "wrapped": lambda stream: io.TextIOWrapper(stream, "ascii").read(),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_reading_gives_the_same(runs, driving, way: str):
    """As without recording, and again at replay, as far as the app read."""
    app = reader(WAYS[way])
    expected = serve(app, environ(method="POST", body=BODY)).body
    wrapped = instrument(app, name="web")
    assert expected == serve(wrapped, environ(method="POST", body=BODY)).body
    assert expected.decode() == replayed(wrapped, runs, driving)["response"]["body"]
    assert [] == driving.lacking


def test_only_what_was_read_is_recorded(runs):
    """The rest is the server's; `more` says that it isn't known."""
    serve(instrument(reader(lambda stream: stream.read(5)), name="web"), environ(method="POST", body=BODY))
    ((_, kind, body, more),) = runs.dumped()[0]["events"]
    assert ("http.request", "first", True) == (kind, body, more)


@pytest.mark.parametrize("size", [len(BODY), -1])
def test_whole_body_has_an_end(runs, driving, size: int):
    """Known by its length, or by reading to the end: a fix may ask for more and finds none."""
    read = lambda stream: stream.read(size)  # noqa: E731
    wrapped = instrument(reader(lambda stream: read(stream)), name="web")
    serve(wrapped, environ(method="POST", body=BODY))
    read = lambda stream: (stream.read(), stream.read(7), stream.readline())  # noqa: E731
    outcome = entry.drive(wrapped, runs.dumped()[0], driving)
    assert repr((BODY, b"", b"")) == outcome["response"]["body"]


def test_chunked_input_ends_where_the_server_ends_it(runs, driving):
    """`wsgi.input_terminated`: no Content-Length, the end is seen by reading."""
    asked = environ(method="POST", body=BODY, **{"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"})
    del asked["CONTENT_LENGTH"]

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        parts = list(iter(lambda: environ["wsgi.input"].read(10), b""))
        return [repr((environ["wsgi.input_terminated"], "CONTENT_LENGTH" in environ, parts)).encode()]

    wrapped = instrument(app, name="web")
    assert repr((True, False, [BODY[:10], BODY[10:20], BODY[20:]])).encode() == serve(wrapped, asked).body
    replayed(wrapped, runs, driving)
    assert [] == driving.lacking


def test_error_while_reading_comes_again_at_its_place(runs, driving):
    """What was read before it is there; what follows it, too."""

    class Stream:
        def __init__(self) -> None:
            self.calls = 0

        def read(self, size: int = -1) -> bytes:
            self.calls += 1
            if self.calls == 2:
                raise TimeoutError("timed out")
            return b"abc" if self.calls < 4 else b""

    def read(stream: Any) -> Any:
        read: list[Any] = []
        while not read or read[-1] != b"":
            try:
                read.append(stream.read(3))
            except TimeoutError as error:
                read.append(str(error))
        return read

    wrapped = instrument(reader(read), name="web")
    asked = environ(method="POST", **{"wsgi.input": Stream(), "CONTENT_LENGTH": "9"})
    assert repr([b"abc", "timed out", b"abc", b""]).encode() == serve(wrapped, asked).body
    replayed(wrapped, runs, driving)


def test_binary_body_comes_back_exactly(runs, driving):
    """Bytes of any value."""
    body = bytes(range(256)) * 3
    wrapped = instrument(reader(lambda stream: stream.read()), name="web")
    serve(wrapped, environ(method="POST", body=body))
    replayed(wrapped, runs, driving)


def test_body_over_the_runs_bound_is_not_kept(runs):
    """The app reads all of it, the run is marked."""
    runs.max_bytes = 1000
    wrapped = instrument(reader(lambda stream: sum(map(len, iter(lambda: stream.read(100), b"")))), name="web")
    assert b"100000" == serve(wrapped, environ(method="POST", body=b"x" * 100_000)).body
    assert runs.opened[0].over_bound
    assert len(runs.dumped()[0]["events"][0][2]) <= 1000


def test_stream_keeps_its_type_and_its_methods(runs):
    """Frameworks ask what it is; what it hasn't got, it doesn't get from the recorder."""

    class Bare:
        def read(self, size: int = -1) -> bytes:
            return b""

    def look(stream: Any) -> Any:
        return isinstance(stream, io.BytesIO), hasattr(stream, "readinto"), hasattr(stream, "seek")

    wrapped = instrument(reader(look), name="web")
    assert repr((True, True, True)).encode() == serve(wrapped, environ()).body
    assert repr((False, False, False)).encode() == serve(wrapped, environ(**{"wsgi.input": Bare()})).body


def test_input_that_was_sought_in_makes_the_run_unready(runs):
    """What is read after that is out of order."""

    def read(stream: Any) -> Any:
        stream.read(3)
        stream.seek(0)
        return stream.read()

    assert repr(BODY).encode() == serve(instrument(reader(read), name="web"), environ(body=BODY)).body
    assert "opaque" == runs.dumped()[0]["damaged"]["~"]


def test_reading_after_the_run_is_not_recorded(runs):
    """A thread that outlives the request reads on in the server's stream."""
    kept: list[Any] = []
    wrapped = instrument(reader(lambda stream: kept.append(stream)), name="web")
    serve(wrapped, environ(body=BODY))
    assert BODY == kept[0].read()
    assert "" == runs.dumped()[0]["events"][0][2]
