"""Clock, entropy, sleeps, environment and logging keep the ambient contract; fluxrun.host keeps that of boundaries."""

from __future__ import annotations

import datetime as dt
import logging
import os
import random
import secrets
import time
import uuid
from importlib import import_module
from typing import Any, ClassVar

import pytest

from pytest_fluxrun import ambient
from pytest_fluxrun.boundaries import clock, entropy, host, sleep
from pytest_fluxrun.testing.ambient import AmbientContract
from pytest_fluxrun.testing.boundary import BoundaryContract

ENVIRONMENT = import_module("pytest_fluxrun.boundaries.environment").boundary
LOGGING = import_module("pytest_fluxrun.boundaries.logging").boundary
NEEDS_EXTENSION = pytest.mark.skipif(
    not ambient.is_native(), reason="datetime.now is interposed by the C extension only"
)


class TestClock(AmbientContract):
    """The wall clock and the steady ones."""

    seams = (clock.boundary,)
    exercises: ClassVar = {
        "time": lambda: time.time(),
        "time_ns": lambda: time.time_ns(),
        "monotonic": lambda: time.monotonic_ns(),
        "perf_counter": lambda: time.perf_counter(),
        "several": lambda: [time.time_ns() for _ in range(20)],
        "in between": lambda: (time.time_ns(), sum(range(1000)), time.perf_counter_ns(), time.time()),
    }


@NEEDS_EXTENSION
class TestDatetime(AmbientContract):
    """What reads the clock inside C."""

    seams = (clock.boundary,)
    exercises: ClassVar = {
        "now": lambda: dt.datetime.now(),
        "now in a zone": lambda: dt.datetime.now(dt.UTC),
    }


class TestEntropy(AmbientContract):
    """Randomness in all its forms."""

    seams = (entropy.boundary,)
    exercises: ClassVar = {
        "urandom": lambda: os.urandom(16),
        "random": lambda: random.random(),
        "getrandbits": lambda: random.getrandbits(200),
        "shuffle": lambda: random.sample(range(100), 20),
        "uuid4": lambda: uuid.uuid4(),
        "token": lambda: secrets.token_urlsafe(),
        "own generator": lambda: random.Random().random(),
        "seeded generator": lambda: random.Random(7).random(),
    }
    constant = frozenset({"seeded generator"})


class TestSleep(AmbientContract):
    """A sleep of the app, measured by the app."""

    seams = (clock.boundary, sleep.boundary)
    exercises: ClassVar = {"slept": lambda: (time.sleep(0.002), time.perf_counter_ns())}


class TestEnvironment(AmbientContract):
    """Variables that are set anew each time they are read live."""

    seams = (ENVIRONMENT,)
    exercises: ClassVar = {
        "read": lambda: os.environ["FX_CONTRACT"],
        "get": lambda: (os.environ.get("FX_CONTRACT"), os.environ.get("FX_ABSENT", "none")),
        "getenv": lambda: os.getenv("FX_CONTRACT"),
        "absent": lambda: "FX_ABSENT" in os.environ,
    }
    constant = frozenset({"absent"})

    @pytest.fixture(autouse=True)
    def _changing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A variable whose live value is another after each recording."""
        monkeypatch.setenv("FX_CONTRACT", "0")

    def record(self, exercise: str) -> Any:
        """Record, then change the variable."""
        recorded = super().record(exercise)
        os.environ["FX_CONTRACT"] = f"{os.environ['FX_CONTRACT']}0"
        return recorded


def _log(text: str) -> None:
    logging.getLogger("contract").warning("%s", text)


class TestLogging(AmbientContract):
    """Records are kept in order and change nothing."""

    seams = (LOGGING,)
    exercises: ClassVar = {"one": lambda: _log("one"), "two": lambda: (_log("one"), _log("two"))}
    constant = frozenset({"one", "two"})


class Ledger:
    """An object of the app with state outside of it."""

    def __init__(self) -> None:
        self.reached = 0
        self.rows: list[int] = []

    def add(self, amount: int) -> int:
        """Append a row."""
        self.reached += 1
        if amount < 0:
            raise ValueError(amount)
        self.rows.append(amount)
        return len(self.rows)

    def list_rows(self) -> list[int]:
        """The rows, as the list that the ledger goes on using."""
        self.reached += 1
        return self.rows

    async def find_sum(self) -> int:
        """The sum of the rows."""
        self.reached += 1
        return sum(self.rows)


LEDGER = Ledger()
PROXY: Any = host.host("contract", LEDGER)


class LedgerOutside:
    """The ledger as the outside: taken away, it fails each call."""

    def calls(self) -> int:
        """Live calls so far."""
        return LEDGER.reached

    def reset(self) -> None:
        """An empty ledger."""
        LEDGER.rows = []

    def take_away(self) -> None:
        """Nothing is listed any more."""
        del LEDGER.rows


def _pop(_: Any) -> Any:
    PROXY.add(1)
    rows = PROXY.list_rows()
    return rows.pop(), PROXY.list_rows()


async def _sum(_: Any) -> int:
    PROXY.add(2)
    PROXY.add(3)
    return await PROXY.find_sum()


class TestHost(BoundaryContract):
    """fluxrun.host, sync and async, with answers that the app changes."""

    boundary = PROXY._self_boundary
    exercises: ClassVar = {
        "add": lambda _: [PROXY.add(1), PROXY.add(2)],
        "list": lambda _: (PROXY.add(5), PROXY.list_rows()),
        "error": lambda _: PROXY.add(-1),
        "sum": _sum,
    }

    @pytest.fixture
    def outside(self) -> LedgerOutside:
        """A fresh ledger."""
        outside = LedgerOutside()
        outside.reset()
        return outside
