"""What the boundaries of MySQL's drivers know of statements, and the form in which answers are kept."""

from __future__ import annotations

import pytest

from pytest_fluxrun.boundaries.mysql.packets import AUTOCOMMIT, IN_TRANSACTION
from pytest_fluxrun.boundaries.mysql.results import dump_results, load_results
from pytest_fluxrun.boundaries.mysql.statements import Rows, is_local, status_after
from pytest_fluxrun.errors import DamagedBundle


def test_rows_are_of_the_statement_that_holds_them() -> None:
    """A driver that sends what fits has read one row of the next statement by then."""
    rows = Rows([(number,) for number in range(5)], tuple)
    passing = iter(rows)
    pieces = []
    for number, _ in enumerate(passing):
        if number in (2, 3):
            pieces.append(rows.sent())
    pieces.append(rows.sent())

    assert pieces == [[(0,), (1,)], [(2,)], [(3,), (4,)]]


@pytest.mark.parametrize(
    ("sql", "before", "after"),
    [
        ("BEGIN", AUTOCOMMIT, AUTOCOMMIT | IN_TRANSACTION),
        ("START TRANSACTION READ ONLY", 0, IN_TRANSACTION),
        ("COMMIT", IN_TRANSACTION, 0),
        ("ROLLBACK", AUTOCOMMIT | IN_TRANSACTION, AUTOCOMMIT),
        ("ROLLBACK TO SAVEPOINT a", IN_TRANSACTION, IN_TRANSACTION),
        ("COMMIT AND CHAIN", IN_TRANSACTION, IN_TRANSACTION),
        ("SET AUTOCOMMIT = 1", 0, AUTOCOMMIT),
        ("SET autocommit=OFF", AUTOCOMMIT, 0),
        ("SAVEPOINT a", IN_TRANSACTION, IN_TRANSACTION),
    ],
)
def test_local_statements_leave_the_servers_flags_as_it_does(sql: str, before: int, after: int) -> None:
    """What a driver reads in the flags follows the statement."""
    assert is_local(sql)
    assert after == status_after(sql, before)


@pytest.mark.parametrize("sql", ["SET GLOBAL x = 1", "SET a = 1, @@GLOBAL.b = 2", "SET @a = 1", "BEGIN; DELETE FROM a"])
def test_what_is_more_than_the_connections_own_is_not_local(sql: str) -> None:
    """Settings of the server, variables, scripts."""
    assert not is_local(sql)


def test_cut_stream_is_kept_as_far_as_it_goes() -> None:
    """Whole packets count; what was read of another one doesn't."""
    ok = b"\x07\x00\x00\x01\x00\x01\x02\x02\x00\x00\x00"

    assert load_results(dump_results(ok + ok[:5])) == (ok, True)
    assert load_results(dump_results(ok[:5])) == (b"", False)


def test_damaged_answer_is_refused() -> None:
    """What isn't an answer says so."""
    with pytest.raises(DamagedBundle):
        load_results({"columns": ["a"], "ended": True})
