"""http.client beyond the table: by hand in any order, odd answers, proxies, and connections from before the run."""

from __future__ import annotations

import contextlib
import http.client
import io
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from pytest_fluxrun.boundaries import concurrent_futures
from pytest_fluxrun.boundaries import http_client as http_client_boundary
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.testing.boundary import BoundaryContract
from pytest_fluxrun.testing.sessions import JumpingClock, MemoryRecorder, MemoryReplayer
from tests.boundaries.canned import CannedOutside
from tests.boundaries.sessions import alone

Connection = http.client.HTTPConnection


def connected(use: Callable[[Connection], Any]) -> Callable[[CannedOutside], Any]:
    """An exercise over one connection."""

    def exercise(outside: CannedOutside) -> Any:
        conn = Connection(outside.host, outside.port, timeout=5)
        try:
            return use(conn)
        finally:
            conn.close()

    return exercise


def got(path: str, read: Callable[[http.client.HTTPResponse], Any] = lambda response: response.read()) -> Any:
    """GET a path and read its answer in some way."""

    def use(conn: Connection) -> Any:
        conn.request("GET", path)
        response = conn.getresponse()
        found = read(response)
        return [response.status, response.reason, response.version, response.getheaders(), found, response.isclosed()]

    return connected(use)


def by_hand(*steps: Any, length: int | None = None, path: str = "/echo") -> Any:
    """POST with a body that is sent in steps: each is what `send` is given."""

    def use(conn: Connection) -> Any:
        conn.putrequest("POST", path, skip_accept_encoding=True)
        if length is None:
            conn.putheader("Transfer-Encoding", "chunked")
        else:
            conn.putheader("Content-Length", str(length))
        conn.putheader("X-Two", "one", "two")
        conn.endheaders()
        for step in steps:
            conn.send(step() if callable(step) else step)
        return conn.getresponse().read()

    return connected(use)


def readinto(response: http.client.HTTPResponse) -> Any:
    """Read into buffers."""
    small, large = bytearray(3), bytearray(100)
    return [response.readinto(small), bytes(small), response.readinto(large), bytes(large[:20])]


def in_pieces(response: http.client.HTTPResponse) -> Any:
    """Every way of reading a part."""
    return [response.read(2), response.peek(1)[:1], response.read1(1), response.readline(), response.read(0)]


def twice(conn: Connection) -> Any:
    """Two requests over one connection, of which the second is sent before the first answer was read."""
    conn.request("GET", "/json")
    first = conn.getresponse()
    conn.request("GET", "/twice")
    try:
        conn.getresponse()
    except http.client.ResponseNotReady as error:
        refused = str(error)
    conn.close()
    conn.request("GET", "/twice")
    return [first.status, refused, conn.getresponse().getheaders()]


def unanswered(conn: Connection) -> Any:
    """Send and never read."""
    conn.request("POST", "/echo", b"forgotten")
    conn.close()
    conn.request("GET", "/json")
    return conn.getresponse().status


def left(conn: Connection) -> Any:
    """Read a part, ask again over the same object."""
    conn.request("GET", "/trailers")
    part = conn.getresponse().read(3)
    conn.close()
    conn.request("GET", "/json")
    return [part, conn.getresponse().read()]


def explicit(conn: Connection) -> Any:
    """Connect, then ask."""
    conn.connect()
    conn.request("GET", "/json")
    return conn.getresponse().read()


def tunnelled(host: str) -> Any:
    """Ask through a proxy's tunnel."""

    def use(conn: Connection) -> Any:
        conn.set_tunnel(host, 80, {"Proxy-Authorization": "Basic eDp5"})
        conn.request("GET", "/json")
        return conn.getresponse().read()

    return connected(use)


def through_proxy(outside: CannedOutside) -> Any:
    """Urllib over a forwarding proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": outside.url}))
    with opener.open("http://shop.example/json?a=1".partition("?")[0], timeout=5) as response:
        return [response.status, response.url, response.read()]


def posted(body: Callable[[], Any], **headers: str) -> Any:
    """POST through `request`."""

    def use(conn: Connection) -> Any:
        conn.request("POST", "/echo", body(), {name.replace("_", "-"): value for name, value in headers.items()})
        return conn.getresponse().read()

    return connected(use)


def refused(body: Callable[[], Any]) -> Any:
    """POST where nothing listens."""

    def exercise(_: CannedOutside) -> Any:
        with contextlib.closing(Connection("127.0.0.1", 9, timeout=5)) as conn:
            conn.request("POST", "/echo", body())

    return exercise


def refused_connect(_: CannedOutside) -> Any:
    """Connect where nothing listens, for no request."""
    Connection("127.0.0.1", 9, timeout=5).connect()


class TestHttpClientByHand(BoundaryContract):
    """http.client used in every way that its interface allows."""

    boundary = http_client_boundary.boundary
    carriers = (concurrent_futures.boundary,)
    exercises: ClassVar = {
        "read": got("/json"),
        "http-1.0": got("/old"),
        "closing": got("/closing", lambda response: [response.read(5), response.read()]),
        "no-reason": got("/no-reason"),
        "continue-first": got("/early"),
        "not-modified": got("/not-modified"),
        "duplicate-headers": got("/twice"),
        "chunks-and-trailers": got("/trailers"),
        "readinto": got("/trailers", readinto),
        "in-pieces": got("/trailers", in_pieces),
        "in-pieces-sized": got("/json", in_pieces),
        "iterated": got("/old", list),
        "closed-unread": got("/trailers", lambda response: response.close()),
        "cut-in-chunk": got("/cut-chunk"),
        "cut-in-chunk-in-pieces": got("/cut-chunk", lambda response: [response.read(5), response.read(4)]),
        "cut-between-chunks": got("/cut-between"),
        "cut-in-head": got("/cut-head"),
        "garbage": got("/garbage"),
        "by-hand": by_hand(b"hello", bytearray(b" wor"), memoryview(b"ld"), length=11),
        "by-hand-chunked": by_hand(b"5\r\nhel", b"lo\r\n", b"0\r\n\r\n"),
        "by-hand-file": by_hand(lambda: io.BytesIO(b"from a file"), length=11),
        "by-hand-text-file": by_hand(lambda: io.StringIO("naïve"), length=5),
        "by-hand-iterable": by_hand(lambda: iter([b"a", b"b", b"c"]), length=3),
        "text": posted(lambda: "naïve"),
        "file": posted(lambda: io.BytesIO(b"sent chunked")),
        "generator": posted(lambda: (chunk for chunk in (b"one", b"", b"two"))),
        "sized-generator": posted(lambda: iter([b"abc"]), Content_Length="3"),
        "twice": connected(twice),
        "unanswered": connected(unanswered),
        "left": connected(left),
        "explicit-connect": connected(explicit),
        "tunnel": tunnelled("shop.example"),
        "tunnel-denied": tunnelled("forbidden.example"),
        "proxy": through_proxy,
        "refused": refused(lambda: b"never sent"),
        "refused-text": refused(lambda: "naïve"),
        "refused-generator": refused(lambda: iter([b"never read"])),
        "refused-connect": refused_connect,
    }
    local: ClassVar = frozenset({"refused-connect"})
    unreached: ClassVar = frozenset(
        {"tunnel-denied", "refused", "refused-text", "refused-generator", "refused-connect"}
    )

    @pytest.fixture
    def outside(self, canned: CannedOutside) -> CannedOutside:
        return canned


@pytest.fixture
def _seams() -> Iterator[None]:
    """The seams of http.client alone."""
    with alone(http_client_boundary.boundary):
        yield


def status_of(conn: Connection) -> int:
    """One GET, read whole."""
    conn.request("GET", "/json")
    response = conn.getresponse()
    response.read()
    return response.status


@pytest.mark.usefixtures("_seams")
def test_connection_from_before_the_run_sends_nothing_at_replay(canned):
    """It is answered from the recording, and is the live one again after the run."""
    recorder = MemoryRecorder()
    conn = Connection(canned.host, canned.port, timeout=5)
    with recorder.open():
        recorded = status_of(conn)
    before = conn.sock
    hits, received = canned.calls(), canned.received

    with MemoryReplayer(recorder.finish(), clock=JumpingClock()).open():
        replayed = status_of(conn)
    during = canned.calls(), canned.received
    after = status_of(conn)

    assert (200, 200, 200) == (recorded, replayed, after)
    assert (hits, received) == during
    assert before is conn.sock
    assert hits + 1 == canned.calls()
    conn.close()


@pytest.mark.usefixtures("_seams")
def test_connection_made_in_a_replay_is_a_real_one_after_it(canned):
    """What a pool keeps from a replay leads nowhere, and is replaced where it is next used."""
    recorder = MemoryRecorder()
    with recorder.open(), contextlib.closing(Connection(canned.host, canned.port, timeout=5)) as recorded:
        status_of(recorded)
    conn = Connection(canned.host, canned.port, timeout=5)
    with MemoryReplayer(recorder.finish()).open():
        status_of(conn)
    hits = canned.calls()

    status = status_of(conn)

    assert (200, hits + 1) == (status, canned.calls())
    conn.close()


@pytest.mark.usefixtures("_seams")
def test_answer_to_a_request_from_before_the_run_is_refused(canned):
    """No recording holds it, and the live socket isn't read."""
    conn = Connection(canned.host, canned.port, timeout=5)
    conn.request("GET", "/json")

    with MemoryReplayer([]).open(), pytest.raises(UnrecordedCall) as caught:
        conn.getresponse()

    assert "sent before the run" in caught.value.what
    conn.close()


@pytest.mark.usefixtures("_seams")
def test_bytes_past_http_client_are_refused(canned):
    """A socket taken from a replayed connection reaches nothing."""
    conn = Connection(canned.host, canned.port, timeout=5)
    with MemoryReplayer([]).open():
        conn.connect()
        with pytest.raises(UnrecordedCall) as caught:
            conn.sock.sendall(b"GET / HTTP/1.1\r\n\r\n")

    assert "fluxrun.host" in caught.value.next_step
    assert 0 == canned.received


@pytest.mark.usefixtures("_seams")
def test_streamed_upload_is_kept_as_it_passes():
    """A generator is read once, and its chunks are the recorded body, without transfer coding."""
    outside = CannedOutside()
    drawn: list[int] = []

    def body() -> Iterator[bytes]:
        for number in range(3):
            drawn.append(number)
            yield b"%d," % number

    recorder = MemoryRecorder()
    conn = Connection(outside.host, outside.port, timeout=5)
    with recorder.open():
        conn.request("PUT", "/echo", body())
        conn.getresponse().read()
    conn.close()
    outside.take_away()

    assert [0, 1, 2] == drawn
    assert [b"0,1,2,"] == outside.bodies
    assert ["0,1,2,"] == [recorded.request["body"] for recorded in recorder.finish()]


@pytest.mark.usefixtures("_seams")
def test_one_connect_that_fails_is_one_failed_call(canned):
    """A refused connection is recorded as the request that it was made for."""
    canned.take_away()
    recorder = MemoryRecorder()

    with recorder.open(), pytest.raises(ConnectionRefusedError):
        status_of(Connection(canned.host, canned.port, timeout=5))

    (recorded,) = recorder.finish()
    assert ("GET", f"{canned.url}/json") == (recorded.request["method"], recorded.request["url"])
    assert ("refused", "connect") == (recorded.answer["failure"], recorded.answer["phase"])
