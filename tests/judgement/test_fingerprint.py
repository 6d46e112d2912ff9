"""Which runs are of one issue: what the fingerprint holds, and what it leaves out."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest

from pytest_fluxrun.entry import dump_raised
from pytest_fluxrun.judgement.fingerprint import fingerprint
from pytest_fluxrun.run import Interaction, Recording, Run
from pytest_fluxrun.values import dump_error, encode

FRAMES = ["shop.orders:place_order", "shop.coupons:redeem"]


def failed(error: BaseException, frames: list[str] | None = FRAMES, **given: Any) -> Run:
    """A request's run that raised."""
    dumped = dump_error(error)
    if frames is not None:
        dumped = {**dumped, "frames": frames}
    return ended({"response": None, "error": dumped, "disconnected": False}, **given)


def ended(outcome: Any, *, path: str = "/orders/17", entry: str = "shop", calls: tuple[Interaction, ...] = ()) -> Run:
    """A request's run with that outcome."""
    scope = {"method": "POST", "path": path, "headers": []}
    recording = Recording(0, 0, 0, 10, interactions=calls)
    return Run("0" * 26, "shop", entry, "asgi", encode({"scope": scope, "events": []}), outcome, recording)


def answered(status: int, **given: Any) -> Run:
    """A request's run with that status."""
    response = {"status": status, "headers": [], "body": "", "complete": True}
    return ended({"response": response, "error": None, "disconnected": False}, **given)


def http(url: str, status: int) -> Interaction:
    """A call that was answered so."""
    request = {"method": "POST", "url": url, "headers": [], "body": "", "streamed": False}
    return Interaction("httpx", "http", 1, 0, 0, 5, encode(request), answer=encode({"status": status}))


def sql(statement: str, error: BaseException) -> Interaction:
    """A statement that failed."""
    request = {"database": "shop", "sql": statement, "binds": None, "many": False}
    return Interaction("psycopg", "sql", 1, 0, 0, 5, encode(request), error=dump_error(error), failed=True)


def chained(cause: BaseException) -> BaseException:
    """An error raised from another."""
    error = RuntimeError("no")
    error.__cause__ = cause
    return error


SAME = {
    "messages": (failed(ValueError("order 17")), failed(ValueError("order 18"))),
    "entry and path, where frames tell": (failed(ValueError()), failed(ValueError(), path="/x", entry="other")),
    "recursion": (failed(ValueError(), ["a:f", "a:f", "a:g"]), failed(ValueError(), ["a:f", "a:g"])),
    "ids in a path": (answered(500, path="/orders/17"), answered(500, path=f"/orders/{uuid.UUID(int=7**40)}")),
    "ids in a failing call": (
        failed(ValueError(), calls=(http("https://pay.example/charges/ch_0f8fad5bd9cb469f", 503),)),
        failed(ValueError(), calls=(http("https://pay.example/charges/ch_1f8fad5bd9cb469e?x=1", 502),)),
    ),
    "literals and lists in a failing statement": (
        failed(ValueError(), calls=(sql("SELECT a FROM t WHERE b = 'x' AND c IN (1, 2)", KeyError()),)),
        failed(ValueError(), calls=(sql("SELECT a FROM t WHERE b = 'y' AND c IN (1, 2, 3)", KeyError()),)),
    ),
    "calls that went well": (failed(ValueError()), failed(ValueError(), calls=(http("https://pay.example/", 200),))),
}  # fmt: skip
OTHER = {
    "type": (failed(ValueError()), failed(KeyError())),
    "cause": (failed(chained(ValueError())), failed(chained(KeyError()))),
    "members of a group": (
        failed(ExceptionGroup("g", [ValueError()])), failed(ExceptionGroup("g", [ValueError(), KeyError()])),
    ),
    "frames": (failed(ValueError()), failed(ValueError(), [*FRAMES, "shop.coupons:_find"])),
    "entry, where no frames tell": (failed(ValueError(), None), failed(ValueError(), None, entry="other")),
    "failing call": (failed(ValueError()), failed(ValueError(), calls=(http("https://pay.example/", 503),))),
    "target": (
        failed(ValueError(), calls=(http("https://pay.example/", 503),)),
        failed(ValueError(), calls=(http("https://mail.example/", 503),)),
    ),
    "status": (answered(500), answered(502)),
    "path": (answered(500), answered(500, path="/refunds")),
}  # fmt: skip


def told(run: Run, **given: str) -> str:
    """The id of a run that failed."""
    found = fingerprint(run, **given)
    assert found is not None
    return found.id


@pytest.mark.parametrize("name", SAME)
def test_it_leaves_out_what_differs_from_run_to_run(name: str) -> None:
    one, other = SAME[name]
    assert told(one) == told(other)


@pytest.mark.parametrize("name", OTHER)
def test_it_holds_what_tells_failures_apart(name: str) -> None:
    one, other = OTHER[name]
    assert told(one) != told(other)


def test_a_route_wins_over_a_path() -> None:
    """As the index has it."""
    one, other = answered(500, path="/mugs"), answered(500, path="/teas")
    assert told(one, route="POST /{what}") == told(other, route="POST /{what}") != told(one)


def test_its_text_says_what_and_where() -> None:
    """On one line, whatever the message holds."""
    found = [
        fingerprint(failed(ValueError("a\nb"))),
        fingerprint(answered(503, calls=(http("https://a.example/", 500),))),
    ]
    assert ["ValueError in shop.coupons:redeem: a b", "503 after httpx POST https://a.example/"] == [
        one.text for one in found if one
    ]


def test_a_run_that_went_well_has_none() -> None:
    """4xx belongs to these: a client's mistake is answered, not met."""
    assert [None, None] == [fingerprint(answered(200)), fingerprint(answered(404))]


def test_a_client_that_left_is_a_failure_of_its_own() -> None:
    """Whatever the answer was."""
    run = replace(answered(200), outcome={"response": None, "error": None, "disconnected": True})
    found = fingerprint(run)
    assert found is not None
    assert "the client left" == found.text


def fail() -> None:
    """The innermost frame of this file."""
    raise ValueError


def test_frames_are_names_of_the_apps_own_functions() -> None:
    """No line, no value, none of a library's; of a group those of its first member too."""

    def by_a_library() -> None:
        __import__("functools").reduce(lambda *_: fail(), [1, 2])

    try:
        by_a_library()
    except ValueError as error:
        frames = dump_raised(error)["frames"]
        group = dump_raised(ExceptionGroup("g", [error]))["frames"]

    name = "test_frames_are_names_of_the_apps_own_functions"
    expected = [name, f"{name}.<locals>.by_a_library", f"{name}.<locals>.by_a_library.<locals>.<lambda>", "fail"]
    assert [f"{__name__}:{one}" for one in expected] == frames == group
