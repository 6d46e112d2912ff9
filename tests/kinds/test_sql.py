"""The kind sql: what counts as the same statement, what is an effect, what is shown, and what redaction gets to see."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_fluxrun.kinds.sql import SQL, sketched, unlocked


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
        (request("SELECT ? WHERE a IN (?, ?)", [1, 2, 3]), request("SELECT ? WHERE a IN (?, ?)", [1, 3, 2])),
        (request("SELECT 1 WHERE a not in(%s,%s)", [2, "2"]), request("SELECT 1 WHERE a not in(%s,%s)", ["2", 2])),
    ],
)
def test_volatile_parts_are_folded(one: dict[str, Any], other: dict[str, Any]) -> None:
    """White space, comments, the order of names and of a list after IN, and the file's name don't matter."""
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
        (request("a IN (?, ?) AND b = ?", [1, 2, 3]), request("a IN (?, ?) AND b = ?", [1, 3, 2]),
         ["request.binds[1]", "request.binds[2]"]),
        (request("a IN (?2, ?1)", [1, 2]), request("a IN (?2, ?1)", [2, 1]), ["request.binds[0]", "request.binds[1]"]),
        (request("' in (?, ?)' = (?, ?)", [1, 2]), request("' in (?, ?)' = (?, ?)", [2, 1]),
         ["request.binds[0]", "request.binds[1]"]),
        (request("a IN (?, ?)", [1, 2]), request("a IN (?, ?)", [1, "2"]), ["request.binds[1]"]),
        (request("j ? 'k' AND a IN (%s, %s) AND b = %s", [1, 2, 3]),
         request("j ? 'k' AND a IN (%s, %s) AND b = %s", [1, 3, 2]), ["request.binds[1]", "request.binds[2]"]),
    ],
)  # fmt: skip
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
        ("SELECT nextval('numbers')", True),
        ("WITH x AS (SELECT NEXTVAL(s)) SELECT * FROM x", True),
        ("SELECT NEXT VALUE FOR s", True),
        ("SELECT pg_notify('a', 'b')", True),
        ("SELECT 'nextval(' FROM t", False),
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


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('SAVEPOINT "s140264944596672_x1"', "SAVEPOINT s1_x1"),
        ('RELEASE SAVEPOINT "s140264944596672_x1"', "release savepoint s1_x1"),
        ("ROLLBACK TO SAVEPOINT a", "ROLLBACK TO SAVEPOINT b"),
    ],
)
def test_name_of_a_savepoint_says_nothing(one: str, other: str) -> None:
    """Django names them after the thread: another name is the same statement, another verb isn't."""
    first, second = ({"database": "d", "sql": sql.upper(), "binds": None, "many": False} for sql in (one, other))

    assert SQL.canonical(first) == SQL.canonical(second)
    assert SQL.differences(first, second) == []
    assert SQL.canonical(first) != SQL.canonical({**first, "sql": "ROLLBACK"})


def test_what_is_written_in_memory_is_no_effect() -> None:
    """A database in memory is part of the process; a file of any name is the outside."""
    insert = {"sql": "INSERT INTO t VALUES (1)", "binds": None, "many": False}

    effects = [SQL.is_effect({"database": name, **insert}) for name in (":memory:", ":memory:cache", "memory.db")]

    assert effects == [False, False, True]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (request("SELECT a FROM t WHERE b = ?", [1]), request("select a from t where (b = ?)", [1]), ()),
        (request("SELECT a, b FROM t WHERE c = ?", [1]), request("SELECT b FROM t WHERE c = ?", [1]), ((1, None),)),
        (request("SELECT a FROM t WHERE b = ?", [1]), request("select a from t where b = ?", [2]), None),
        (request("SELECT a FROM t"), {**request("select a from t"), "driver": "psycopg"}, None),
        ({**request("SELECT a FROM t"), "rest": "x"}, request("select a from t"), None),
        (request("INSERT INTO t (a) VALUES (?)", [1]), request("insert into t (a) values (?)", [1]), ()),
        (request("INSERT INTO t (a) VALUES (?)", [[1]], many=True), request("insert into t (a) values (?)", [1]), None),
    ],
)
def test_same_question_in_other_words_is_answered(one: dict[str, Any], other: dict[str, Any], expected: Any) -> None:
    """By an equal tree or a projection, of one driver, with the same binds; nothing else."""
    assert expected == SQL.fit(one, other)
    assert SQL.family({**one, "rest": ""}) == f"READ ON {SQL.family(one)}".replace("READ ON READ ON", "READ ON")


def test_family_is_the_verb_and_the_tables() -> None:
    """Or the statement, where it names no table."""
    assert "SELECT orders,users" == SQL.family(request("SELECT 1 FROM users u JOIN orders o ON o.u = u.id"))
    assert "BEGIN BEGIN" == SQL.family(request("BEGIN"))


def test_what_a_miss_lacks_is_said_of_statements_of_one_driver() -> None:
    """A column, by its table."""
    recorded, asked = request("SELECT a FROM t"), request("SELECT a, b FROM t")
    assert "column t.b was not recorded" == SQL.lacking(recorded, asked)
    assert "" == SQL.lacking(recorded, {**asked, "driver": "psycopg"})


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (request("INSERT INTO orders (id, total) VALUES (?, ?)", [1, 1000]),
         request("INSERT INTO orders (id, total) VALUES (?, ?)", [1, 1200]),
         [("request.binds[1]", "orders.total", 1000, 1200)]),
        (request("UPDATE shop.orders SET total = %s WHERE id = %s", [5, 1]),
         request("UPDATE shop.orders SET total = %s WHERE id = %s", [6, 2]),
         [("request.binds[0]", "orders.total", 5, 6), ("request.binds[1]", "orders.id", 1, 2)]),
        (request("INSERT INTO orders (id) VALUES ($1)", [[1], [2]], many=True),
         request("INSERT INTO orders (id) VALUES ($1)", [[1], [3]], many=True),
         [("request.binds[1][0]", "orders.id of row 2", 2, 3)]),
        (request("DELETE FROM a USING b WHERE a.i = ?", [1]), request("DELETE FROM a USING b WHERE a.i = ?", [2]),
         [("request.binds[0]", "a.i", 1, 2)]),
        (request("UPDATE t SET a = :x", {"x": 1}), request("UPDATE t SET a = :x", {"x": 2}),
         [("request.binds.x", "", 1, 2)]),
    ],
)  # fmt: skip
def test_changed_values_are_named_by_table_and_column(
    one: dict[str, Any], other: dict[str, Any], expected: list[tuple[Any, ...]]
) -> None:
    """What a reader of a report looks for."""
    assert expected == [(d.path, d.name, d.recorded, d.asked) for d in SQL.differences(one, other)]


def test_another_number_of_rows_is_said_as_such() -> None:
    """Before the rows themselves."""
    one = request("INSERT INTO t (a) VALUES (?)", [[1]], many=True)
    first, *_ = SQL.differences(one, {**one, "binds": [[1], [2]]})
    assert ("number of rows", "1 rows", "2 rows") == (first.name, first.recorded, first.asked)


def test_request_of_a_driver_is_another_call_than_one_without() -> None:
    """Their answers are stored in other forms."""
    one = request("SELECT 1")
    assert SQL.canonical(one) != SQL.canonical({**one, "driver": "psycopg"})
    assert ["request.driver"] == [d.path for d in SQL.differences(one, {**one, "driver": "psycopg"})]


@pytest.mark.parametrize(
    ("sql", "upkeep"),
    [
        ("SELECT 1", True),
        ("BEGIN", True),
        ("ROLLBACK TO SAVEPOINT s1", True),
        ("RELEASE SAVEPOINT s1", True),
        ("COMMIT", False),
        ("SELECT 1 FROM orders", False),
        ("UPDATE orders SET total = 1", False),
    ],
)
def test_upkeep_neither_asks_nor_changes(sql: str, upkeep: bool) -> None:
    """What fixed code leaves out, as it has no failure to end, or its connection is another one."""
    assert upkeep == SQL.is_upkeep({"database": "shop", "sql": sql, "binds": None, "many": False})


@pytest.mark.parametrize(
    ("sql", "binds", "expected"),
    [
        ("SELECT nextval('a'), nextval('b') AS n", None, [{"nextval": 1_000_000_001, "n": 1_000_000_001}]),
        ("SELECT pg_notify('a', 'b')", None, [{"pg_notify": ""}]),
        ("INSERT INTO t (id, name, on_duty) VALUES (?, ?, ?) RETURNING name, on_duty, id", [7, "x", False],
         [{"name": "x", "on_duty": False, "id": 7}]),
        ("INSERT INTO t (n) VALUES (?), (?) RETURNING id", [1, 2], [{"id": 1_000_000_001}, {"id": 1_000_000_002}]),
    ],
)  # fmt: skip
def test_made_up_rows_hold_numbers_and_what_was_bound(sql: str, binds: Any, expected: Any) -> None:
    """As many as are written."""
    reply = sketched({**request(sql, binds), "dialect": "postgres"}, 1)
    assert reply is not None
    assert (len(expected), expected) == (reply["count"], reply["rows"])


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nextval('a'), now()",
        "SELECT setval('a', 7)",
        "INSERT INTO t (a) SELECT a FROM u RETURNING id",
        "INSERT INTO t (a) VALUES (1) RETURNING total",
        "INSERT INTO t (id) VALUES (lower(?)) RETURNING *",
    ],
)
def test_what_could_be_anything_is_not_made_up(sql: str) -> None:
    """Other functions, columns of any name, as many rows as a query gives."""
    assert sketched({**request(sql, ["x"]), "dialect": "postgres"}, 1) is None


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1 FROM t FOR UPDATE", "SELECT 1 FROM t"),
        ('SELECT 1 FROM t FOR NO KEY UPDATE OF "t", s.u NOWAIT', "SELECT 1 FROM t"),
        ("SELECT (SELECT 1 FROM t FOR SHARE SKIP LOCKED) LIMIT 1", "SELECT (SELECT 1 FROM t) LIMIT 1"),
        ("SELECT ' FOR UPDATE' FROM t", "SELECT ' FOR UPDATE' FROM t"),
    ],
)
def test_query_without_its_locks(sql: str, expected: str) -> None:
    """Wherever they stand, literals aside."""
    assert expected == unlocked(sql)
