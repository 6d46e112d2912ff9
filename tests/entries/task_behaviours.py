"""What tasks, jobs and functions do, whoever calls them: bodies, and the exercises that a framework makes of them.

A body is a factory: it takes the Outside and gives a function of one amount. Holds no assertion about FluxRun.
"""

from __future__ import annotations

import inspect
import random
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from pytest_fluxrun.entries.function import capture
from pytest_fluxrun.testing.entry import Exercise
from tests.entries.web_behaviours import ask

Body = Callable[[Any], Callable[..., Any]]
LARGE = "x" * 200_000


def returns(_: Any) -> Callable[..., Any]:
    def task(amount: int) -> dict[str, int]:
        return {"total": amount * 2}

    return task


def raises(_: Any) -> Callable[..., Any]:
    def task(amount: int) -> None:
        raise ValueError(f"no {amount}")

    return task


def raises_with_cause(outside: Any) -> Callable[..., Any]:
    def task(amount: int) -> None:
        try:
            raise KeyError(ask("GET", f"{outside.url}/count").json()["n"])
        except KeyError as error:
            raise RuntimeError(f"no rate for {amount}") from error

    return task


def calls_out(outside: Any) -> Callable[..., Any]:
    def task(amount: int) -> list[int]:
        first = ask("POST", f"{outside.url}/count", json={"amount": amount}).json()["n"]
        return [first, ask("GET", f"{outside.url}/fail").status_code]

    return task


def calls_at_once(outside: Any) -> Callable[..., Any]:
    def task(amount: int) -> list[int]:
        with ThreadPoolExecutor(amount) as pool:
            answers = pool.map(lambda part: ask("GET", f"{outside.url}/count?part={part}"), range(amount))
            return sorted(answer.json()["n"] for answer in answers)

    return task


def outlived(outside: Any) -> Callable[..., Any]:
    def task(amount: int) -> int:
        answered, found = threading.Event(), []

        def linger() -> None:
            found.append(ask("GET", f"{outside.url}/count?of={amount}").json()["n"])
            answered.set()
            time.sleep(0.05)

        threading.Thread(target=linger).start()
        answered.wait()
        return found[0]

    return task


def nested(outside: Any) -> Callable[..., Any]:
    @capture("nested-inner")
    def inner(amount: int) -> int:
        return ask("GET", f"{outside.url}/count?of={amount}").json()["n"]

    def task(amount: int) -> list[int]:
        return [inner(amount), inner(amount + 1)]

    return task


def typed(_: Any) -> Callable[..., Any]:
    def task(amount: int, at: datetime, key: uuid.UUID) -> list[str]:
        return [str(amount), type(at).__name__, at.isoformat(), type(key).__name__, str(key)]

    return task


def large(_: Any) -> Callable[..., Any]:
    def task(amount: int, text: str) -> int:
        return len(text) + amount

    return task


def reads_clock(outside: Any) -> Callable[..., Any]:
    def task(amount: int) -> bool:
        begun, now = time.monotonic(), datetime.now(UTC)
        ask("POST", f"{outside.url}/count", json=[uuid.uuid4().hex, random.random(), now.isoformat(), amount])
        time.sleep(0.01)
        return time.monotonic() - begun >= 0.01

    return task


def nothing(outside: Any) -> Callable[..., Any]:
    def task(amount: int) -> None:
        ask("POST", f"{outside.url}/count", json=amount)

    return task


def exercises(
    make: Callable[[Any, Callable[..., Any]], Any],
    invoke: Callable[..., Any],
    *,
    typed_arguments: tuple[Any, ...] | None = (datetime(2026, 5, 4, tzinfo=UTC), uuid.UUID(int=7)),
    **own: Exercise,
) -> dict[str, Exercise]:
    """The exercises that every caller of functions passes, by their common names, and a framework's own.

    Args:
        make: takes the Outside and a function, gives the object to wrap.
        invoke: takes the wrapped object, the Outside and the arguments.
        typed_arguments: after the amount; None: the framework carries plain JSON only.
    """

    def exercise(body: Body, *more: Any, **fields: Any) -> Exercise:
        return Exercise(lambda outside: make(outside, body(outside)), _called_with(invoke, (3, *more)), **fields)

    cause = ("builtins:RuntimeError: no rate for 3", "builtins:KeyError: 1")
    found = {
        "returns": exercise(returns, calls=0),
        "raises": exercise(raises, error=("builtins:ValueError: no 3",), calls=0),
        "raises-with-cause": exercise(raises_with_cause, error=cause, calls=1),
        "calls-out": exercise(calls_out, calls=2),
        "concurrent-calls": exercise(calls_at_once, calls=3),
        "calls-after-return": exercise(outlived, calls=1),
        "nested": exercise(nested, calls=2),
        "large-argument": exercise(large, LARGE, calls=0),
        "clock-and-entropy": exercise(reads_clock, calls=1),
        "ignored-result": exercise(nothing, calls=1),
    }
    if typed_arguments is not None:
        found["typed-arguments"] = exercise(typed, *typed_arguments, calls=0)
    return found | {name.replace("_", "-"): exercise for name, exercise in own.items()}


def _called_with(invoke: Callable[..., Any], arguments: tuple[Any, ...]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(invoke):

        async def ainvoke(target: Any, outside: Any) -> Any:
            return await invoke(target, outside, arguments)

        return ainvoke
    return lambda target, outside: invoke(target, outside, arguments)
