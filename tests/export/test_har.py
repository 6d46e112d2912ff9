"""`--as har`: every document here is checked against HAR 1.2's required members and types."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.export.har import har_of, to_har
from pytest_fluxrun.kinds.http import MOST_INFLATED
from pytest_fluxrun.run import Run
from tests.export.conftest import answer, call, request_run


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """A closed object; members that begin with an underscore are custom ones."""
    return {
        "type": "object",
        "required": [*required],
        "properties": {**required, **(optional or {}), "comment": {"type": "string"}},
        "patternProperties": {"^_": True},
        "additionalProperties": False,
    }


_TEXT, _NUMBER, _COUNT = {"type": "string"}, {"type": "number", "minimum": -1}, {"type": "integer", "minimum": -1}
_PAIRS = {"type": "array", "items": _object({"name": _TEXT, "value": _TEXT})}
_MESSAGE = {"httpVersion": _TEXT, "cookies": _PAIRS, "headers": _PAIRS, "headersSize": _COUNT, "bodySize": _COUNT}
_POSTED = _object({"mimeType": _TEXT, "text": _TEXT})
_CONTENT = _object({"size": _COUNT, "mimeType": _TEXT}, {"text": _TEXT, "encoding": _TEXT})
_ENTRY = _object(
    {
        "startedDateTime": {"type": "string", "format": "date-time"},
        "time": _NUMBER,
        "request": _object({"method": _TEXT, "url": _TEXT, "queryString": _PAIRS, **_MESSAGE}, {"postData": _POSTED}),
        "response": _object(
            {"status": _COUNT, "statusText": _TEXT, "content": _CONTENT, "redirectURL": _TEXT, **_MESSAGE}
        ),
        "cache": _object({}),
        "timings": _object({"send": _NUMBER, "wait": _NUMBER, "receive": _NUMBER}),
    }
)
HAR_1_2 = _object(
    {"log": _object({"version": _TEXT, "creator": _object({"name": _TEXT, "version": _TEXT}),
                     "entries": {"type": "array", "items": _ENTRY}})}
)  # fmt: skip


def entries(run: Run) -> list[dict[str, Any]]:
    """The entries of a run's document, which is a valid one."""
    document = har_of(run)
    Draft202012Validator(HAR_1_2).validate(document)
    return document["log"]["entries"]


def test_the_request_comes_first_then_each_call() -> None:
    """With their times, bodies and cookies."""
    charge = call(
        {"method": "POST", "url": "https://pay.example/charge?dry=1", "body": '{"amount": 1}'},
        answer(402, '{"error": "declined"}', (("set-cookie", "a=1; Path=/"),)),
    )
    headers = (("host", "shop.example"), ("content-type", "application/json"), ("cookie", "s=2"))
    run = request_run(query="x=1&x=2", headers=headers, body='{"sku": "mug"}', calls=(charge,))

    inbound, outgoing = entries(run)

    assert ("https://shop.example/orders?x=1&x=2", 201) == (inbound["request"]["url"], inbound["response"]["status"])
    assert [{"name": "x", "value": "1"}, {"name": "x", "value": "2"}] == inbound["request"]["queryString"]
    assert {"mimeType": "application/json", "text": '{"sku": "mug"}'} == inbound["request"]["postData"]
    assert ([{"name": "s", "value": "2"}], [{"name": "a", "value": "1"}]) == (
        inbound["request"]["cookies"], outgoing["response"]["cookies"]
    )  # fmt: skip
    assert (402, '{"error": "declined"}', 2.0) == (
        outgoing["response"]["status"], outgoing["response"]["content"]["text"], outgoing["time"]
    )  # fmt: skip
    began = [datetime.fromisoformat(one["startedDateTime"]).timestamp() for one in (inbound, outgoing)]
    assert 0.001 == pytest.approx(began[1] - began[0], abs=1e-5)


def test_bodies_that_are_no_text_are_base64_and_codings_are_taken_off() -> None:
    """As HAR says for answers, and marked for requests, for which it says nothing."""
    zipped = call(
        {"method": "PUT", "url": "https://files.example/a", "body": b"\xff\x00"},
        answer(200, gzip.compress(b"plain"), (("content-encoding", "gzip"),)),
    )
    image = call({"url": "https://files.example/b"}, answer(200, b"\x89PNG\xff"))

    _, put, got = entries(request_run(calls=(zipped, image)))

    assert ("/wA=", "base64") == (put["request"]["postData"]["text"], put["request"]["postData"]["_encoding"])
    assert ("plain", 5) == (put["response"]["content"]["text"], put["response"]["content"]["size"])
    assert len(gzip.compress(b"plain")) == put["response"]["bodySize"]
    content = got["response"]["content"]
    assert ("base64", b"\x89PNG\xff") == (content["encoding"], base64.b64decode(content["text"]))


def test_a_call_without_an_answer_has_status_0_and_its_error() -> None:
    """As browsers write it."""
    failed = call({"url": "https://pay.example/"}, error=TimeoutError("too late"))

    _, entry = entries(request_run(calls=(failed,)))

    assert (0, "TimeoutError: too late") == (entry["response"]["status"], entry["_error"])


def test_a_run_without_http_is_refused() -> None:
    """A function's that made no request."""
    run = replace(request_run(), entry_kind="function", input={"args": [], "kwargs": {}})
    with pytest.raises(FluxRunError, match="has no HTTP in it"):
        har_of(run)


def test_it_is_written_in_ascii() -> None:
    """What steers a terminal is an escape, and so is half a surrogate pair, which UTF-8 can't hold."""
    evil = "é\x1b[31m\x9b\u202e\udc80"
    failed = call({"url": "https://pay.example/"}, error=TimeoutError(evil))

    text = to_har(request_run(path=f"/{evil}", headers=((evil, evil),), body=evil, calls=(failed,)))

    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    assert f"TimeoutError: {evil}" == json.loads(text)["log"]["entries"][1]["_error"]


def test_a_body_that_inflates_to_more_than_is_shown_says_so() -> None:
    """A few kilobytes may hold gigabytes: the first 16 MiB of them are there."""
    bomb = gzip.compress(b"0" * (MOST_INFLATED + 1))
    sent = {"method": "PUT", "url": "https://files.example/a", "body": bomb, "headers": [["content-encoding", "gzip"]]}
    got = answer(200, bomb, (("content-encoding", "gzip"),))

    _, entry = entries(request_run(calls=(call(sent, got),)))

    said = "the first 16,777,216 bytes of the inflated body"
    assert [said, said] == [entry["request"]["postData"]["comment"], entry["response"]["content"]["comment"]]
