"""`--as pytest` beyond the shop: a WSGI app, a call that got no answer, a body with a drawn id, what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.export.plain_test import plain_test
from pytest_fluxrun.export.program import Place, Program
from pytest_fluxrun.run import Run
from pytest_fluxrun.values import encode
from tests.export.conftest import answer, call, request_run

APP = """
import json, uuid, httpx

def app(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    try:
        httpx.post("https://pay.example/charge", json={"amount": 1})
    except httpx.ReadTimeout as error:
        told = str(error)
    rate = httpx.get("https://rates.example/eur?day=1").json()["rate"]
    answer = {"id": str(uuid.uuid4()), "got": body.decode(), "told": told, "rate": rate}
    start_response("201 Created", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
"""
BODY = '{"id": "9f1d2c3b-1111-4222-8333-444455556666", "got": "a\\u00e9", "told": "too late", "rate": 2}'


@pytest.fixture
def wsgi_run() -> Run:
    """What the app above did."""
    charge = call(
        {"method": "POST", "url": "https://pay.example/charge"}, error=httpx.ReadTimeout("too late"), effect=True
    )
    rate = call(
        {"url": "https://rates.example/eur?day=1"},
        answer(body='{"rate": 2}', headers=(("x-rate", "a"), ("x-rate", "b"))),
    )
    run = request_run(body="aé", calls=(charge, rate))
    response = {"status": 201, "headers": [["Content-Type", "application/json"]], "body": BODY, "complete": True}
    return replace(run, entry_kind="wsgi", outcome={**run.outcome, "response": response})


def program() -> Program:
    """The app, as found in its module."""
    return Program(Place("till", "app"), lambda: None)


def test_a_wsgi_run_passes_and_notices_another_effect(tmp_path: Path, wsgi_run: Run) -> None:
    """The time-out happens again, the drawn id is no matter; another URL for the effect is red."""
    exported = plain_test(wsgi_run, program())
    (tmp_path / "test_till.py").write_text(exported.source)
    results = []
    for source in (APP, APP.replace("/charge", "/charges")):
        (tmp_path / "till.py").write_text(source)
        command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_till.py"]
        alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        results.append(
            subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False, timeout=60)
        )

    assert [0, 1] == [done.returncode for done in results], results[0].stdout
    assert "POST https://pay.example/charges" in results[1].stdout
    assert 0 == exported.by_hand
    assert "assert response.json() == {'id': ANY, 'got': 'aé', 'told': 'too late', 'rate': 2}" in exported.source


def test_calls_of_other_libraries_are_left_to_the_reader(wsgi_run: Run) -> None:
    """Respx answers httpx alone."""
    recording = wsgi_run.recording
    others = tuple(replace(one, boundary="urllib3") for one in recording.interactions)

    exported = plain_test(replace(wsgi_run, recording=replace(recording, interactions=others)), program())

    assert 2 == exported.by_hand
    assert "call 1, urllib3: POST https://pay.example/charge" in exported.source
    assert "router" not in exported.source


def test_a_client_that_left_and_other_entries_are_refused(wsgi_run: Run) -> None:
    """Each with the guard as what remains."""
    left = replace(wsgi_run, outcome={**wsgi_run.outcome, "disconnected": True})
    task = replace(wsgi_run, entry_kind="celery", input=encode({"args": [], "kwargs": {}}))

    for run, why in ((left, "its client left"), (task, "its entry is celery")):
        with pytest.raises(FluxRunError, match=why) as refused:
            plain_test(run, program())
        assert "fluxrun expect RUN" in refused.value.next_step
