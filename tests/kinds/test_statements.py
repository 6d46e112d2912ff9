"""SQL that changed: which statements are equal, whose rows hold another's columns, and what one lacks."""

from __future__ import annotations

import pytest

from pytest_fluxrun.kinds.sql import folded
from pytest_fluxrun.kinds.statements import equal, lacking, picks, tables

RECORDED = "SELECT u.id, u.name, u.amt AS amount FROM users AS u WHERE u.id = $1 ORDER BY u.id LIMIT 10"


@pytest.mark.parametrize(
    ("recorded", "asked", "dialect"),
    [
        (RECORDED, "select u.id,u.name , u.amt amount from users u where u.id=$1 order by u.id limit 10", "postgres"),
        ('SELECT "t"."a" FROM "t" WHERE (("t"."a" = %s))', "SELECT t.a FROM t WHERE t.a = %s", "postgres"),
        (
            "SELECT 1 FROM t WHERE (b = 1 AND c = 2) OR d",
            "SELECT 1 FROM t WHERE b = 1 AND c = 2 OR d",
            "sqlite",
        ),
        ("SELECT `a` FROM `t` WHERE b = %(x)s", "SELECT a FROM t WHERE b = %(x)s", "mysql"),
        ("UPDATE t SET a = ? WHERE id = ?", "update t set a = ? where (id = ?)", "sqlite"),
        ("SELECT a FROM t WHERE b LIKE '%%x' AND c = %s", "SELECT a FROM t WHERE (b LIKE '%%x') AND (c = %s)", "mysql"),
        (RECORDED, RECORDED.replace("u.", "").replace(" AS u", ""), "postgres"),
        ("SELECT t.a, t.b FROM t WHERE t.a = ? ORDER BY t.b", "SELECT a, b FROM t WHERE a = ? ORDER BY b", "sqlite"),
        ("DELETE FROM t WHERE t.a = ?", "DELETE FROM t WHERE a = ?", "sqlite"),
    ],
)
def test_other_spelling_of_one_tree_is_equal(recorded: str, asked: str, dialect: str) -> None:
    """Case of words and names, needless quotes and parentheses, AS, white space: none changes what is asked."""
    assert equal(folded(recorded), folded(asked), dialect)
    assert equal(folded(asked), folded(recorded), dialect)


@pytest.mark.parametrize(
    ("recorded", "asked"),
    [
        (RECORDED, RECORDED.replace("LIMIT 10", "LIMIT 11")),
        (RECORDED, RECORDED.replace("u.id = $1", "u.id > $1")),
        (RECORDED, RECORDED.replace("$1", "$2")),
        ("SELECT a FROM t WHERE b = 'x'", "SELECT a FROM t WHERE b = 'X'"),
        ('SELECT "A" FROM t', "SELECT a FROM t"),
        ("SELECT a FROM t WHERE (b = 1 OR c = 2) AND d = 3", "SELECT a FROM t WHERE b = 1 OR c = 2 AND d = 3"),
        ("SELECT a FROM t", "SELECT DISTINCT a FROM t"),
        ("SELECT a FROM t JOIN u ON t.i = u.i", "SELECT a FROM t LEFT JOIN u ON t.i = u.i"),
        ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a DESC"),
        ("SELECT a - (b - c) FROM t", "SELECT a - b - c FROM t"),
        ("INSERT INTO t (a, b) VALUES (?, ?)", "INSERT INTO t (b, a) VALUES (?, ?)"),
        ("SELECT NOT a FROM t", "SELECT a FROM t"),
        ("SHOW x", "show x"),
        ("SELECT a FROM t; SELECT b FROM t", "SELECT a FROM t;  SELECT b FROM t"),
        ("SELECT 1 FROM", "select 1 from"),
        ("SELECT a AS b FROM t ORDER BY t.b", "SELECT a AS b FROM t ORDER BY b"),
        ("SELECT t.a FROM t JOIN u ON t.i = u.i", "SELECT u.a FROM t JOIN u ON t.i = u.i"),
        ("SELECT a FROM t WHERE b IN (SELECT t.b FROM u)", "SELECT a FROM t WHERE b IN (SELECT b FROM u)"),
        (
            "SELECT a FROM (SELECT a, b FROM t) AS u WHERE u.b = 1",
            "SELECT a FROM (SELECT a, b FROM t) AS u WHERE b = 1",
        ),
        ("SELECT t.* FROM t", "SELECT * FROM t"),
    ],
)
def test_another_statement_is_not_equal(recorded: str, asked: str) -> None:
    """Another value, operator, order, join or column is another question; what can't be parsed equals nothing."""
    assert not equal(folded(recorded), folded(asked), "postgres")


@pytest.mark.parametrize(
    ("recorded", "asked", "expected"),
    [
        (RECORDED, RECORDED.replace("u.id, u.name, u.amt AS amount", "u.name, u.id"), ((1, None), (0, None))),
        (RECORDED, RECORDED.replace("u.id, u.name, u.amt AS amount", "u.name AS nm"), ((1, "nm"),)),
        (RECORDED, RECORDED.replace("u.id, u.name, u.amt AS amount", "u.amt"), ((2, "amt"),)),
        ("SELECT * FROM t WHERE i = ?", "SELECT a, b AS c FROM t WHERE i = ?", (("a", None), ("b", "c"))),
        ("SELECT a, count(*) FROM t GROUP BY a", "SELECT a FROM t GROUP BY a", ((0, None),)),
        ("SELECT count(*), max(a) FROM t", "SELECT max(a) FROM t", ((1, None),)),
        ("SELECT a, b FROM t ORDER BY a", "SELECT b FROM t ORDER BY a", ((1, None),)),
        ("SELECT ?, a, b FROM t", "SELECT ?, b FROM t", ((0, None), (2, None))),
    ],
)
def test_columns_of_a_wider_answer_are_picked(
    recorded: str, asked: str, expected: tuple[tuple[int | str, str | None], ...]
) -> None:
    """Left out, reordered, renamed: the rows are the same, and so are the values in them."""
    assert expected == picks(folded(recorded), folded(asked), "postgres")


@pytest.mark.parametrize(
    ("recorded", "asked"),
    [
        (RECORDED, RECORDED.replace("u.name", "u.email")),
        (RECORDED, RECORDED.replace("u.amt AS amount", "u.amt").replace("$1", "$2")),
        (RECORDED, RECORDED.replace(" LIMIT 10", "").replace(", u.name", "")),
        ("SELECT DISTINCT a, b FROM t", "SELECT DISTINCT a FROM t"),
        ("SELECT a, b FROM t ORDER BY 2", "SELECT b FROM t ORDER BY 2"),
        ("SELECT a, b FROM t ORDER BY 1", "SELECT b FROM t ORDER BY 1"),
        ("SELECT a AS x, b FROM t ORDER BY x", "SELECT b FROM t ORDER BY x"),
        ("SELECT a, b FROM t ORDER BY x", "SELECT b AS x FROM t ORDER BY x"),
        ("SELECT a, count(*) FROM t", "SELECT a FROM t"),
        ("SELECT a, unnest(b) FROM t", "SELECT a FROM t"),
        ("SELECT a, generate_series(1, 3) FROM t", "SELECT a FROM t"),
        ("SELECT a, own_function(b) FROM t", "SELECT a FROM t"),
        ("SELECT ?, ?, a FROM t", "SELECT ?, a FROM t"),
        ("SELECT * FROM t JOIN u ON t.i = u.i", "SELECT a FROM t JOIN u ON t.i = u.i"),
        ("SELECT a, b FROM t", "SELECT * FROM t"),
        ("SELECT * FROM t", "SELECT a + 1 FROM t"),
        ("SELECT a + 1 AS x FROM t", "SELECT a + 1 FROM t"),
        ("SELECT a, b FROM t UNION SELECT c, d FROM u", "SELECT a FROM t UNION SELECT c FROM u"),
    ],
)
def test_columns_are_not_picked_where_rows_or_values_could_differ(recorded: str, asked: str) -> None:
    """A new column, a changed clause, rows that depend on the select list, names that only the database knows."""
    assert picks(folded(recorded), folded(asked), "postgres") is None


@pytest.mark.parametrize(
    ("recorded", "asked", "expected"),
    [
        (RECORDED, RECORDED.replace("u.name", "u.name, u.email"), "column users.email was not recorded"),
        ("SELECT a FROM t", "SELECT a, b, lower(c) FROM t", "columns t.b, LOWER(c) were not recorded"),
        (RECORDED, RECORDED.replace("LIMIT 10", "LIMIT 20"), "its LIMIT was recorded as LIMIT 10, and is now LIMIT 20"),
        ("SELECT a FROM t", "SELECT a FROM t WHERE b", "its WHERE was recorded as none, and is now WHERE b"),
        ("SELECT a FROM t", "SELECT a FROM u", "its FROM was recorded as FROM t, and is now FROM u"),
        ("SELECT a, b FROM t", "SELECT b FROM t", ""),
        ("INSERT INTO t VALUES (1)", "SELECT b FROM t", ""),
    ],
)
def test_what_is_lacking_is_named(recorded: str, asked: str, expected: str) -> None:
    """A column by its table's own name; a clause as it was and as it is."""
    assert expected == lacking(folded(recorded), folded(asked), "postgres")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (RECORDED, ("users",)),
        ('SELECT 1 FROM "a"."B" JOIN `c` ON 1 LEFT JOIN d.e x ON 1', ("b", "c", "e")),
        ("INSERT INTO t (a) SELECT b FROM u", ("t", "u")),
        ("UPDATE ONLY t SET a = 1", ("t",)),
        ("BEGIN", ()),
    ],
)
def test_tables_are_found_by_words(sql: str, expected: tuple[str, ...]) -> None:
    """Without schema, quotes and case, sorted."""
    assert expected == tables(sql)
