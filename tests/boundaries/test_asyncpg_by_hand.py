"""asyncpg's answers that no recording holds: some columns of another one, a guard's words, calls made anew."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries.asyncpg import boundary
from pytest_fluxrun.errors import GuardError, SettingsError
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer, Recorded, through_json
from pytest_fluxrun.values import decode, encode

pytestmark = pytest.mark.service
GONE = "postgresql://postgres@127.0.0.1:1/test"
SELECT = "SELECT id, price, name, at FROM goods WHERE id >= $1 ORDER BY id"


@pytest.fixture
def dsn(postgres_port: int) -> Iterator[str]:
    """A database with a table of its own in front, and the seams in place."""
    dsn = f"postgresql://postgres@127.0.0.1:{postgres_port}/test"
    schema = f"by_hand_{uuid.uuid4().hex[:12]}"
    goods = f"{schema}.goods"

    async def execute(*statements: str) -> None:
        connection = await asyncpg.connect(dsn)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    asyncio.run(
        execute(
            f"CREATE SCHEMA {schema}",
            f"CREATE TABLE {goods} (id int PRIMARY KEY, price numeric, name text, at timestamptz)",
            f"INSERT INTO {goods} VALUES (1, 1.50, 'a', '2026-05-04 12:00+00'), (2, 3, NULL, NULL)",
        )
    )
    others = patching.installed_patches()
    patching.restore_all()
    patching.install(boundary.patches(asyncpg))
    yield f"{dsn}?search_path={schema}"
    patching.restore_all()
    patching.install(others)
    asyncio.run(execute(f"DROP SCHEMA {schema} CASCADE"))


def recorded(dsn: str, sql: str, *binds: Any) -> list[Recorded]:
    """What a fetch leaves in a run."""
    recorder = MemoryRecorder()
    with recorder.open():
        asyncio.run(fetch(dsn, sql, *binds))
    return recorder.finish()


async def fetch(dsn: str, sql: str, *binds: Any) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [dict(row) for row in await connection.fetch(sql, *binds)]
    finally:
        await connection.close()


def request(sql: str, *binds: Any, **more: Any) -> dict[str, Any]:
    """As the boundary makes it."""
    asked = {"database": "test", "sql": sql, "binds": list(binds) or None, "many": False, "driver": "asyncpg"}
    return {**asked, "dialect": "postgres", **more}


def replayed(answers: dict[Any, Any], call: Callable[[str], Coroutine[Any, Any, Any]]) -> Any:
    """What a call gives where only these answers are there, and no server.

    Args:
        answers: (sql, binds, prepares) → stored answer.
    """
    interactions = [
        Recorded(
            "asyncpg", "sql", encode(request(sql, *binds, **({"prepare": True} if prepares else {}))), answer, False
        )
        for (sql, binds, prepares), answer in answers.items()
    ]
    patching.install(boundary.replay_patches(asyncpg))
    replayer = MemoryReplayer(interactions)
    with replayer.open():
        try:
            return asyncio.run(call(GONE))
        finally:
            assert replayer.unrecorded is None, str(replayer.unrecorded)


def test_statement_that_no_run_has_used_is_prepared_and_asked_elsewhere(dsn: str):
    """Two reads of a development environment, and it runs with no server, with its own types."""
    environment = {"postgres": dsn}
    expected = asyncio.run(fetch(dsn, SELECT, 1))

    answers = {
        (SELECT, (), True): through_json(boundary.ask(request(SELECT, prepare=True), environment)),
        (SELECT, (1,), False): through_json(boundary.ask(request(SELECT, 1), environment)),
    }

    assert expected == replayed(answers, lambda gone: fetch(gone, SELECT, 1))
    assert [Decimal("1.50"), Decimal(3)] == [row["price"] for row in expected]


def test_writing_statement_is_prepared_and_answered_in_words(dsn: str):
    """Its preparation changes nothing; its answer is the guard's."""
    sql = "INSERT INTO goods (id, name, at) VALUES ($1, $2, $3) RETURNING id, at, name"
    words = {"rows": [{"name": "x", "id": 7, "at": datetime(2000, 1, 2, tzinfo=UTC)}]}
    binds = (7, "x", datetime(2000, 1, 2, tzinfo=UTC))
    answers = {
        (sql, (), True): boundary.ask(request(sql, prepare=True), {"postgres": dsn}),
        (sql, binds, False): through_json(boundary.answer(request(sql, *binds), words)),
    }

    assert [{"id": 7, "at": binds[2], "name": "x"}] == replayed(answers, lambda gone: fetch(gone, sql, *binds))
    assert 2 == len(asyncio.run(fetch(dsn, "SELECT id FROM goods")))


@pytest.mark.parametrize(
    ("column", "word", "expected"),
    [
        ("1::int8", 5, 5),
        ("1.5::float8", 2.5, 2.5),
        ("true", False, False),
        ("gen_random_uuid()", "00000000-0000-0000-0000-000000000007", uuid.UUID(int=7)),
        ("current_date", date(2026, 5, 4), date(2026, 5, 4)),
        ("localtimestamp", datetime(2026, 5, 4, 1), datetime(2026, 5, 4, 1)),
        ("'{}'::jsonb", '{"a": 1}', '{"a": 1}'),
    ],
)
def test_words_are_given_back_as_the_columns_type(dsn: str, column: str, word: Any, expected: Any):
    """Numbers, ids, times, JSON."""
    sql = f"SELECT {column} AS it"
    answers = {
        (sql, (), True): boundary.ask(request(sql, prepare=True), {"postgres": dsn}),
        (sql, (), False): boundary.answer(request(sql), {"rows": [{"it": word}]}),
    }
    assert [{"it": expected}] == replayed(answers, lambda gone: fetch(gone, sql))


@pytest.mark.parametrize("words", [{"rows": [{"other": 1}]}, {"rows": [{"it": "text"}]}])
def test_words_that_do_not_fit_the_statement_are_refused(dsn: str, words: Any):
    """Other columns, or a value that isn't of the type."""
    sql = "SELECT 1 AS it"
    answers = {
        (sql, (), True): boundary.ask(request(sql, prepare=True), {"postgres": dsn}),
        (sql, (), False): boundary.answer(request(sql), words),
    }
    with pytest.raises(GuardError, match="the guard's"):
        replayed(answers, lambda gone: fetch(gone, sql))


def test_preparation_is_nothing_that_a_guard_can_say():
    """It names what can."""
    with pytest.raises(GuardError, match="--live NAME"):
        boundary.answer(request("SELECT 1", prepare=True), {})


def test_some_columns_of_an_answer_are_an_answer(dsn: str):
    """Reordered and renamed, with their types."""
    narrow = "SELECT at, price AS cost FROM goods WHERE id >= $1 ORDER BY id"
    (whole,) = (one for one in recorded(dsn, SELECT, 1) if decode(one.request)["sql"] == SELECT)
    answers = {
        (narrow, (), True): boundary.ask(request(narrow, prepare=True), {"postgres": dsn}),
        (narrow, (1,), False): boundary.project(whole.answer, ((3, None), (1, "cost"))),
    }
    expected = asyncio.run(fetch(dsn, narrow, 1))
    assert expected == replayed(answers, lambda gone: fetch(gone, narrow, 1))
    assert boundary.project(whole.answer, ((4, None),)) is None


def test_environment_refuses_to_write_and_must_be_named(dsn: str):
    """A read-only transaction; by the database's name."""
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        boundary.ask(request("INSERT INTO goods VALUES (9)"), {"postgres": dsn})
    with pytest.raises(SettingsError, match="doesn't say where to ask postgres for 'test'"):
        boundary.ask(request("SELECT 1"), {"postgres": {"other": dsn}})
