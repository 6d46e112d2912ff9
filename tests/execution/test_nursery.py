"""Children that stay: each starts from the state of the fork, answers many requests, and fails by itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_fluxrun.execution.nursery import Child, Nursery

LONG_S = 20.0


def make_work() -> Callable[[dict[str, Any]], dict[str, Any]]:
    seen: list[str] = []

    def work(request: dict[str, Any]) -> dict[str, Any]:
        seen.append(request["do"])
        match request["do"]:
            case "raise":
                raise ValueError("as asked")
            case "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                raise SystemExit(3)
            case "hang":
                time.sleep(60)
        return {"seen": len(seen), "pid": os.getpid(), "body": "x" * request.get("size", 0)}

    return work


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery(make_work)
    yield made
    made.close()


@pytest.fixture
def child(nursery: Nursery) -> Iterator[Child]:
    made = nursery.child()
    yield made
    made.close()


def ask(child: Child, do: str, deadline_s: float = LONG_S, **request: Any) -> dict[str, Any]:
    return child.ask({"do": do, **request}, deadline_s=deadline_s)


def test_a_child_keeps_its_state_and_shares_none(nursery: Nursery, child: Child) -> None:
    """The second request meets what the first left; another child starts anew, in another process."""
    other = nursery.child()
    answers = [ask(child, "count"), ask(child, "count"), ask(other, "count")]
    other.close()

    assert [1, 2, 1] == [answer["seen"] for answer in answers]
    assert answers[0]["pid"] == answers[1]["pid"] != answers[2]["pid"] != os.getpid()


def test_large_documents_cross(child: Child) -> None:
    """Runs are megabytes."""
    assert 3_000_000 == len(ask(child, "count", size=3_000_000, padding="y" * 3_000_000)["body"])


@pytest.mark.parametrize(("do", "said"), [("raise", "ValueError: as asked"), ("exit", "SystemExit: 3")])
def test_what_the_work_raises_is_an_answer_and_the_child_goes_on(child: Child, do: str, said: str) -> None:
    """Also an exit."""
    assert {"error": said} == ask(child, do)
    assert 2 == ask(child, "count")["seen"]


def test_a_crash_is_an_error_of_that_child_alone(nursery: Nursery, child: Child) -> None:
    """It answers so from then on; the nursery bears others."""
    assert "died" in ask(child, "crash")["error"] or "reset" in ask(child, "count")["error"]
    assert "error" in ask(child, "count")
    other = nursery.child()
    assert 1 == ask(other, "count")["seen"]
    other.close()


def test_what_hangs_is_ended_at_its_deadline(child: Child) -> None:
    """By the child itself, long before its parent would give up."""
    began = time.monotonic()
    assert "no answer" in ask(child, "hang", deadline_s=0.2)["error"]
    assert time.monotonic() - began < 3


def test_a_closed_nursery_takes_its_children_along(nursery: Nursery, child: Child) -> None:
    """Asking one is an error, and so is a child asked for later."""
    assert 1 == ask(child, "count")["seen"]
    nursery.close()
    assert "error" in ask(child, "count")
    assert "error" in ask(nursery.child(), "count")
