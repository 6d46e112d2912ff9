"""A call recorded through one HTTP library answers code that uses another: calls match by kind, not by library."""

from __future__ import annotations

import asyncio
import http.client
import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
import urllib3.connectionpool
from aiohttp import compression_utils
from urllib3.response import HTTPResponse

from pytest_fluxrun.boundaries import aiohttp, concurrent_futures, http_client, httplib2, urllib3_future
from pytest_fluxrun.boundaries import httpx as httpx_boundary
from pytest_fluxrun.boundaries import urllib3 as urllib3_seams
from pytest_fluxrun.context import LANE
from pytest_fluxrun.errors import RecordedError
from pytest_fluxrun.testing.sessions import JumpingClock, MemoryRecorder, MemoryReplayer, Recorded
from tests.boundaries.clients import aiohttp as aiohttp_client
from tests.boundaries.clients import http_client as http_client_client
from tests.boundaries.clients import httplib2 as httplib2_client
from tests.boundaries.clients import requests as requests_client
from tests.boundaries.clients import urllib3 as urllib3_client
from tests.boundaries.clients import urllib_request
from tests.boundaries.http_behaviours import BEHAVIOURS, Adapter, Ask
from tests.boundaries.sessions import alone
from tests.boundaries.test_httpx_behaviours import async_adapter, sync_adapter

OVER_URLLIB3 = (
    http_client.boundary
    if issubclass(urllib3.connectionpool.HTTPConnection, http.client.HTTPConnection)
    else urllib3_future.boundary
)
CLIENTS: dict[str, tuple[Adapter, Any]] = {
    "aiohttp": (aiohttp_client.adapter, aiohttp.boundary),
    "httpx": (sync_adapter(httpx), httpx_boundary.boundary),
    "httpx-async": (async_adapter(httpx), httpx_boundary.boundary),
    "http.client": (http_client_client.adapter, http_client.boundary),
    "urllib": (urllib_request.adapter, http_client.boundary),
    "urllib3": (urllib3_client.adapter, OVER_URLLIB3),
    "requests": (requests_client.adapter_of(requests), OVER_URLLIB3),
    "httplib2": (httplib2_client.adapter, http_client.boundary),
}
"""Each client, and the boundary that its calls cross."""

ANSWERED = (
    "get",
    "json",
    "form",
    "multipart",
    "binary-body",
    "chunked-upload",
    "no-content",
    "head",
    "error-status",
    "gzip",
    "brotli",
    "zstd",
    "latin-1",
    "large",
    "streamed",
    "multipart-answer",
    "redirect",
)
FAILED = ("refused", "no-such-host", "tls-untrusted", "timed-out", "timed-out-in-body", "dropped-in-body", "hung-up")
UNDECODED = {"brotli": "br", "zstd": "zstd"}.items()
_URLLIB3_LACKS = {name for name, coding in UNDECODED if coding not in HTTPResponse.CONTENT_DECODERS}
LACKING = {
    "aiohttp": {"hung-up", *(() if getattr(compression_utils, "HAS_ZSTD", False) else ("zstd",))},
    "http.client": {"redirect"},
    "urllib": {"binary-body", "chunked-upload"},
    "urllib3": _URLLIB3_LACKS,
    "requests": _URLLIB3_LACKS,
    "httplib2": {"streamed", "dropped-in-body", "hung-up"},
}
"""What a client hasn't, or asks otherwise: urllib calls each body a form, httplib2 and aiohttp ask again when cut."""
PAIRS = list(itertools.permutations(CLIENTS, 2))


def both_have(behaviours: tuple[str, ...]) -> list[Any]:
    """Each ordered pair with each behaviour that both clients have."""
    return [
        pytest.param(one, other, name, id=f"{name}-{one}-to-{other}")
        for one, other in PAIRS
        for name in behaviours
        if name not in LACKING.get(one, ()) and name not in LACKING.get(other, ())
    ]


@pytest.fixture(autouse=True)
def _seams() -> Iterator[None]:
    """The seams of every client at once."""
    with alone(
        concurrent_futures.boundary,
        aiohttp.boundary,
        httpx_boundary.boundary,
        http_client.boundary,
        urllib3_seams.boundary,
        httplib2.boundary,
        *(() if OVER_URLLIB3 is http_client.boundary else (urllib3_future.boundary,)),
    ):
        yield


def asked(client: str, ask: Ask, outside: Any) -> Any:
    """What a client's user sees: the answers, or the error."""
    adapter = CLIENTS[client][0]
    try:
        if inspect.iscoroutinefunction(adapter):
            return asyncio.run(adapter(outside, ask))
        return adapter(outside, ask)
    except Exception as error:
        return error


def recorded_through(client: str, ask: Ask, outside: Any) -> tuple[Any, list[Recorded]]:
    """What the client's user saw, and what was recorded of it."""
    recorder = MemoryRecorder()
    with recorder.open():
        seen = asked(client, ask, outside)
    return seen, recorder.finish()


def replayed_through(client: str, ask: Ask, outside: Any, recorded: list[Recorded]) -> Any:
    """What the client's user sees of another's recording; nothing may be missing."""
    replayer = MemoryReplayer(recorded, clock=JumpingClock())
    with replayer.open():
        seen = asked(client, ask, outside)
    assert replayer.unrecorded is None, str(replayer.unrecorded)
    assert LANE.get() is None
    return seen


@pytest.mark.parametrize(("one", "other", "behaviour"), both_have(ANSWERED))
def test_answer_is_the_same_through_another_client(one, other, behaviour, http_outside):
    """Status, type and decoded body are equal, with the server gone."""
    ask = BEHAVIOURS[behaviour]
    expected, recorded = recorded_through(one, ask, http_outside)
    http_outside.take_away()
    hits = http_outside.calls()

    seen = replayed_through(other, ask, http_outside, recorded)

    assert expected == seen
    assert hits == http_outside.calls()


@pytest.mark.parametrize(("one", "other", "behaviour"), both_have(FAILED))
def test_failure_is_the_asking_client_s_own(one, other, behaviour, http_outside):
    """The error is of the type that the asking client raises live; one that overlooks the failure overlooks it here."""
    ask = BEHAVIOURS[behaviour]
    own = asked(other, ask, http_outside)
    failed, recorded = recorded_through(one, ask, http_outside)
    http_outside.take_away()

    seen = replayed_through(other, ask, http_outside, recorded)

    assert isinstance(own, Exception) or isinstance(failed, Exception)
    assert type(own) is type(seen)
    assert isinstance(own, Exception) or own == seen
    assert not isinstance(seen, RecordedError)
