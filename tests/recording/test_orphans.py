"""Calls that reach no run are made as ever, counted, and named without a value."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_fluxrun import context
from pytest_fluxrun.boundaries.host import host
from pytest_fluxrun.boundaries.sqlite3 import boundary as sqlite3_boundary
from pytest_fluxrun.context import APART, entered
from pytest_fluxrun.recording.orphans import Orphans
from pytest_fluxrun.recording.recorder import Recorder
from tests.boundaries.sessions import seams


class Repository:
    """What the app wraps."""

    def find(self, name: str) -> str:
        return f"found {name}"

    async def load(self, name: str) -> str:
        await asyncio.sleep(0)
        return f"loaded {name}"

    def fail(self) -> None:
        raise KeyError("as live")


@pytest.fixture
def orphans() -> Iterator[Orphans]:
    """Sees every call that no run sees."""
    noted = Orphans()
    context.set_outside(noted)
    yield noted
    context.set_outside(None)


def recorder(orphans: Orphans, **given: Any) -> Recorder:
    return Recorder("job", "function", lambda *_: None, orphans=orphans, **given)


def shapes(orphans: Orphans) -> dict[str, int]:
    return {f"{orphan.boundary} {orphan.call}": orphan.count for orphan in orphans.noted()}


def test_call_outside_of_every_run_is_named_with_its_thread_and_place(orphans: Orphans):
    """And answered by the live object."""
    repository, found = host("repository", Repository()), []

    thread = threading.Thread(target=lambda: found.append(repository.find("a secret")), name="scheduler-12")
    thread.start()
    thread.join()

    (orphan,) = orphans.noted()
    assert ["found a secret"] == found
    assert ("host:repository", "repository.find", "scheduler-N") == (orphan.boundary, orphan.call, orphan.thread)
    assert "tests/recording/test_orphans.py" == orphan.place.partition(":")[0]
    assert ("no-run", 1) == (orphan.why, orphan.count)
    assert "secret" not in repr(orphan)


def test_awaited_calls_and_errors_are_counted_too(orphans: Orphans):
    """Once each."""
    repository = host("repository", Repository())

    assert "loaded it" == asyncio.run(repository.load("it"))
    with pytest.raises(KeyError, match="as live"):
        repository.fail()

    assert {"host:repository repository.load": 1, "host:repository repository.fail": 1} == shapes(orphans)


def test_statements_are_named_without_their_literals(orphans: Orphans):
    """Their results are as ever."""
    with seams(sqlite3_boundary, sqlite3):
        connection = sqlite3.connect(":memory:")
        rows = connection.execute("SELECT 'a secret', 4711, ?", ("bound",)).fetchall()
        connection.close()

    assert [("a secret", 4711, "bound")] == rows
    assert {"sqlite3 CONNECT": 1, "sqlite3 SELECT ?, ?, ?": 1} == shapes(orphans)


def test_calls_beneath_an_orphan_are_part_of_it(orphans: Orphans):
    """The outermost boundary is named, as in a run."""
    inner = host("inner", Repository())

    class Outer:
        def find(self) -> str:
            return inner.find("x")

    host("outer", Outer()).find()

    assert {"host:outer outer.find": 1} == shapes(orphans)


def test_call_of_a_run_that_is_over_is_named_so(orphans: Orphans):
    """And one of start-up."""
    repository = host("repository", Repository())
    for session in (recorder(orphans), recorder(orphans, preamble=True)):
        with entered(session.lane):
            repository.find("kept")
            session.close()
            repository.find("late")
            asyncio.run(repository.load("late"))
        assert 2 == session.late

    whys = sorted((orphan.why, orphan.call, orphan.count) for orphan in orphans.noted())
    assert [
        ("run-over", "repository.find", 1),
        ("run-over", "repository.load", 1),
        ("start-up-over", "repository.find", 1),
        ("start-up-over", "repository.load", 1),
    ] == whys


def test_calls_of_a_run_are_no_orphans(orphans: Orphans):
    """Nor are those that are apart on purpose: telemetry, FluxRun's own."""
    repository, session = host("repository", Repository()), recorder(orphans)
    with entered(session.lane):
        repository.find("kept")
    with entered(APART):
        assert "found apart" == repository.find("apart")

    assert () == orphans.noted()
    assert 1 == len(session.crossings)


def test_names_are_bounded_and_all_calls_counted(orphans: Orphans):
    """What is beyond the bound is told as one."""
    for number in range(150):
        host(f"name-{number}", Repository()).find("x")

    noted = orphans.noted()
    assert 101 == len(noted)
    assert 150 == orphans.total == sum(orphan.count for orphan in noted)
    assert ("", 50) == (noted[0].boundary, noted[0].count)


def test_what_was_told_is_forgotten(orphans: Orphans):
    """What came meanwhile is told next; the total stays."""
    repository = host("repository", Repository())
    repository.find("x")
    told = orphans.noted()
    repository.find("x")
    orphans.forget(told)

    assert 1 == sum(orphan.count for orphan in orphans.noted())
    assert 2 == orphans.total


def test_object_that_can_not_be_named_disturbs_nobody(orphans: Orphans):
    """Its call is made and counted."""

    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError("no name")

        def __deepcopy__(self, memo: Any) -> Any:
            raise RuntimeError("no copy")

    class Taker:
        def take(self, odd: Odd) -> str:
            return type(odd).__name__

    assert "Odd" == host("taker", Taker()).take(Odd())
    assert 1 == orphans.total
