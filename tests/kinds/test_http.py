"""The kind http: what counts as the same request, what differs, what is shown, and what redaction gets to see."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from pytest_fluxrun.kinds.http import HTTP
from pytest_fluxrun.values import encode

JSON = ["content-type", "application/json"]
FORM = ["content-type", "application/x-www-form-urlencoded"]


def request(
    method: str = "GET", url: str = "https://pay.example/charge", *headers: list[str], body: str | bytes = ""
) -> dict[str, Any]:
    """A request in the kind's form."""
    return {"method": method, "url": url, "headers": list(headers), "body": body, "streamed": False}


def multipart(boundary: str, value: str = "1") -> dict[str, Any]:
    """A form with one field."""
    body = f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{value}\r\n--{boundary}--\r\n'
    return request("POST", "http://h/", ["content-type", f"multipart/form-data; boundary={boundary}"], body=body)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (request(url="HTTPS://Pay.Example:443/charge"), request(url="https://pay.example/charge")),
        (request(url="http://h"), request(url="http://h:80/#top")),
        (request(url="http://h/?a=1&b=2&a=0"), request(url="http://h/?b=2&a=0&a=1")),
        (
            request("post", "http://h/", JSON, body='{"a": 1, "b": 2}'),
            request("POST", "http://h/", JSON, body='{"b":2,"a":1}'),
        ),
        (request("GET", "http://h/", ["user-agent", "x/1"], ["date", "now"]), request("GET", "http://h/")),
        (request("GET", "http://h/", ["authorization", "Bearer a"]), request("GET", "http://h/", ["cookie", "sid=b"])),
        (multipart("aaa"), multipart("bbb")),
        (request("POST", "http://h/", body="text"), request("POST", "http://h/", body=b"text")),
        (request("GET", "http://h/", ["Accept", "a"]), request("GET", "http://h/", ["accept", "a"])),
        (request("GET", "http://h/", ["accept", "*/*"]), request("GET", "http://h/")),
    ],
)
def test_volatile_parts_are_folded(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two spellings of one request may get each other's answer, and no difference is reported."""
    assert HTTP.canonical(one) == HTTP.canonical(other)
    assert HTTP.differences(one, other) == []


@pytest.mark.parametrize(
    ("one", "other", "paths"),
    [
        (request("GET"), request("HEAD"), ["request.method"]),
        (request(url="http://h/a"), request(url="https://h/a"), ["request.url"]),
        (request(url="http://h/?q=1"), request(url="http://h/?q=2"), ["request.query.q"]),
        (request(url="http://h/?q=1"), request(url="http://h/?q=1&q=1"), ["request.query.q"]),
        (request(url="http://h/"), request(url="http://h/?new="), ["request.query.new"]),
        (request("GET", "http://h/", ["accept", "a"]), request("GET", "http://h/"), ["request.headers.accept"]),
        (request("GET", "http://h/", ["range", "bytes=0-1"]), request("GET", "http://h/", ["range", "bytes=2-3"]),
         ["request.headers.range"]),
        (request("POST", "http://h/", ["idempotency-key", "a"]), request("POST", "http://h/"),
         ["request.headers.idempotency-key"]),
        (request("POST", "http://h/", JSON, body='{"amount": 1000, "to": {"id": [1, 2]}}'),
         request("POST", "http://h/", JSON, body='{"amount": 1200, "to": {"id": [1, 3]}}'),
         ["request.body.amount", "request.body.to.id[1]"]),
        (request("POST", "http://h", JSON, body="1"), request("POST", "http://h", JSON, body="1.0"), ["request.body"]),
        (request("POST", "http://h/", JSON, body="{"), request("POST", "http://h/", JSON, body="{ "), ["request.body"]),
        (request("POST", "http://h/", JSON, body='{"n": 18446744073709551617}'),
         request("POST", "http://h/", JSON, body='{"n": 18446744073709551616}'), ["request.body.n"]),
        (request("POST", "http://h/", FORM, body="a=1&b=2"), request("POST", "http://h/", FORM, body="a=1&b=3"),
         ["request.body.b"]),
        (request("POST", "http://h/", body=b"\xff"), request("POST", "http://h/", body=b"\xfe"), ["request.body"]),
        (multipart("aaa", "1"), multipart("bbb", "2"), ["request.body"]),
        (request("POST", "http://h/", JSON, body="{}"), request("POST", "http://h/", FORM, body="{}"),
         ["request.headers.content-type", "request.body.{}"]),
        (request("GET"), {**request("GET"), "rest": "reading on after chunk 1"}, ["request.rest"]),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_compared(one: dict[str, Any], other: dict[str, Any], paths: list[str]) -> None:
    """Requests that ask for different things never share an answer, and the places are named by path."""
    assert HTTP.canonical(one) != HTTP.canonical(other)
    assert paths == [difference.path for difference in HTTP.differences(one, other)]


def test_difference_carries_both_values() -> None:
    """A report can say what was recorded and what is asked now."""
    one, other = (request("POST", "http://h/", JSON, body=f'{{"amount": {n}}}') for n in (1000, 1200))

    (difference,) = HTTP.differences(one, other)

    assert (1000, 1200) == (difference.recorded, difference.asked)


def test_operation_drops_query_and_body() -> None:
    """The same effect with other arguments is the same operation; reading on is none."""
    asked = request("POST", "https://pay.example/charge?dry=1", JSON, body="{}")

    assert HTTP.operation(asked) == "POST https://pay.example/charge"
    assert HTTP.operation({**asked, "rest": "x"}) != HTTP.operation(asked)


@pytest.mark.parametrize(("method", "expected"), [("GET", False), ("HEAD", False), ("OPTIONS", False), ("POST", True),
                                                  ("put", True), ("PATCH", True), ("DELETE", True)])  # fmt: skip
def test_methods_that_change_the_outside_are_effects(method: str, expected: bool) -> None:
    """POST, PUT, PATCH and DELETE are effects, in any case."""
    assert expected == HTTP.is_effect(request(method))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request("POST", "https://pay.example/charge?dry=1", JSON, body='{"amount":\n 1200}'),
         'POST https://pay.example/charge?dry=1 {"amount": 1200}'),
        (request("PUT", "http://h/x", body=b"\xff\x00"), "PUT http://h/x <2 bytes>"),
        (multipart("b"), "POST http://h/ <59 bytes multipart/form-data>"),
        ({**request(), "rest": "reading on"}, "GET https://pay.example/charge (reading on)"),
    ],
)  # fmt: skip
def test_text_is_one_line(asked: dict[str, Any], expected: str) -> None:
    """A request reads as one line; bytes are counted, not shown."""
    assert expected == HTTP.text(asked)


def test_long_text_is_cut() -> None:
    """At most 200 characters, the last of which says that there is more."""
    text = HTTP.text(request("POST", "http://h/", JSON, body='"' + "x" * 500 + '"'))

    assert len(text) == 200
    assert text.endswith("…")


def test_named_values_of_request_and_answer() -> None:
    """Redaction sees headers, cookies, query, JSON and form fields by name, in both directions, compressed or not."""
    asked = request(
        "POST",
        "http://h/?token=t1&q=x",
        JSON,
        ["authorization", "Bearer secret"],
        ["cookie", "sid=s1; theme=dark"],
        body='{"user": {"password": "p1", "codes": [7, 8]}}',
    )
    answer = {
        "headers": [
            ["Set-Cookie", "sid=s2; HttpOnly"],
            ["Content-Type", "application/json"],
            ["Content-Encoding", "gzip"],
        ],
        "trailers": [["x-session", "s3"]],
        "chunks": encode([gzip.compress(b'{"access_token": "a1"}')[:9], gzip.compress(b'{"access_token": "a1"}')[9:]]),
    }

    named = set(HTTP.named_values(asked, answer))

    assert {
        ("authorization", "secret"),
        ("cookie.sid", "s1"),
        ("cookie.theme", "dark"),
        ("token", "t1"),
        ("q", "x"),
        ("user.password", "p1"),
        ("user.codes", 7),
        ("user.codes", 8),
        ("cookie.sid", "s2"),
        ("access_token", "a1"),
        ("x-session", "s3"),
    } <= named


def test_named_values_of_forms_and_event_streams() -> None:
    """Form fields, and JSON in the data lines of an event stream."""
    asked = request("POST", "http://h/", FORM, body="password=p&x=1")
    answer = {
        "headers": [["content-type", "text/event-stream"]],
        "chunks": ['data: {"api_key": "k"}\n\ndata: done\n\n'],
    }

    named = set(HTTP.named_values(asked, answer))

    assert {("password", "p"), ("x", "1"), ("api_key", "k")} <= named


@pytest.mark.parametrize(
    "answer", [None, {}, {"chunks": [{"~": "opaque", "v": "x"}], "headers": []}, {"~": "opaque", "v": "x"}]
)
def test_named_values_of_an_answer_that_can_not_be_read(answer: Any) -> None:
    """An opaque or missing answer has no names, and is no error."""
    assert [("token", "t")] == list(HTTP.named_values(request(url="http://h/?token=t"), answer))


def test_address_is_the_url_without_query_and_usual_port() -> None:
    """What the setting `telemetry` is compared with."""
    assert "https://h/v1/traces" == HTTP.address(request("POST", "https://H:443/v1/traces?token=t"))
    assert "http://h:4318/" == HTTP.address(request("POST", "http://h:4318"))


def test_body_without_a_type_is_one_of_octets() -> None:
    """Some libraries name `application/octet-stream`, some leave it: RFC 9110, 8.3, takes both for the same."""
    bare = {"method": "PUT", "url": "http://h/", "headers": [], "body": b"\xff", "streamed": False}
    named = bare | {"headers": [["content-type", "application/octet-stream"]]}

    assert HTTP.canonical(bare) == HTTP.canonical(named)
    assert [] == HTTP.differences(bare, named)


def test_order_of_a_part_s_headers_is_no_difference() -> None:
    """Libraries write the headers of a multipart's parts in orders of their own; the content counts."""

    def form(boundary: str, *headers: str, content: str = "x") -> dict[str, Any]:
        body = f"--{boundary}\r\n" + "\r\n".join(headers) + f"\r\n\r\n{content}\r\n--{boundary}--\r\n"
        kind = f"multipart/form-data; boundary={boundary}"
        return {
            "method": "POST",
            "url": "http://h/",
            "headers": [["content-type", kind]],
            "body": body,
            "streamed": True,
        }

    disposition, kind = 'Content-Disposition: form-data; name="f"', "Content-Type: text/plain"
    one, other = form("b1", disposition, kind), form("b2", kind.replace("Type", "type"), disposition)

    assert HTTP.canonical(one) == HTTP.canonical(other)
    assert HTTP.canonical(one) != HTTP.canonical(form("b1", disposition, kind, content="y"))
