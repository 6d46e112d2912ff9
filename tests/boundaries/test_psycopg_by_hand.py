"""psycopg's answers that no recording holds: some columns of another one, a guard's words, a read made anew."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries.psycopg import boundary
from pytest_fluxrun.errors import GuardError, SettingsError
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer, Recorded
from pytest_fluxrun.values import decode

pytestmark = pytest.mark.service
GONE = "postgresql://postgres@127.0.0.1:1/test"


@pytest.fixture
def dsn(postgres_port: int) -> Iterator[str]:
    """A database with a table of its own in front, and the seams in place."""
    dsn = f"postgresql://postgres@127.0.0.1:{postgres_port}/test"
    schema = f"by_hand_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(
            f"CREATE TABLE {schema}.goods (id int PRIMARY KEY, price numeric, name text, at timestamptz)"
        )
        connection.execute(
            f"INSERT INTO {schema}.goods VALUES (1, 1.50, 'a%', '2026-05-04 12:00+00'), (2, 3, NULL, NULL)"
        )
    others = patching.installed_patches()
    patching.restore_all()
    patching.install(boundary.patches(psycopg))
    yield f"{dsn}?options=-csearch_path%3D{schema}"
    patching.restore_all()
    patching.install(others)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


def select(dsn: str, columns: str, cursor: Any = psycopg.Cursor) -> list[dict[str, Any]]:
    """Rows of the table as dicts."""
    with psycopg.connect(dsn, row_factory=dict_row, cursor_factory=cursor) as connection:
        return connection.execute(f"SELECT {columns} FROM goods WHERE id >= %s ORDER BY id", (1,)).fetchall()


def recorded(dsn: str, columns: str, **options: Any) -> list[Recorded]:
    """What a SELECT of these columns leaves in a run."""
    recorder = MemoryRecorder()
    with recorder.open():
        select(dsn, columns, **options)
    return recorder.finish()


def replayed(interactions: list[Recorded], columns: str, answer: Any) -> list[dict[str, Any]]:
    """The rows where the SELECT of these columns has that answer, with no server."""
    sql = f"SELECT {columns} FROM goods WHERE id >= $1 ORDER BY id"
    as_asked = [
        replace(one, answer=answer, request={**one.request, "sql": sql}) if "SELECT" in str(one.request) else one
        for one in interactions
    ]
    replayer = MemoryReplayer(as_asked)
    patching.install(boundary.replay_patches(psycopg))
    with replayer.open():
        return select(GONE, columns)


def the_select(interactions: list[Recorded]) -> Recorded:
    """The one that matters."""
    (one,) = (one for one in interactions if "SELECT" in decode(one.request)["sql"])
    return one


def test_some_columns_of_an_answer_are_rows_of_the_same_types(dsn: str):
    """In another order, and by another name."""
    interactions = recorded(dsn, "id, price, name, at")

    answer = boundary.project(the_select(interactions).answer, ((3, None), (1, "cost")))

    expected = [{"at": datetime(2026, 5, 4, 12, tzinfo=UTC), "cost": Decimal("1.50")}, {"at": None, "cost": Decimal(3)}]
    assert expected == replayed(interactions, "at, price AS cost", answer)


@pytest.mark.parametrize("picks", [((4, None),), (("weight", None),)])
def test_column_that_is_not_there_makes_no_answer(dsn: str, picks: Any):
    """By number or by name."""
    assert boundary.project(the_select(recorded(dsn, "id, price")).answer, picks) is None


@pytest.mark.parametrize("cursor", [psycopg.Cursor, psycopg.ClientCursor])
def test_read_made_anew_gives_what_the_statement_gives(dsn: str, cursor: Any):
    """Binds go as binds, whichever cursor the app has."""
    request = decode(the_select(recorded(dsn, "id, 'x%%' AS percent", cursor=cursor)).request)

    answer = boundary.ask(request, {"postgres": {"test": dsn}})

    assert [["1", "x%"], ["2", "x%"]] == decode(answer["rows"])
    assert ["id", "percent"] == answer["columns"]


def test_read_made_anew_cannot_write(dsn: str):
    """A function that writes is refused by the server, and the table is as it was."""
    request = {
        "database": "test",
        "binds": None,
        "many": False,
        "sql": "WITH new AS (INSERT INTO goods VALUES (3) RETURNING id) SELECT id FROM new",
    }
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        boundary.ask(request, {"postgres": dsn})
    assert [1, 2] == [row["id"] for row in select(dsn, "id")]


def test_environment_without_the_database_is_an_error_that_says_what_to_add():
    """By the name that the run uses."""
    with pytest.raises(SettingsError, match="doesn't say where to ask postgres for 'test'"):
        boundary.ask({"database": "test", "sql": "SELECT 1", "binds": None, "many": False}, {"postgres": {"other": ""}})


def test_words_of_a_guard_are_rows_with_types_of_their_own(dsn: str):
    """Integers, texts, times, booleans, nulls; and a count where there are no rows."""
    interactions = recorded(dsn, "id")
    rows = [{"id": 7, "name": "x", "at": datetime(2000, 1, 1, tzinfo=UTC), "good": True, "none": None}]

    answer = boundary.answer({"sql": "SELECT", "many": False}, {"rows": rows})

    assert rows == replayed(interactions, "anything", answer)
    typed = {"rows": [{"at": "1.5"}, {}], "types": {"at": "numeric", "n": "uuid"}}
    assert [{"at": Decimal("1.5"), "n": None}, {"at": None, "n": None}] == replayed(
        interactions, "anything", boundary.answer({"sql": "SELECT", "many": False}, typed)
    )
    returning = {"sql": "INSERT INTO goods VALUES (1) RETURNING id, name", "many": False}
    assert ["id", "name"] == boundary.answer(returning, {"rows": [{"name": "x", "id": 1}]})["columns"]
    counted = boundary.answer({"sql": "UPDATE goods SET id = 1", "many": False}, {"count": 3})
    assert ("UPDATE 3", 3, None) == (counted["command"], counted["count"], counted["columns"])


@pytest.mark.parametrize("reply", [{"rows": [[1]]}, {"lines": []}, {"rows": [{"a": 1}, {"b": 1}]}, {"count": "1"}])
def test_words_that_are_no_answer_are_refused(reply: dict[str, Any]):
    """Each says what it may be."""
    with pytest.raises(
        GuardError, match="`rows`, a list of tables with the same columns, `count`, a number, and `types`"
    ):
        boundary.answer({"sql": "SELECT", "many": False}, reply)


def test_made_up_answer_has_an_id_where_the_statement_returns_one():
    """And none where a column could hold anything, such as a number that is bound as a text."""
    insert = {
        "sql": "INSERT INTO goods (name) VALUES ($1) RETURNING goods.id",
        "binds": ["x"],
        "many": False,
        "dialect": "postgres",
    }
    assert {"count": 1, "rows": [{"id": 1_000_000_002}]} == boundary.sketch(insert, 2)
    assert boundary.sketch({**insert, "sql": f"{insert['sql']}, goods.price"}, 2) is None
    assert boundary.sketch({**insert, "sql": f"{insert['sql']}, goods.name"}, 2) is None
    assert {"count": 2} == boundary.sketch({**insert, "sql": "INSERT INTO goods", "binds": [[1], [2]], "many": True}, 1)
