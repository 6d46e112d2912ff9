"""urllib3, and what is built on it, beyond the table: streams, retries, proxies, errors, pools from before the run."""

from __future__ import annotations

import contextlib
import http.client
import io
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import boto3
import botocore.config
import pytest
import requests
import urllib3
import urllib3.connectionpool

from pytest_fluxrun.boundaries import concurrent_futures, http_client, sleep, urllib3_future
from pytest_fluxrun.boundaries import urllib3 as urllib3_seams
from pytest_fluxrun.boundary import Boundary
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.testing.boundary import BoundaryContract
from pytest_fluxrun.testing.sessions import JumpingClock, MemoryRecorder, MemoryReplayer
from tests.boundaries.canned import CannedOutside
from tests.boundaries.sessions import alone

GENUINE = issubclass(urllib3.connectionpool.HTTPConnection, http.client.HTTPConnection)
"""Whether this is urllib3 itself, not urllib3-future in its place."""
BOUNDARY: Boundary[Any] = http_client.boundary if GENUINE else urllib3_future.boundary
Response = Any


def got(path: str, read: Callable[[Response], Any]) -> Callable[[CannedOutside], Any]:
    """GET a path without preloading, and read the answer in some way."""

    def exercise(outside: CannedOutside) -> Any:
        with urllib3.PoolManager(retries=False, timeout=5) as pool:
            response = pool.request("GET", f"{outside.url}{path}", preload_content=False)
            found = read(response)
            response.close()
            return [response.status, response.reason, list(response.headers.items()), found]

    return exercise


def readinto(response: Response) -> Any:
    """Through the io interface."""
    buffer = bytearray(4)
    return [response.readinto(buffer), bytes(buffer), response.read()]


def drained(response: Response) -> Any:
    """Give the connection back without reading."""
    response.drain_conn()
    response.release_conn()
    return response.read()


def posted(body: Callable[[], Any], **options: Any) -> Callable[[CannedOutside], Any]:
    """POST a body."""

    def exercise(outside: CannedOutside) -> Any:
        with urllib3.PoolManager(retries=False, timeout=5) as pool:
            return pool.request("POST", f"{outside.url}/echo", body=body(), **options).data

    return exercise


def retried(outside: CannedOutside) -> Any:
    """A status that is asked again, after the time that the server names."""
    retries = urllib3.Retry(2, status_forcelist=[503])
    with urllib3.PoolManager(retries=retries, timeout=5) as pool:
        response = pool.request("GET", f"{outside.url}/later")
        return [response.status, len(response.retries.history)]


def retried_in_vain(outside: CannedOutside) -> Any:
    """Connections that are refused, each attempt one call."""
    with urllib3.PoolManager(timeout=5) as pool:
        try:
            pool.request("GET", "http://127.0.0.1:9/", retries=urllib3.Retry(2, backoff_factor=0))
        except urllib3.exceptions.MaxRetryError as error:
            del outside
            return [error.pool.host, error.url, type(error.reason).__name__]


def over_proxy(url: str) -> Callable[[CannedOutside], Any]:
    """GET through a proxy."""

    def exercise(outside: CannedOutside) -> Any:
        with urllib3.ProxyManager(outside.url, retries=False, timeout=5) as pool:
            return pool.request("GET", url).data

    return exercise


def of_requests(outside: CannedOutside) -> Any:
    """What a requests user has of an answer."""
    with requests.Session() as session:
        session.trust_env = False
        response = session.get(f"{outside.url}/twice", timeout=5)
        return [dict(session.cookies), response.reason, response.raw.version, response.elapsed.total_seconds() >= 0]


def requests_error(outside: CannedOutside) -> Any:
    """An error's request and response."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            session.post("http://127.0.0.1:9/x", data=b"asked", timeout=5)
        except requests.ConnectionError as error:
            return [error.request.method, error.request.url, error.request.body, error.response, bool(outside)]


def retried_generator(outside: CannedOutside) -> Any:
    """A body that can be read once, and a connection that is refused: nothing was read, so it can be sent again."""
    body = (chunk for chunk in (b"one", b"two"))
    with urllib3.PoolManager(retries=False, timeout=5) as pool:
        with pytest.raises(urllib3.exceptions.NewConnectionError):
            pool.request("POST", "http://127.0.0.1:9/", body=body)
        return pool.request("POST", f"{outside.url}/echo", body=body).data


def raised_for_status(outside: CannedOutside) -> Any:
    """The response that an error holds."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            session.get(f"{outside.url}/later", timeout=5).raise_for_status()
        except requests.HTTPError as error:
            return [error.response.status_code, error.response.headers["Retry-After"], error.request.method]


def s3_client(outside: CannedOutside) -> Any:
    """A client that tries twice."""
    return boto3.client(
        "s3",
        endpoint_url=outside.url,
        region_name="eu-west-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="an example",
        config=botocore.config.Config(
            retries={"total_max_attempts": 2, "mode": "standard"},
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
        ),
    )


def s3(outside: CannedOutside) -> Any:
    """A put that waits for `100 Continue`, and a get."""
    with contextlib.closing(s3_client(outside)) as client:
        put = client.put_object(Bucket="json", Key="a", Body=io.BytesIO(b"stored"))
        found = client.get_object(Bucket="json", Key="a")
        return [put["ResponseMetadata"]["HTTPStatusCode"], found["Body"].read(), found["ContentType"]]


def s3_retried(outside: CannedOutside) -> Any:
    """A put that the server is too busy for at first: botocore waits, and sends the body again."""
    with contextlib.closing(s3_client(outside)) as client:
        put = client.put_object(Bucket="later", Key="a", Body=io.BytesIO(b"stored"))
        return [put["ResponseMetadata"][name] for name in ("HTTPStatusCode", "RetryAttempts")]


class TestUrllib3Streams(BoundaryContract):
    """urllib3, requests and boto3 used in ways that the table doesn't have."""

    boundary = BOUNDARY
    carriers = (concurrent_futures.boundary, sleep.boundary, urllib3_seams.boundary)
    exercises: ClassVar = {
        "stream": got("/trailers", lambda response: b"".join(response.stream(3))),
        "read-chunked": got("/trailers", lambda response: b"".join(response.read_chunked())),
        "iterated": got("/old", list),
        "read-part": got("/json", lambda response: [response.read(1), response.read()]),
        "readinto": got("/old", readinto),
        "drained": got("/trailers", drained),
        "unread": got("/trailers", lambda response: response.status),
        "text-io": got("/old", lambda response: io.TextIOWrapper(response).read()),
        "http-1.0": got("/old", lambda response: [response.version, response.read()]),
        "not-modified": got("/not-modified", lambda response: response.read()),
        "cut-between-chunks": got("/cut-between", lambda response: response.read()),
        "cut-in-head": got("/cut-head", lambda response: response.read()),
        "garbage": got("/garbage", lambda response: response.read()),
        "file": posted(lambda: io.BytesIO(b"from a file")),
        "text": posted(lambda: "naïve"),
        "generator": posted(lambda: (chunk for chunk in (b"one", b"two"))),
        "chunked": posted(lambda: b"whole", chunked=True),
        "forwarded": over_proxy("http://shop.example/json"),
        "retried": retried,
        "retried-in-vain": retried_in_vain,
        "retried-generator": retried_generator,
        "requests": of_requests,
        "requests-error": requests_error,
        "requests-status": raised_for_status,
        "s3": s3,
        "s3-retried": s3_retried,
    }
    unreached: ClassVar = frozenset({"retried-in-vain", "requests-error"})

    @pytest.fixture
    def outside(self, canned: CannedOutside) -> CannedOutside:
        return canned


@pytest.fixture
def _seams() -> Iterator[None]:
    """The seams of urllib3 as it is installed."""
    with alone(sleep.boundary, http_client.boundary, urllib3_seams.boundary, BOUNDARY):
        yield


@pytest.mark.usefixtures("_seams")
def test_session_from_before_the_run_sends_nothing_at_replay(canned):
    """A pool's live connection is answered from the recording; the server gets no byte."""
    recorder = MemoryRecorder()
    with requests.Session() as session:
        session.trust_env = False
        with recorder.open():
            recorded = session.get(f"{canned.url}/json", timeout=5).content
        hits, received = canned.calls(), canned.received
        with MemoryReplayer(recorder.finish(), clock=JumpingClock()).open():
            replayed = session.get(f"{canned.url}/json", timeout=5).content
        during = canned.calls(), canned.received
        after = session.get(f"{canned.url}/json", timeout=5).content

    assert (b"{}", b"{}", b"{}") == (recorded, replayed, after)
    assert (hits, received) == during
    assert hits + 1 == canned.calls()


@pytest.mark.usefixtures("_seams")
def test_unrecorded_request_over_a_pool_from_before_is_refused(canned):
    """Nothing of it reaches the live connection."""
    with urllib3.PoolManager(retries=False) as pool:
        pool.request("GET", f"{canned.url}/json")
        hits, received = canned.calls(), canned.received
        with MemoryReplayer([]).open(), pytest.raises(UnrecordedCall):
            pool.request("POST", f"{canned.url}/echo", body=b"never")

    assert (hits, received) == (canned.calls(), canned.received)


@pytest.mark.usefixtures("_seams")
def test_retry_after_waits_on_the_virtual_clock(canned):
    """The second that the server asks for passes at once, on the run's clock."""
    recorder = MemoryRecorder()
    with recorder.open():
        recorded = retried(canned)
    clock = JumpingClock()

    with MemoryReplayer(recorder.finish(), clock=clock).open():
        replayed = retried(canned)

    assert [200, 1] == recorded == replayed
    assert clock.now_ns() >= 1_000_000_000


@pytest.mark.usefixtures("_seams")
def test_each_attempt_is_one_interaction(canned):
    """Retries are the library's: a refused connection that is tried three times is three failed calls."""
    recorder = MemoryRecorder()
    with recorder.open():
        retried_in_vain(canned)

    recorded = recorder.finish()

    assert ["refused"] * 3 == [one.answer["failure"] for one in recorded]
    assert {"http://127.0.0.1:9/"} == {one.request["url"] for one in recorded}
