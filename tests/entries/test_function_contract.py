"""Decorated functions, sync and async, pass the entry contract."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import httpx

from pytest_fluxrun.entries.function import entry
from pytest_fluxrun.testing.entry import EntryContract, Exercise
from tests.entries.web_behaviours import aask, ask


def sync_function(outside: Any) -> Any:
    def quote(amount: int) -> dict[str, Any]:
        assert uuid.uuid4().version == 4
        return {"n": ask("POST", f"{outside.url}/count", json={"amount": amount}).json()["n"]}

    return quote


def async_function(outside: Any) -> Any:
    async def quote(amount: int) -> list[int]:
        answers = await asyncio.gather(*(aask("GET", f"{outside.url}/count?part={part}") for part in range(amount)))
        return sorted(answer.json()["n"] for answer in answers)

    return quote


def pooled(outside: Any) -> Any:
    def quote(amount: int) -> list[int]:
        with ThreadPoolExecutor(amount) as pool:
            answers = pool.map(lambda part: ask("GET", f"{outside.url}/count?part={part}"), range(amount))
            return sorted(answer.json()["n"] for answer in answers)

    return quote


def failing(outside: Any) -> Any:
    def quote(amount: int) -> int:
        ask("GET", f"{outside.url}/count")
        raise RuntimeError(f"no rate for {amount}") from KeyError("EUR")

    return quote


def timed_out(outside: Any) -> Any:
    async def quote(amount: int) -> int:
        try:
            async with asyncio.timeout(0.1):
                return (await aask("GET", f"{outside.url}/slow", timeout=5)).status_code
        except TimeoutError:
            raise TimeoutError(f"{amount} took too long") from None

    return quote


def refused(outside: Any) -> Any:
    def quote(amount: int) -> str:
        try:
            ask("GET", "http://127.0.0.1:1/")
        except httpx.ConnectError as error:
            return f"{amount}: {type(error).__name__}"
        return ""

    return quote


def call(function: Any, _: Any) -> Any:
    return function(3)


async def acall(function: Any, _: Any) -> Any:
    return await function(3)


class TestFunction(EntryContract):
    entry = entry
    subject = "functions (`@fluxrun.capture`)"
    library = "pytest-fluxrun"
    recognised = False
    exercises: ClassVar[Mapping[str, Exercise]] = {
        "call": Exercise(sync_function, call, calls=1),
        "async-call": Exercise(async_function, acall, calls=3),
        "concurrent": Exercise(pooled, call, calls=3),
        "raised-error": Exercise(
            failing, call, error=("builtins:RuntimeError: no rate for 3", "builtins:KeyError: 'EUR'"), calls=1
        ),
        "time-out": Exercise(
            timed_out, acall, error=("builtins:TimeoutError: 3 took too long",), ending={"timed_out": True}, calls=1
        ),
        "refused-connection": Exercise(refused, call, calls=1),
    }
