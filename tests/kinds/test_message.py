"""The kind message: what counts as the same message, what is an effect, what is shown and searched."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_fluxrun.kinds.message import MESSAGE


def request(payload: Any = "hello", direction: str = "send", **more: Any) -> dict[str, Any]:
    return {"channel": "ws://ticker.example/feed", "direction": direction, "payload": payload, "headers": [], **more}


def test_json_key_order_is_no_difference() -> None:
    """Two payloads of the same JSON are the same message, as text or as bytes."""
    one, other = request('{"a": 1, "b": [2]}'), request('{"b": [2], "a": 1}')

    assert MESSAGE.canonical(one) == MESSAGE.canonical(other)
    assert [] == MESSAGE.differences(one, other)


@pytest.mark.parametrize(
    "other",
    [
        request("hello!"),
        request(b"hello"),
        request(None),
        request(direction="receive"),
        request(connection="2"),
        request(control="close"),
        request() | {"channel": "ws://ticker.example/other"},
    ],
)
def test_everything_else_is_a_difference(other: Any) -> None:
    """Payload, text or bytes, direction, connection, control and channel count, and are named."""
    one = request()

    assert MESSAGE.canonical(one) != MESSAGE.canonical(other)
    assert [] != MESSAGE.differences(one, other)


def test_difference_in_json_has_a_path() -> None:
    """Where both payloads are JSON, the place that differs is named."""
    found = MESSAGE.differences(request('{"a": {"b": 1}}'), request('{"a": {"b": 2}}'))

    assert ["request.payload.a.b"] == [difference.path for difference in found]


@pytest.mark.parametrize(
    ("form", "effect", "repeats"),
    [
        (request(), True, True),
        (request(None, "receive"), False, False),
        (request("1000", control="close"), False, True),
        (request(None, control="ping"), False, True),
    ],
)
def test_only_what_is_sent_is_an_effect_and_what_is_received_is_used_up(form: Any, effect: bool, repeats: bool) -> None:
    """A close and a ping change nothing outside; the same receive again is another one."""
    assert (effect, repeats) == (MESSAGE.is_effect(form), MESSAGE.may_repeat(form))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (request("two\nlines"), "send ws://ticker.example/feed two lines"),
        (request(b"\x00\x01"), "send ws://ticker.example/feed <2 bytes>"),
        (request(None, "receive"), "receive ws://ticker.example/feed"),
        (request("1000", control="close"), "close ws://ticker.example/feed 1000"),
    ],
)
def test_text_is_one_line(form: Any, text: str) -> None:
    """As reports show it; a long one is cut."""
    assert text == MESSAGE.text(form)
    assert 200 == len(MESSAGE.text(request("x" * 500)))


def test_names_of_both_sides_are_searched() -> None:
    """Headers, the URL's query, JSON keys of what was sent and of what came."""
    form = request('{"login": {"password": "p"}}') | {
        "channel": "ws://ticker.example/feed?token=t",
        "headers": [["X-Key", "k"]],
    }

    found = list(MESSAGE.named_values(form, {"payload": '{"secret": "s"}'}))

    assert [("x-key", "k"), ("token", "t"), ("login.password", "p"), ("secret", "s")] == found
