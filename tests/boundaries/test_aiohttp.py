"""aiohttp beyond the table: what stays live at replay, streams on the virtual clock, errors, bodies, connectors."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pytest_fluxrun.boundaries import aiohttp as aiohttp_boundary
from pytest_fluxrun.boundaries import asyncio as asyncio_boundary
from pytest_fluxrun.boundaries.http import exchange
from pytest_fluxrun.errors import OpaqueValue, UnrecordedCall
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from tests.boundaries.sessions import alone
from tests.boundaries.virtual_runs import both, record, replay

HAS_MIDDLEWARES = "middlewares" in inspect.signature(aiohttp.ClientSession.__init__).parameters
"""Since 3.12."""


@pytest.fixture(autouse=True)
def seams() -> Iterator[None]:
    """The seams of aiohttp, and those that carry the run into tasks, for the length of a test."""
    with alone(aiohttp_boundary.boundary, asyncio_boundary.boundary):
        yield


# -- streams


def test_chunk_is_not_served_before_its_time(http_outside: Any) -> None:
    """The virtual clock stands at each chunk's recorded offset, at least, when the app gets the chunk."""
    clock = VirtualClock()
    served_at: list[int] = []

    async def body() -> list[bytes]:
        found = []
        async with aiohttp.ClientSession() as session, session.get(f"{http_outside.url}/sse") as response:
            async for chunk in response.content.iter_any():
                found.append(chunk)
                served_at.append(clock.now_ns())
        return found

    expected, recorded = record(body)
    http_outside.take_away()
    served_at.clear()

    assert expected == replay(recorded, body, clock)
    times_ns = sorted(set(recorded[0].answer["times_ns"]))
    assert len(times_ns) > 1
    assert all(at >= time_ns for at, time_ns in zip(served_at, times_ns, strict=True))
    assert clock.now_ns() >= recorded[0].answer["ended_ns"]


@pytest.mark.parametrize("way", ["iter_chunked", "iter_any", "iter_chunks", "readline", "read", "readexactly", "wait"])
def test_every_way_of_reading_gives_the_same(http_outside: Any, way: str) -> None:
    """Bytes and their division come back as the app got them."""

    async def body() -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{http_outside.url}/lines") as response:
            content = response.content
            match way:
                case "iter_chunked":
                    return [chunk async for chunk in content.iter_chunked(4)]
                case "iter_any":
                    return [chunk async for chunk in content.iter_any()]
                case "iter_chunks":
                    return [chunk async for chunk in content.iter_chunks()]
                case "readline":
                    return [line async for line in content]
                case "read":
                    return [await content.read(2), await content.read(5), await content.read()]
                case "readexactly":
                    return [await content.readexactly(3), await content.readuntil(b"t")]
            return [await content.readany(), await content.read(-1), content.at_eof(), response.closed]

    expected, again = both(http_outside, body)

    assert expected == again


def test_end_that_came_with_the_last_chunk_is_no_piece_of_its_own(canned: Any) -> None:
    """The end of the body is an empty piece where it came later than the last chunk, and only there."""

    async def body() -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{canned.url}/trailers") as response:
            return [chunk async for chunk in response.content.iter_chunks()]

    expected, again = both(canned, body)

    assert [(b"hello", True), (b" world", True)] == expected == again


def test_slow_reader_holds_a_large_body_back(http_outside: Any) -> None:
    """With a small buffer the played connection pauses as a real one does, and all bytes come."""

    async def body() -> list[int]:
        buffered = []
        async with (
            aiohttp.ClientSession(read_bufsize=1024) as session,
            session.get(f"{http_outside.url}/large") as response,
        ):
            total = 0
            async for chunk in response.content.iter_chunked(50_000):
                total += len(chunk)
                buffered.append(response.content._size)
                await asyncio.sleep(0)
        return [total, max(buffered) < 600_000]

    expected, again = both(http_outside, body)

    assert [16 * 65_536, True] == expected == again


def test_reading_on_in_an_abandoned_answer_is_an_unrecorded_call(http_outside: Any) -> None:
    """Code that reads further than bytes came gets what is recorded, then a latched UnrecordedCall."""

    async def first(whole: bool) -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{http_outside.url}/sse") as response:
            if whole:
                return await response.read()
            return await response.content.readexactly(9)

    expected, recorded = record(lambda: first(whole=False))
    http_outside.take_away()

    assert expected == b"data: 0\n\n"
    with pytest.raises(UnrecordedCall, match="reading on after chunk"):
        replay(recorded, lambda: first(whole=True))


def test_cancelled_stream_waits_for_the_app_s_own_timer(http_outside: Any) -> None:
    """Where the run's app gave up waiting for a chunk, the replay's app waits too, and gives up by its own time-out."""

    async def impatient() -> list[Any]:
        got: list[Any] = []
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession() as session, session.get(f"{http_outside.url}/stall") as response:
            started_s = loop.time()
            try:
                async with asyncio.timeout(0.2):
                    async for chunk in response.content.iter_any():
                        got.append(chunk)  # noqa: PERF401 - the chunks before the time-out are what is asked for
            except TimeoutError:
                got.append(loop.time() - started_s > 0.19)
        return got

    expected, recorded = record(impatient)
    http_outside.take_away()

    assert recorded[0].answer["end"] == "cancelled"
    assert [b"first", True] == expected == replay(recorded, impatient)


@pytest.mark.parametrize(
    ("path", "settings"), [("/slow", {"total": 0.2}), ("/stall", {"total": 0.2}), ("/stall", {"sock_read": 0.2})]
)
def test_time_out_comes_at_its_virtual_time(http_outside: Any, settings: Any, path: str) -> None:
    """Before the head and in the body: the same error, and no sooner than the app allowed."""

    async def body() -> list[Any]:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(**settings)) as session:
            try:
                async with session.get(f"{http_outside.url}{path}") as response:
                    await response.read()
            except TimeoutError as error:
                return [type(error).__name__, str(error), 0.19 < loop.time() - started_s < 2]
        return ["none"]

    expected, again = both(http_outside, body)

    assert expected == again
    assert again[2]


# -- what stays live


def test_session_s_own_work_happens_again(http_outside: Any) -> None:
    """Tracing, middlewares, the cookie jar, redirects' history and raise_for_status run at replay as they did."""
    events: list[str] = []

    async def middleware(request: Any, handler: Any) -> Any:
        request.headers["X-Added"] = "1"
        response = await handler(request)
        events.append(f"middleware {request.method} {response.status}")
        return response

    def tracing() -> aiohttp.TraceConfig:
        config = aiohttp.TraceConfig()
        for name in ("request_start", "request_redirect", "request_headers_sent", "request_end", "request_exception"):

            async def note(*_: Any, name: str = name) -> None:
                events.append(name)

            getattr(config, f"on_{name}").append(note)
        return config

    middlewares: dict[str, Any] = {"middlewares": (middleware,)} if HAS_MIDDLEWARES else {}

    async def body() -> Any:
        events.clear()
        async with aiohttp.ClientSession(
            trace_configs=[tracing()], cookie_jar=aiohttp.CookieJar(unsafe=True), **middlewares
        ) as session:
            async with session.get(f"{http_outside.url}/redirect") as response:
                history = [hop.status for hop in response.history]
                sent = response.request_info.headers.get("X-Added")
            cookies = [await (await session.get(f"{http_outside.url}/cookie")).text() for _ in range(2)]
            jar = [cookie.key for cookie in session.cookie_jar]
            with pytest.raises(aiohttp.ClientResponseError) as raised:
                await session.get(f"{http_outside.url}/status/503", raise_for_status=True)
        return [history, sent, cookies, jar, raised.value.status, raised.value.message, list(events)]

    expected, again = both(http_outside, body)

    assert expected == again
    assert [[302], "1" if HAS_MIDDLEWARES else None, ["none", "sid=abc"]] == expected[:3]


def test_idempotent_request_is_retried_on_its_own(http_outside: Any) -> None:
    """A kept-alive connection that the server has closed: aiohttp asks once more; both times are on record."""

    async def body() -> Any:
        async with aiohttp.ClientSession() as session:
            try:
                await session.get(f"{http_outside.url}/hangup")
            except aiohttp.ServerDisconnectedError as error:
                return [str(error), error.message]

    expected, recorded = record(body)
    http_outside.take_away()

    assert 2 == len(recorded)
    assert expected == replay(recorded, body)


def test_connection_kept_alive_from_before_sends_nothing(http_outside: Any) -> None:
    """A session that was used live before the replay asks the recording, not its open connection."""

    async def ask(session: aiohttp.ClientSession) -> Any:
        return await (await session.get(f"{http_outside.url}/json")).json()

    async def fresh() -> Any:
        async with aiohttp.ClientSession() as session:
            return await ask(session)

    expected, recorded = record(fresh)

    async def kept() -> Any:
        async with aiohttp.ClientSession() as session:
            await ask(session)
            open_connections = sum(map(len, session.connector._conns.values()))
            calls = http_outside.calls()
            replayer = MemoryReplayer(recorded)
            with replayer.open():
                answer = await ask(session)
            return [open_connections, answer, http_outside.calls() - calls]

    assert [1, expected, 0] == asyncio.run(kept())


def test_run_s_connection_is_not_pooled_for_live_use(http_outside: Any) -> None:
    """After a replay the same session goes live again, over a real connection."""

    async def body() -> Any:
        async with aiohttp.ClientSession() as session:
            recorder = MemoryRecorder()
            with recorder.open():
                await (await session.get(f"{http_outside.url}/json")).read()
            with MemoryReplayer(recorder.finish()).open():
                await (await session.get(f"{http_outside.url}/json")).read()
            calls = http_outside.calls()
            await (await session.get(f"{http_outside.url}/json")).read()
            return http_outside.calls() - calls

    assert 1 == asyncio.run(body())


# -- request bodies


@pytest.mark.parametrize("body", ["file", "bytes-io", "text", "form", "multipart", "compressed", "nested"])
def test_request_body_is_recorded_and_matches(http_outside: Any, body: str, tmp_path: Path) -> None:
    """Each kind of payload asks for the same at replay, and what was sent is on record."""
    path = tmp_path / "upload.txt"
    path.write_bytes(b"from a file")

    async def ask() -> Any:
        async with aiohttp.ClientSession() as session:
            extra: dict[str, Any] = {}
            with contextlib.ExitStack() as stack:
                if body == "file":
                    extra["data"] = stack.enter_context(path.open("rb"))
                elif body == "bytes-io":
                    extra["data"] = io.BytesIO(b"in memory")
                elif body == "text":
                    extra["data"] = "text ä"
                elif body == "form":
                    extra["data"] = {"a": "1", "b": "ä"}
                elif body == "multipart":
                    form = aiohttp.FormData()
                    form.add_field("file", path.open("rb"), filename="a.txt")
                    form.add_field("x", "y")
                    extra["data"] = form
                elif body == "compressed":
                    extra |= {"json": {"a": [1] * 100}, "compress": True}
                else:
                    async with session.get(f"{http_outside.url}/lines") as source:
                        answer = await session.post(f"{http_outside.url}/length", data=source.content)
                        return [answer.status, await answer.read()]
                answer = await session.post(f"{http_outside.url}/length", **extra)
                return [answer.status, await answer.read()]

    expected, recorded = record(ask)
    http_outside.take_away()

    assert expected == replay(recorded, ask)
    assert recorded[-1].request["body"]


def test_calls_of_the_code_that_makes_a_body_are_recorded(http_outside: Any) -> None:
    """A generator that asks another service as it is uploaded: both calls are on record, and both are answered."""

    async def ask() -> Any:
        async with aiohttp.ClientSession() as session:

            async def parts() -> AsyncIterator[bytes]:
                yield b"found: "
                async with session.get(f"{http_outside.url}/lines") as response:
                    yield await response.read()

            async with session.post(f"{http_outside.url}/echo", data=parts()) as response:
                return await response.read()

    expected, recorded = record(ask)
    http_outside.take_away()

    assert 2 == len(recorded)
    assert b"found: one\ntwo\nthree\n" == expected == replay(recorded, ask)


# -- bounds


def test_password_in_the_url_is_not_recorded(http_outside: Any) -> None:
    """Credentials in a URL stay out of the request's form."""

    async def ask() -> Any:
        async with aiohttp.ClientSession() as session:
            return (await session.get(http_outside.url.replace("//", "//me:secret@") + "/json")).status

    _, recorded = record(ask)

    assert f"{http_outside.url}/json" == recorded[0].request["url"]


def test_answer_over_the_bound_can_not_be_replayed(http_outside: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer larger than the bound reaches the app whole, is not kept, and is refused at replay."""
    monkeypatch.setattr(exchange, "_MAX_BODY_BYTES", 8)

    async def ask() -> Any:
        async with aiohttp.ClientSession() as session:
            return await (await session.get(f"{http_outside.url}/json")).read()

    body, recorded = record(ask)

    assert len(body) > 8
    with pytest.raises(OpaqueValue):
        replay(recorded, ask)


def test_pure_python_parser() -> None:
    """The table of behaviours holds with aiohttp's C extensions left out."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:randomly",
            "-k",
            "replay_gives_the_recorded",
            str(Path(__file__).with_name("test_aiohttp_behaviours.py")),
        ],
        env=os.environ | {"AIOHTTP_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert 0 == done.returncode, done.stdout
