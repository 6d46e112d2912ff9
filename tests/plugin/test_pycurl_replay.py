"""A run that calls through libcurl, recorded live and replayed with the server gone, through the plugin."""

from __future__ import annotations

from pathlib import Path

from tests.plugin.kiosk import upstream_server
from tests.plugin.recorded import recorded_kiosk

SERVICE = '''\
"""Handles of the module, of the run, and of tornado's client."""

import io
import os
from pycurl import Curl  # before the seams

import pycurl

import pytest_fluxrun as fluxrun

fluxrun.init(project="kiosk")

kept = Curl()
kept.setopt(pycurl.URL, os.environ["UPSTREAM"] + "/rate")


@fluxrun.capture("transfer")
def transfer():
    """A handle that is kept, and one of the run that fails to connect."""
    lines = []
    kept.setopt(pycurl.HEADERFUNCTION, lines.append)
    answers = [kept.perform_rs() for _ in range(2)]
    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, "http://127.0.0.1:9/")
    try:
        handle.perform()
    except pycurl.error as error:
        failed = error.args, handle.errstr(), handle.getinfo(pycurl.RESPONSE_CODE), handle.getinfo(pycurl.TOTAL_TIME)
    return answers, [line.decode() for line in lines], kept.getinfo(pycurl.TOTAL_TIME), failed


@fluxrun.capture("tornado")
async def tornado():
    """tornado's client over CurlMulti."""
    from tornado.curl_httpclient import CurlAsyncHTTPClient

    answer = await CurlAsyncHTTPClient(force_instance=True).fetch(os.environ["UPSTREAM"] + "/rate")
    return answer.code
'''

RECORD = """\
import asyncio, service
service.transfer()
asyncio.run(service.tornado())
assert service.fluxrun.flush(20)
"""


def test_transfers_replay_with_the_server_gone(tmp_path: Path) -> None:
    """Answers, header lines, times and errors; a handle of before the run, its class imported before the seams.

    A cookie among the lines of the header is a secret like any other.
    What tornado does over CurlMulti was seen: its run says that it can't be replayed, and by which library.
    """
    with upstream_server() as upstream:
        upstream.headers = {"Set-Cookie": "sid=c0okie-of-somebody-else; Path=/"}
        kiosk = recorded_kiosk(tmp_path, SERVICE, "", RECORD, UPSTREAM=upstream.url)
    hits = upstream.hits

    shown = kiosk.python("-m", "pytest_fluxrun", "show", "--values", kiosk.bundle("transfer").stem[-26:]).stdout
    suite = kiosk.replay(UPSTREAM=upstream.url)

    assert 3 == hits
    assert "Path=/" in shown, shown
    assert "c0okie-of-somebody-else" not in shown
    assert ("passed", "match") == (suite.case("transfer").result, suite.case("transfer").verdict), suite.output
    assert ("error", "unready") == (suite.case("tornado").result, suite.case("tornado").verdict), suite.output
    assert "uncovered-library:tornado.httpclient,opaque:pycurl" == suite.case("tornado").properties["fluxrun.reason"]


def test_pytest_recording_beside_it_hides_no_transfer(tmp_path: Path) -> None:
    """It puts an object in pycurl's place whose handles nobody sees; the package is put back."""
    with upstream_server() as upstream:
        kiosk = recorded_kiosk(tmp_path, SERVICE, "", RECORD, UPSTREAM=upstream.url)
        hits = upstream.hits

        suite = kiosk.pytest_with_everything(
            "--fluxrun-dir=runs", "--fluxrun-no-confirm", kiosk.node_id("transfer"), UPSTREAM=upstream.url
        )

    assert "passed" == suite.case("transfer").result, suite.output
    assert hits == upstream.hits
