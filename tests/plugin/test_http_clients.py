"""requests, urllib3, urllib and http.client in one service: recorded against live servers, replayed with them gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.boundaries.canned import CannedOutside
from tests.plugin.kiosk import Kiosk
from tests.plugin.recorded import recorded_kiosk

SERVICE = '''\
"""Calls through four libraries, over connections that outlive a run."""

import concurrent.futures
import http.client
import os
import time
import urllib.request

import requests
import urllib3

import pytest_fluxrun as fluxrun

fluxrun.init(project="kiosk")
HOST = os.environ["UPSTREAM"]
URL = f"http://{HOST}"
session = requests.Session()
session.trust_env = False
pool = urllib3.PoolManager(maxsize=4, timeout=5, retries=urllib3.Retry(2, status_forcelist=[503]))
connection = http.client.HTTPConnection(HOST, timeout=5)


@fluxrun.capture("clients")
def clients(amount):
    """Ask through each, one after another and at once."""
    connection.request("POST", "/echo", f"by hand {amount}".encode())
    by_hand = connection.getresponse().read().decode()
    with urllib.request.urlopen(f"{URL}/trailers", timeout=5) as response:
        streamed = [line.decode() for line in response]
    began = time.monotonic()
    later = pool.request("GET", f"{URL}/later").status
    waited = time.monotonic() - began >= 1
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        answers = threads.map(lambda n: session.post(f"{URL}/echo", data=str(n), timeout=5).text, range(4))
    try:
        session.get("http://127.0.0.1:9/", timeout=5)
    except requests.ConnectionError as error:
        refused = [type(error).__name__, error.request.url, "refused" in str(error)]
    return {
        "by_hand": by_hand, "streamed": streamed, "later": [later, waited], "at_once": list(answers), "refused": refused
    }


@fluxrun.capture("broken")
def broken(amount):
    """Fail for what the server said."""
    response = session.get(f"{URL}/json", timeout=5)
    raise ValueError(f"{amount} isn't in {response.json()}")
'''

RECORD = """\
import contextlib, service

print(service.clients(1), service.clients(2))
with contextlib.suppress(ValueError):
    service.broken(3)
assert service.fluxrun.flush(20)
"""


@pytest.fixture
def canned() -> Iterator[CannedOutside]:
    """The server of fixed answers."""
    outside = CannedOutside()
    yield outside
    outside.take_away()


@pytest.fixture
def recorded(canned: CannedOutside, tmp_path: Path) -> Kiosk:
    """The service after three runs."""
    kiosk = recorded_kiosk(tmp_path, SERVICE, "", RECORD, UPSTREAM=f"{canned.host}:{canned.port}")
    assert 3 == len(kiosk.bundles())
    return replace(kiosk, port=canned.port)


def test_runs_replay_to_their_outcome_and_reach_nothing(recorded: Kiosk, canned: CannedOutside) -> None:
    """The servers are up and count: no request and no byte gets to them, and each run has its recorded outcome."""
    hits, received = canned.calls(), canned.received

    suite = recorded.replay(UPSTREAM=f"{canned.host}:{canned.port}")

    assert {"match": 2, "reproduced": 1} == {
        verdict: sum(case.verdict == verdict for case in suite.cases.values()) for verdict in ("match", "reproduced")
    }, suite.output
    assert (hits, received) == (canned.calls(), canned.received)


def test_changed_request_is_named(recorded: Kiosk, canned: CannedOutside) -> None:
    """Other code asks for something else: the run diverges, and says at which call."""
    recorded.keep_only("broken")
    recorded.edit("service.py", 'session.get(f"{URL}/json", timeout=5)', 'session.get(f"{URL}/twice", timeout=5)')
    hits = canned.calls()

    suite = recorded.replay(UPSTREAM=f"{canned.host}:{canned.port}")

    assert f"GET http://{canned.host}:{canned.port}/twice" in suite.case("broken").text
    assert hits == canned.calls()
