"""Parts beneath aiohttp: a crossing held open over several awaits, and the wire's framing taken off and put on."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from pytest_fluxrun.boundaries.http.exchange import Exchange
from pytest_fluxrun.boundaries.http.stepwise import Stepwise
from pytest_fluxrun.boundaries.http.wire import Framing, framed_head, unframed
from pytest_fluxrun.boundary import Call
from pytest_fluxrun.context import current_lane, entered
from pytest_fluxrun.recording.recorder import Recorder
from tests.plain_boundary import PlainBoundary

CHUNKED = [(b"Transfer-Encoding", b"chunked")]


def recording() -> Recorder:
    return Recorder("entry", "function", lambda *_: None)


def step_of(recorder: Recorder) -> Stepwise[Any]:
    return Stepwise(
        recorder, PlainBoundary(), Call({"target": "t", "method": "m", "args": [], "kwargs": {}, "effect": None})
    )


def _inside() -> bool:
    lane = current_lane()
    assert lane is not None
    return lane.inside


def test_crossing_ends_with_what_the_library_got() -> None:
    """It is open between two awaits of the library, and recorded with the answer."""
    recorder = recording()

    async def body() -> list[bool]:
        step = step_of(recorder)
        await step.begin()
        inside = [step.live, _inside()]
        step.succeed("answer")
        return [*inside, _inside()]

    with entered(recorder.lane):
        assert [True, True, False] == event_run(body())
    assert ["answer"] == [crossing.result for crossing in recorder.crossings]


def test_crossing_fails_with_the_library_s_error() -> None:
    """The error is recorded and not raised again: the library raises it itself."""
    recorder = recording()
    failure = ConnectionError("cut")

    async def body() -> None:
        step = step_of(recorder)
        await step.begin()
        step.fail(failure)
        step.fail(ValueError("only the first counts"))

    with entered(recorder.lane):
        event_run(body())
    assert [failure] == [crossing.error for crossing in recorder.crossings]
    assert not recorder.lane.inside


def test_dropped_crossing_leaves_the_run_open() -> None:
    """A library that forgets a call doesn't hide those that follow."""
    recorder = recording()

    async def body() -> None:
        await step_of(recorder).begin()

    with entered(recorder.lane):
        event_run(body())
        gc.collect()
    assert not recorder.lane.inside


def test_cancellation_reaches_the_session() -> None:
    """One that waits for its answer is cancelled as any await is."""

    class Waiting:
        cancelled = False

        async def acall(self, *_: Any) -> Any:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled = True
                raise

    session = Waiting()

    async def body() -> None:
        task = asyncio.ensure_future(Stepwise(session, PlainBoundary(), Call({})).begin())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(body())
    assert session.cancelled


def event_run(coroutine: Any) -> Any:
    """Run a coroutine that never waits, in the current context."""
    try:
        coroutine.send(None)
    except StopIteration as over:
        return over.value
    raise AssertionError("it waits")


@pytest.mark.parametrize(
    ("pieces", "headers", "chunks", "missing"),
    [
        ([b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody"], [], [(b"body", 0)], 0),
        ([b"HTTP/1.1 200 OK\r\nA: b\r", b"\n\r", b"\nbo", b"dy"], [], [(b"bo", 2), (b"dy", 3)], 0),
        ([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nbody"], [], [(b"body", 0)], 0),
        ([b"HTTP/1.1 200 OK\n\nbody"], [], [(b"body", 0)], 0),
        ([b"HTTP/1.1 200 OK\r\n\r\n2\r\nab\r\n1\r\nc", b"\r\n0\r\n\r\n"], CHUNKED, [(b"ab", 0), (b"c", 0)], 0),
        ([b"HTTP/1.1 200 OK\r\n\r\n5\r\nab", b"cd"], CHUNKED, [(b"abcd", 1)], 1),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], [], [], 0),
    ],
)
def test_framing_comes_off(pieces: Any, headers: Any, chunks: Any, missing: int) -> None:
    """Heads and transfer coding are taken off, however the bytes were divided; each chunk has the time of its end."""
    timed = [(piece, time_ns) for time_ns, piece in enumerate(pieces)]

    assert (chunks, missing) == unframed(timed, headers)


def test_framing_goes_on_again() -> None:
    """Chunked content is chunked for the parser; a status of another library's has its usual phrase."""
    exchange = Exchange(200, CHUNKED, http_version="HTTP/2")

    assert b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" == framed_head(exchange, websocket_key=None)
    assert b"2\r\nab\r\n" == Framing.of(CHUNKED).frame([b"ab"])
    assert b"ab" == Framing.of([]).frame([b"ab"])


def test_handshake_is_accepted_for_the_key_that_was_sent() -> None:
    """RFC 6455, section 1.3: the example's key and its answer."""
    exchange = Exchange(101, [(b"Sec-WebSocket-Accept", b"of another key")], reason="Switching Protocols")

    head = framed_head(exchange, websocket_key="dGhlIHNhbXBsZSBub25jZQ==")

    assert b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n" == head
