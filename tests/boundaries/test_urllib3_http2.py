"""urllib3's experimental HTTP/2 connections are refused by name."""

from __future__ import annotations

import http.client

import pytest
import urllib3.connectionpool

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import urllib3_http2
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer

pytestmark = pytest.mark.skipif(
    not issubclass(urllib3.connectionpool.HTTPConnection, http.client.HTTPConnection)
    or urllib3.__version__.startswith("1."),
    reason="urllib3 1.26, or urllib3-future in urllib3's place, has no such connections",
)


@pytest.fixture
def refused():
    """HTTP/2 turned on for urllib3, and the seams that refuse it."""
    http2 = pytest.importorskip("urllib3.http2.connection", reason="needs h2")
    from urllib3.http2 import extract_from_urllib3, inject_into_urllib3

    others = patching.installed_patches()
    patching.restore_all()
    patching.install(urllib3_http2.boundary.patches(http2))
    inject_into_urllib3()
    yield
    extract_from_urllib3()
    patching.restore_all()
    patching.install(others)


def test_replay_refuses_it_before_it_connects(refused):
    """The error names it and says what to do."""
    replayer = MemoryReplayer([])

    with replayer.open(), urllib3.PoolManager(retries=False) as pool, pytest.raises(UnrecordedCall) as caught:
        pool.request("GET", "https://127.0.0.1:9/")

    assert "urllib3.http2" in caught.value.what


def test_recording_notes_it(refused):
    """The call goes out as it would, and the run is unready for it."""
    recorder = MemoryRecorder()

    with recorder.open(), urllib3.PoolManager(retries=False) as pool, pytest.raises(urllib3.exceptions.HTTPError):
        pool.request("GET", "https://127.0.0.1:9/")

    assert ["urllib3.http2"] == recorder.refused
