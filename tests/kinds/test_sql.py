"""The kind sql: what counts as the same statement, what is an effect, what is shown, and what redaction gets to see."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_fluxrun.kinds.sql import SQL


def request(sql: str, binds: Any = None, *, many: bool = False, database: str = "shop.db") -> dict[str, Any]:
    """A statement in the kind's form."""
    return {"database": database, "sql": sql, "binds": binds, "many": many}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (request("SELECT  1\n FROM t ;"), request("SELECT 1 FROM t")),
        (request("SELECT 1 -- trace: 1\nFROM t"), request("SELECT 1 /* trace: 2 */ FROM t")),
        (request("SELECT :a", {"a": 1, "b": 2}), request("SELECT :a", {"b": 2, "a": 1})),
        (request("SELECT 1"), request("SELECT 1", [])),
        (request("SELECT 1", database="a.db"), request("SELECT 1", database="b.db")),
    ],
)
def test_volatile_parts_are_folded(one: dict[str, Any], other: dict[str, Any]) -> None:
    """White space, comments, the order of names and the file's name don't matter."""
    assert SQL.canonical(one) == SQL.canonical(other)


@pytest.mark.parametrize(
    ("one", "other", "paths"),
    [
        (request("SELECT 'a  b'"), request("SELECT 'a b'"), ["request.sql"]),
        (request("SELECT '--x'"), request("SELECT '--y'"), ["request.sql"]),
        (request('SELECT "a  b"'), request('SELECT "a b"'), ["request.sql"]),
        (request("SELECT ?, ?, ?", [1, 2, 3]), request("SELECT ?, ?, ?", [1, 2, 4]), ["request.binds[2]"]),
        (request("SELECT ?", [1]), request("SELECT ?", [1.0]), ["request.binds[0]"]),
        (request("SELECT ?", [1]), request("SELECT ?", ["1"]), ["request.binds[0]"]),
        (request("SELECT ?", [1]), request("SELECT ?", [True]), ["request.binds[0]"]),
        (request("SELECT ?", ["x" * 600]), request("SELECT ?", ["x" * 599 + "y"]), ["request.binds[0]"]),
        (request("SELECT :a", {"a": 1}), request("SELECT :a", {"a": 2}), ["request.binds.a"]),
        (request("INSERT", [[1], [2]], many=True), request("INSERT", [[1], [3]], many=True), ["request.binds[1][0]"]),
        (request("SELECT 1"), {**request("SELECT 1"), "rest": "x"}, ["request.rest"]),
    ],
)
def test_what_is_asked_for_is_compared(one: dict[str, Any], other: dict[str, Any], paths: list[str]) -> None:
    """Other literals, values or types are other calls, and the places are named by path."""
    assert SQL.canonical(one) != SQL.canonical(other)
    assert paths == [difference.path for difference in SQL.differences(one, other)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", False),
        ("  -- why\n select 1", False),
        ("(SELECT 1) UNION SELECT 2", False),
        ("PRAGMA foreign_keys = ON", False),
        ("BEGIN IMMEDIATE", False),
        ("SAVEPOINT a", False),
        ("ROLLBACK", False),
        ("COMMIT", True),
        ("insert INTO t VALUES (1)", True),
        ("UPDATE t SET a = 1", True),
        ("DELETE FROM t", True),
        ("REPLACE INTO t VALUES (1)", True),
        ("CREATE TABLE t (a)", True),
        ("VACUUM INTO 'copy'", True),
        ("WITH x AS (SELECT 1) SELECT replace(a, 'INSERT INTO', '') FROM x", False),
        ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", True),
        ("WITH x AS (SELECT 1) DELETE FROM t", True),
        ("SELECT 1; DROP TABLE t", True),
        ("SELECT '; DROP TABLE t'", False),
        ("", False),
    ],
)
def test_statement_that_writes_is_an_effect(sql: str, expected: bool) -> None:
    """By the first keyword of each statement, literals and comments aside."""
    assert expected == SQL.is_effect(request(sql))


def test_operation_is_the_statement_without_its_binds() -> None:
    """The same statement with other values is the same operation; fetching on is none."""
    asked = request("UPDATE t\nSET a = ?", [1])

    assert SQL.operation(asked) == "UPDATE t SET a = ?"
    assert SQL.operation({**asked, "rest": "x"}) != SQL.operation(asked)
    assert SQL.is_effect({**asked, "rest": "x"}) is False


def test_text_is_one_line_of_at_most_200_characters() -> None:
    """Database, statement and binds."""
    assert SQL.text(request("SELECT *\n FROM t WHERE id = ?", [7])) == "shop.db: SELECT * FROM t WHERE id = ? [7]"
    assert len(SQL.text(request("SELECT ?", ["x" * 500]))) == 200


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request("SELECT :password", {"password": "p"}), [("password", "p")]),
        (request("INSERT INTO users (name, password) VALUES (?, ?)", ["n", "p"]), [("name", "n"), ("password", "p")]),
        (request("INSERT OR IGNORE INTO u (a, b) VALUES (1, lower(?)), (?, ?)", ["x", "y", "z"]),
         [("b", "x"), ("a", "y"), ("b", "z")]),
        (request("UPDATE u SET token = ?, n = n + 1 WHERE u.email = ? AND id IN (?)", ["t", "e", 1]),
         [("token", "t"), ("email", "e"), ("id", 1)]),
        (request('UPDATE u SET "token"=?2 WHERE id=?1', [1, "t"]), [("token", "t"), ("id", 1)]),
        (request("SELECT * FROM u WHERE note = 'what?' AND pin = ?", ["9"]), [("pin", "9")]),
        (request("INSERT INTO u (pin) VALUES (?)", [["1"], ["2"]], many=True), [("pin", "1"), ("pin", "2")]),
        (request("INSERT INTO u (pin) VALUES (:pin)", [{"pin": "1"}], many=True), [("pin", "1")]),
        (request("SELECT 1"), []),
    ],
)  # fmt: skip
def test_binds_are_named_by_their_columns(asked: dict[str, Any], expected: list[tuple[str, Any]]) -> None:
    """Named binds by name, positional ones by the column that they fill or are compared with."""
    assert expected == list(SQL.named_values(asked, None))


def test_rows_of_an_answer_are_named_by_their_columns() -> None:
    """Redaction sees what a SELECT gave back; an opaque answer has no names."""
    answer = {"columns": ["id", "password"], "rows": [[1, "p"], [2, {"~": "bytes", "v": "AA=="}]]}

    assert list(SQL.named_values(request("SELECT *"), answer)) == [
        ("id", [1, 2]),
        ("password", ["p", b"\0"]),
    ]
    assert list(SQL.named_values(request("SELECT *"), {"~": "opaque", "v": "x"})) == []
