"""The httpx and httpx2 boundaries against a real server, by the contract suite."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

import httpx
import httpx2
import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import httpx as httpx_boundary
from pytest_fluxrun.boundaries import httpx2 as httpx2_boundary
from pytest_fluxrun.boundaries.http import exchange
from pytest_fluxrun.boundary import Call
from pytest_fluxrun.errors import DamagedBundle, OpaqueValue, UnrecordedCall
from pytest_fluxrun.testing.boundary import BoundaryContract
from pytest_fluxrun.testing.sessions import JumpingClock, MemoryRecorder, MemoryReplayer, Recorded
from pytest_fluxrun.values import has_opaque

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here speaks TLS; making a context anew for each client would be most of the tests' time."""


class Quick:
    """A library whose calls don't make a TLS context each."""

    def __init__(self, library: Any) -> None:
        for name in ("get", "post", "put", "delete", "head", "Client", "AsyncClient"):
            setattr(self, name, functools.partial(getattr(library, name), verify=TLS))
        self.HTTPTransport = library.HTTPTransport
        self.ConnectError = library.ConnectError


def seen(response: Any) -> dict[str, Any]:
    """What an app can see of a response that has been read; the date changes from call to call."""
    return {
        "status": response.status_code,
        "headers": [pair for pair in response.headers.raw if pair[0] != b"Date"],
        "body": response.content,
        "url": str(response.url).partition("/json")[2],
        "history": [hop.status_code for hop in response.history],
        "version": response.http_version,
        "reason": response.reason_phrase,
        "encoding": response.encoding,
        "downloaded": response.num_bytes_downloaded,
        "took_time": response.elapsed.total_seconds() >= 0,
    }


def sync_exercises(library: Any) -> dict[str, Callable[[Any], Any]]:
    """Calls through the sync client."""

    def body() -> Iterator[bytes]:
        yield b"first,"
        yield b"second"

    def two_calls(outside: Any) -> Any:
        with library.Client(base_url=outside.url) as client:
            return [seen(client.get("/cookie")), seen(client.get("/cookie"))]

    def lines(outside: Any) -> Any:
        with library.Client() as client, client.stream("GET", f"{outside.url}/lines") as response:
            return list(response.iter_lines())

    def raw(outside: Any) -> Any:
        with library.Client() as client, client.stream("GET", f"{outside.url}/gzip") as response:
            return [b"".join(response.iter_raw()), response.num_bytes_downloaded]

    def abandoned(outside: Any) -> Any:
        with library.Client() as client, client.stream("GET", f"{outside.url}/sse") as response:
            return next(response.iter_bytes())

    def unread(outside: Any) -> Any:
        with library.Client() as client, client.stream("GET", f"{outside.url}/sse") as response:
            return response.status_code

    def transport(outside: Any) -> Any:
        class Retrying(library.HTTPTransport):
            def handle_request(self, request: Any) -> Any:
                super().handle_request(request).close()
                return super().handle_request(request)

        with library.Client(transport=Retrying(verify=TLS)) as client:
            return seen(client.get(f"{outside.url}/json"))

    def mounted(outside: Any) -> Any:
        mounts = {"all://127.0.0.1": library.HTTPTransport(verify=TLS, proxy=outside.url)}
        with library.Client(mounts=mounts) as client:
            return client.get("http://127.0.0.1:1/json").status_code

    def followed(outside: Any) -> Any:
        with library.Client(follow_redirects=True) as client:
            return [
                seen(client.get(f"{outside.url}/redirect")),
                seen(client.post(f"{outside.url}/keep", content=b"kept")),
            ]

    def consumed(outside: Any) -> Any:
        with library.Client(follow_redirects=True) as client:
            return seen(client.post(f"{outside.url}/keep", content=body()))

    def raised(outside: Any) -> Any:
        response = library.get(f"{outside.url}/status/503")
        response.raise_for_status()

    def with_request(outside: Any) -> Any:
        try:
            library.get(f"{outside.refused}/")
        except library.ConnectError as error:
            return [str(error.request.url) == f"{outside.refused}/", type(error.__cause__).__name__]

    files = {"file": ("a.txt", b"content", "text/plain")}
    return {
        "get": lambda o: seen(library.get(f"{o.url}/json", params={"q": "a b", "r": "2"})),
        "json": lambda o: library.post(f"{o.url}/json", json={"a": [1, {"b": None}]}).json(),
        "form": lambda o: seen(library.post(f"{o.url}/echo", data={"a": "1", "b": "ä"})),
        "multipart": lambda o: library.post(f"{o.url}/length", files=files, data={"x": "y"}).status_code,
        "put-binary": lambda o: seen(library.put(f"{o.url}/echo", content=bytes(range(256)))),
        "delete": lambda o: seen(library.delete(f"{o.url}/status/204")),
        "head": lambda o: seen(library.head(f"{o.url}/json")),
        "not-found": lambda o: seen(library.get(f"{o.url}/nowhere")),
        "error-status": raised,
        "generator": lambda o: seen(library.post(f"{o.url}/echo", content=body())),
        "gzip": lambda o: seen(library.get(f"{o.url}/gzip")),
        "latin-1": lambda o: [seen(library.get(f"{o.url}/latin")), library.get(f"{o.url}/latin").text],
        "cookies": two_calls,
        "lines": lines,
        "raw": raw,
        "abandoned": abandoned,
        "unread": unread,
        "retrying-transport": transport,
        "mounted-proxy": mounted,
        "redirects": followed,
        "redirect-after-generator": consumed,
        "refused": lambda o: library.get(f"{o.refused}/"),
        "refused-multipart": lambda o: library.post(f"{o.refused}/", files=files),
        "error-has-request": with_request,
        "read-timeout": lambda o: library.get(f"{o.url}/slow", timeout=0.05),
        "dropped": lambda o: library.get(f"{o.url}/drop"),
        "bad-scheme": lambda _: library.get("gopher://127.0.0.1/"),
    }


def async_exercises(library: Any) -> dict[str, Callable[[Any], Any]]:
    """Calls through the async client."""

    async def get(outside: Any) -> Any:
        async with library.AsyncClient() as client:
            return seen(await client.get(f"{outside.url}/json?x=1"))

    async def generator(outside: Any) -> Any:
        async def body() -> AsyncIterator[bytes]:
            yield b"un"
            await asyncio.sleep(0)
            yield b"even"

        async with library.AsyncClient() as client:
            return seen(await client.post(f"{outside.url}/echo", content=body()))

    async def multipart(outside: Any) -> Any:
        async with library.AsyncClient() as client:
            return (await client.post(f"{outside.url}/length", files={"f": b"x" * 10})).status_code

    async def events(outside: Any) -> Any:
        async with library.AsyncClient() as client, client.stream("GET", f"{outside.url}/sse") as response:
            return [chunk async for chunk in response.aiter_raw()]

    async def concurrent(outside: Any) -> Any:
        async with library.AsyncClient() as client:
            responses = await asyncio.gather(*(client.get(f"{outside.url}/json?n={n}") for n in range(3)))
            return [response.json() for response in responses]

    async def timeout(outside: Any) -> Any:
        async with library.AsyncClient(timeout=0.05) as client:
            await client.get(f"{outside.url}/slow")

    async def refused(outside: Any) -> Any:
        async with library.AsyncClient() as client:
            await client.get(outside.refused)

    async def dropped(outside: Any) -> Any:
        async with library.AsyncClient() as client:
            await client.get(f"{outside.url}/drop")

    async def abandoned(outside: Any) -> Any:
        async with library.AsyncClient() as client, client.stream("GET", f"{outside.url}/sse") as response:
            return await anext(response.aiter_bytes())

    async def redirect(outside: Any) -> Any:
        async with library.AsyncClient(follow_redirects=True) as client:
            return seen(await client.get(f"{outside.url}/redirect"))

    found = (get, generator, multipart, events, concurrent, timeout, refused, dropped, abandoned, redirect)
    return {f"async-{function.__name__}": function for function in found}


class HttpContract(BoundaryContract):
    """What both libraries share."""

    unreached = frozenset({"refused", "refused-multipart", "error-has-request", "bad-scheme", "async-refused"})

    @pytest.fixture
    def outside(self, http_outside: Any) -> Any:
        return http_outside


class TestHttpx(HttpContract):
    """httpx keeps the contract."""

    boundary = httpx_boundary.boundary
    exercises: ClassVar = {**sync_exercises(Quick(httpx)), **async_exercises(Quick(httpx))}


class TestHttpx2(HttpContract):
    """httpx2 keeps the contract."""

    boundary = httpx2_boundary.boundary
    exercises: ClassVar = {**sync_exercises(Quick(httpx2)), **async_exercises(Quick(httpx2))}


@pytest.fixture
def seams() -> Iterator[None]:
    """The httpx seams for the length of a test."""
    patching.install(httpx_boundary.boundary.patches(httpx))
    yield
    patching.restore_all()


def recorded_events(url: str, *, read: int) -> list[Recorded]:
    """A recording of an event stream of four chunks, of which the app reads some; 0: all."""
    recorder = MemoryRecorder()
    with recorder.open(), httpx.stream("GET", f"{url}/sse", verify=TLS) as response:
        chunks = response.iter_raw()
        assert len([next(chunks) for _ in range(read)] if read else list(chunks)) == (read or 4)
    return recorder.finish()


def test_chunk_is_not_served_before_its_time(seams: None, http_outside: Any) -> None:
    """The virtual clock stands at each chunk's recorded offset, at least, when the app gets the chunk."""
    recorded = recorded_events(http_outside.url, read=0)
    http_outside.take_away()
    clock = JumpingClock()

    with MemoryReplayer(recorded, clock=clock).open(), httpx.stream("GET", f"{http_outside.url}/sse") as response:
        served_at = [clock.now_ns() for _ in response.iter_raw()]

    assert recorded[0].answer["times_ns"] == served_at
    assert clock.now_ns() == recorded[0].answer["ended_ns"]


def test_reading_on_in_an_abandoned_answer_is_an_unrecorded_call(seams: None, http_outside: Any) -> None:
    """Code that reads further than the run did gets what is recorded, then a latched UnrecordedCall."""
    replayer = MemoryReplayer(recorded_events(http_outside.url, read=2))
    got = []

    with (
        replayer.open(),
        httpx.stream("GET", f"{http_outside.url}/sse") as response,
        pytest.raises(UnrecordedCall, match="reading on after chunk 2"),
    ):
        got.extend(response.iter_raw())

    assert [b"data: 0\n\n", b"data: 1\n\n"] == got
    assert replayer.unrecorded is not None


def test_cancelled_stream_waits_for_the_app_s_own_timer(seams: None, http_outside: Any) -> None:
    """Where the run's app gave up waiting for a chunk, the replay's app waits too, and gives up by its own time-out."""

    async def impatient() -> list[bytes]:
        got: list[bytes] = []
        async with (
            httpx.AsyncClient(verify=TLS) as client,
            client.stream("GET", f"{http_outside.url}/stall") as response,
        ):
            with pytest.raises(TimeoutError):  # noqa: PT012 - the loop is what times out
                async with asyncio.timeout(0.05):
                    async for chunk in response.aiter_raw():
                        got.append(chunk)  # noqa: PERF401 - the chunks before the time-out are what is asked for
        return got

    recorder = MemoryRecorder()
    with recorder.open():
        expected = asyncio.run(impatient())
    recorded = recorder.finish()
    http_outside.take_away()

    with MemoryReplayer(recorded).open():
        again = asyncio.run(impatient())

    assert recorded[0].answer["end"] == "cancelled"
    assert expected == again == [b"first"]


def test_replay_makes_no_tls_context(seams: None) -> None:
    """A client made on a virtual clock loads no certificates; outside of runs it loads the usual ones."""
    with MemoryReplayer([], clock=JumpingClock()).open(), httpx.Client() as client:
        replayed = client._transport._pool._ssl_context.cert_store_stats()["x509"]
    with httpx.Client() as client:
        live = client._transport._pool._ssl_context.cert_store_stats()["x509"]

    assert replayed == 0
    assert live > 0


def test_transport_that_reaches_no_network_is_no_crossing(seams: None) -> None:
    """MockTransport answers in a replay as it does everywhere, and nothing is recorded."""
    recorder = MemoryRecorder()
    client = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(204)))

    with recorder.open(), client:
        status = client.get("http://nowhere.example/").status_code

    assert status == 204
    assert recorder.finish() == []


def test_password_in_the_url_is_not_recorded(seams: None, http_outside: Any) -> None:
    """Credentials in a URL stay out of the request's form; the header that httpx makes of them is the kind's affair."""
    recorder = MemoryRecorder()
    with recorder.open():
        httpx.get(http_outside.url.replace("//", "//me:secret@") + "/json", verify=TLS)

    request = recorder.finish()[0].request

    assert request["url"] == f"{http_outside.url}/json"


def test_answer_over_the_bound_can_not_be_replayed(
    seams: None, http_outside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer larger than the bound reaches the app whole, is not kept, and is refused at replay."""
    monkeypatch.setattr(exchange, "_MAX_BODY_BYTES", 8)
    recorder = MemoryRecorder()
    with recorder.open():
        body = httpx.get(f"{http_outside.url}/json", verify=TLS).content
    recorded = recorder.finish()

    with MemoryReplayer(recorded).open(), pytest.raises(OpaqueValue):
        httpx.get(f"{http_outside.url}/json", verify=TLS)

    assert len(body) > 8
    assert has_opaque(recorded[0].answer)


def test_damaged_answer_is_refused() -> None:
    """A stored answer without its fields is a DamagedBundle, not a KeyError."""
    with pytest.raises(DamagedBundle):
        httpx_boundary.boundary.load({"status": 200}, Call({}))
