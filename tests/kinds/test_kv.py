"""The kind kv: what counts as the same command, what is an effect, what is shown and searched."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_fluxrun.kinds.kv import KV
from pytest_fluxrun.registry import kind_named


def asked(*command: Any, **more: Any) -> dict[str, Any]:
    return {"database": "cache:6379/0", "which": 0, "command": list(command), **more}


def pipeline(*commands: list[Any]) -> dict[str, Any]:
    return {"database": "cache:6379/0", "which": 0, "commands": list(commands)}


def received(*channels: str) -> dict[str, Any]:
    return {"database": "cache:6379/0", "which": 0, "receive": list(channels)}


CONNECT: dict[str, Any] = {"database": "cache:6379/0", "which": 0, "control": "CONNECT", "again": False}


def test_kind_is_known_by_its_name() -> None:
    """A bundle that holds it can be read without the library."""
    assert KV is kind_named("kv")


def test_name_of_the_database_is_no_difference() -> None:
    """It says where the code runs."""
    one, other = asked("GET", "a"), asked("GET", "a") | {"database": "localhost:6379/3"}

    assert KV.canonical(one) == KV.canonical(other)
    assert [] == KV.differences(one, other)


@pytest.mark.parametrize(
    "other",
    [
        asked("GET", "b"),
        asked("get", "a"),
        asked("GET", b"a"),
        asked("GET", "a", "b"),
        asked("MGET", "a"),
        asked("GET", "a") | {"which": 1},
        asked("GET", "a", rest="reading on after reply 1"),
        pipeline(["GET", "a"], ["GET", "b"]),
        received("a"),
        CONNECT,
    ],
)
def test_everything_else_is_a_difference(other: Any) -> None:
    """Every byte of every argument, which database of the run, and what was sent at once; and it is named."""
    one = asked("GET", "a")

    assert KV.canonical(one) != KV.canonical(other)
    assert [] != KV.differences(one, other)


@pytest.mark.parametrize(
    ("recorded", "other", "paths"),
    [
        (asked("SET", "a", "1"), asked("SET", "b", "1"), ["request.key"]),
        (asked("SET", "a", '{"x": {"y": 1}}'), asked("SET", "a", '{"x": {"y": 2}}'), ["request.value.x.y"]),
        (asked("SET", "a", "1", "EX", "5"), asked("SET", "a", "1", "EX", "6"), ["request.arguments[1]"]),
        (asked("HSET", "h", "a", "1", "b", "2"), asked("HSET", "h", "a", "1", "b", "3"), ["request.fields.b"]),
        (asked("MSET", "a", "1"), asked("MSET", "a", "2"), ["request.fields.a"]),
        (
            asked("XADD", "s", "MAXLEN", "~", "9", "*", "f", "1"),
            asked("XADD", "s", "*", "f", "1"),
            ["request.arguments[0]", "request.arguments[1]", "request.arguments[2]", "request.arguments[3]"],
        ),
        (asked("XADD", "s", "*", "f", "1"), asked("XADD", "s", "*", "f", "2"), ["request.fields.f"]),
        (asked("SETEX", "a", "60", "x"), asked("SETEX", "a", "61", "x"), ["request.seconds"]),
        (asked("SET", "a", '{"x": 1}'), asked("SET", "a", '{"x":1}'), ["request"]),
        (asked("INCR", "a"), asked("DECR", "a"), ["request.name"]),
        (received("a"), received("b"), ["request.receive[0]"]),
        (
            pipeline(["GET", "a"], ["SET", "b", "1"]),
            pipeline(["GET", "a"], ["SET", "b", "2"]),
            ["request.commands[1].value"],
        ),
        (pipeline(["GET", "a"]), pipeline(["GET", "a"], ["GET", "b"]), ["request.commands[1]"]),
    ],
)
def test_difference_names_key_field_and_value(recorded: Any, other: Any, paths: list[str]) -> None:
    """By path in JSON values; of a pipeline, in which command."""
    assert paths == [difference.path for difference in KV.differences(recorded, other)]


@pytest.mark.parametrize(
    "command",
    [
        ["GET", "a"],
        ["mget", "a", "b"],
        ["HGETALL", "h"],
        ["SCAN", "0"],
        ["TTL", "a"],
        ["XREAD", "STREAMS", "s", "0"],
        ["CONFIG", "GET", "x"],
        ["SORT", "l"],
        ["EVAL_RO", "return 1", "0"],
        ["PING"],
        ["WATCH", "a"],
        ["SUBSCRIBE", "c"],
        ["SCRIPT", "EXISTS", "x"],
    ],
)
def test_reads_are_no_effects(command: list[Any]) -> None:
    """Alone, and between others that read."""
    assert not KV.is_effect(asked(*command))
    assert not KV.is_effect(pipeline(["GET", "x"], command))


@pytest.mark.parametrize(
    "command",
    [
        ["SET", "a", "1", "GET"],
        ["EXPIRE", "a", "5"],
        ["GETDEL", "a"],
        ["GETEX", "a"],
        ["RPOP", "l"],
        ["BLPOP", "l", "0"],
        ["XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">"],
        ["EVAL", "return 1", "0"],
        ["EVALSHA", "0", "0"],
        ["FCALL", "f", "0"],
        ["PUBLISH", "c", "m"],
        ["CONFIG", "SET", "x", "y"],
        ["CONFIG"],
        ["SORT", "l", "STORE", "m"],
        ["GEORADIUS", "g", "1", "1", "1", "km", "STOREDIST", "d"],
        ["FLUSHDB"],
        ["NOBODY.KNOWS", "a"],
        [b"\xff"],
    ],
)
def test_all_else_is_an_effect(command: list[Any]) -> None:
    """What isn't known to read counts as writing, also in the middle of a pipeline."""
    assert KV.is_effect(asked(*command))
    assert KV.is_effect(pipeline(["MULTI"], ["GET", "x"], command, ["EXEC"]))


def test_messages_connections_and_new_entries_of_a_stream_are_used_up() -> None:
    """Any other read may get its last answer again."""
    once = [received("c"), CONNECT, asked("XREAD", "STREAMS", "s", "$")]

    assert [False] * 3 == [KV.may_repeat(request) for request in once]
    assert [False] * 3 == [KV.is_effect(request) for request in once]
    assert KV.may_repeat(asked("GET", "a"))
    assert KV.may_repeat(asked("XREAD", "STREAMS", "s", "0"))


def test_operation_holds_no_argument() -> None:
    """Names only, with a subcommand where there is one; of a pipeline those of all."""
    assert "SET" == KV.operation(asked("set", "a", "secret"))
    assert "CONFIG GET" == KV.operation(asked("CONFIG", "GET", "x"))
    assert "PIPELINE GET SET" == KV.operation(pipeline(["GET", "a"], ["SET", "b", "1"]))
    assert "READ ON GET" == KV.operation(asked("GET", "a", rest="reading on after reply 1"))
    assert ["RECEIVE", "CONNECT"] == [KV.operation(received("c")), KV.operation(CONNECT)]


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (asked("SET", "order:1", '{"total": 7}'), 'SET order:1 {"total": 7}'),
        (asked("SET", "a", b"\xff\x00"), "SET a <2 bytes>"),
        (asked("SET", "a", "two\nlines"), "SET a two lines"),
        (asked("GET", "a", rest="reading on after reply 1"), "GET a (reading on after reply 1)"),
        (pipeline(*[["SET", f"k{n}", "v"] for n in range(39)], ["GET", "b"]), "PIPELINE SET k0 … GET b (40 commands)"),
        (pipeline(["MULTI"], ["INCR", "a"], ["EXEC"]), "TRANSACTION INCR a (1 command)"),
        (received("news", "we*"), "RECEIVE news, we*"),
        (CONNECT, "CONNECT cache:6379/0"),
    ],
)
def test_text_is_one_line(request_: Any, text: str) -> None:
    """As reports show it."""
    assert text == KV.text(request_)


def test_long_text_is_cut() -> None:
    """At 200 characters."""
    assert 200 == len(KV.text(asked("RPUSH", "a", *["x" * 60] * 10)))
    assert 200 >= len(KV.text(asked("SET", "k" * 300, "v" * 300, rest="reading on after reply 1")))


@pytest.mark.parametrize(
    ("request_", "replies", "named"),
    [
        (asked("SET", "user:42:password", "p"), ["OK"], [("password", "p")]),
        (asked("SET", "reset_token:9f3c2e71aa", "t"), ["OK"], [("reset_token", "t")]),
        (asked("SET", "cart:7", '{"card": {"cvv": "123"}}'), ["OK"], [("card.cvv", "123")]),
        (asked("HSET", "u:1", "token", "t", "age", "4"), [2], [("token", "t"), ("age", "4")]),
        (asked("HGET", "u:1", "api_key"), ["k"], [("api_key", "k")]),
        (asked("HGETALL", "u:1"), [["pwd", "p", "age", "4"]], [("pwd", "p"), ("age", "4")]),
        (asked("HGETALL", "u:1"), [{"pwd": "p"}], [("pwd", "p")]),
        (asked("MGET", "a:secret", "b"), [["s", None]], [("secret", "s")]),
        (asked("LRANGE", "l", "0", "-1"), [['{"pin": "1"}', "x"]], [("pin", "1")]),
        (asked("XADD", "s", "*", "otp", "1"), ["1-1"], [("otp", "1")]),
        (asked("XRANGE", "s", "-", "+"), [[["1-1", ["otp", "1"]]]], [("otp", "1")]),
        (received("sms.otp"), [["message", "sms.otp", "123"]], [("otp", "123")]),
        (pipeline(["MULTI"], ["GET", "t:secret"], ["EXEC"]), ["OK", "QUEUED", ["s"]], [("secret", "s")]),
        (pipeline(["GET", "t:secret"], ["GET", "b"]), ["s", None], [("secret", "s")]),
    ],
)
def test_values_are_named_by_key_field_and_json_key(request_: Any, replies: Any, named: list[Any]) -> None:
    """By the last part of the key that isn't an id, for redaction."""
    found = list(KV.named_values(request_, {"replies": replies}))

    assert named == [pair for pair in found if pair in named]
