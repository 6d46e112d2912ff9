"""Redis's answers that no recording holds: a guard's words, usual replies to writes, reads made anew."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from pytest_fluxrun.boundaries.redis import boundary
from pytest_fluxrun.errors import GuardError, SettingsError
from pytest_fluxrun.values import decode


def request(*commands: list[Any]) -> dict[str, Any]:
    asked: dict[str, Any] = {"command": commands[0]} if len(commands) == 1 else {"commands": list(commands)}
    return {"database": "0", "which": 0, **asked}


@pytest.fixture
def key(redis_port: int) -> Iterator[str]:
    """A key of its own with a text in it."""
    name = f"by-hand:{uuid.uuid4().hex}"
    with redis.Redis(port=redis_port) as client:
        client.set(name, "väl")
        yield name
        client.delete(name)


@pytest.mark.service
def test_reads_made_anew_give_what_the_commands_give(redis_port: int, key: str):
    """As the parser had them: texts, numbers, nothing."""
    environment = {"redis": f"redis://127.0.0.1:{redis_port}/0"}
    assert {"replies": ["väl"]} == decode(boundary.ask(request(["GET", key]), environment))
    many = request(["GET", key], ["STRLEN", key], ["GET", "by-hand:nothing"])
    assert {"replies": ["väl", 4, None]} == decode(boundary.ask(many, environment))
    assert boundary.ask({"database": "0", "receive": ["news"]}, environment) is None
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        boundary.ask(request(["LLEN", key]), environment)


def test_environment_without_redis_is_an_error_that_says_what_to_add():
    """By the name that the run uses."""
    with pytest.raises(SettingsError, match="doesn't say where to ask redis for '0'"):
        boundary.ask(request(["GET", "a"]), {})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request(["SET", "a", "1"]), {"reply": "OK"}),
        (request(["incr", "a"]), {"reply": 1}),
        (request(["SET", "a", "1"], ["EXPIRE", "a", "9"]), {"replies": ["OK", 1]}),
        (request(["MULTI"], ["INCR", "a"], ["SET", "b", "1"], ["EXEC"]),
         {"replies": ["OK", "QUEUED", "QUEUED", [1, "OK"]]}),
        (request(["EVALSHA", "x", "0"]), None),
        (request(["SET", "a", "1"], ["EVALSHA", "x", "0"]), None),
    ],
)  # fmt: skip
def test_usual_replies_are_made_up_and_are_answers(asked: dict[str, Any], expected: Any):
    """A script's reply is known to no one."""
    made_up = boundary.sketch(asked, 1)
    assert expected == made_up
    if made_up is not None:
        replies = made_up.get("replies", [made_up.get("reply")])
        assert replies == decode(boundary.answer(asked, made_up))["replies"]


def test_words_without_a_reply_are_nil():
    """TOML has no null."""
    assert [None] == decode(boundary.answer(request(["GETDEL", "a"]), {}))["replies"]


@pytest.mark.parametrize("reply", [{"status": 1}, {"replies": ["OK", 1, 1]}, {"replies": "OK"}])
def test_words_that_are_no_answer_are_refused(reply: dict[str, Any]):
    """As many replies as commands, under the names that there are."""
    with pytest.raises(GuardError, match="`replies` with one for each command"):
        boundary.answer(request(["SET", "a", "1"], ["EXPIRE", "a", "9"]), reply)
