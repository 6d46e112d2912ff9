"""What concerns one connection alone, answered by itself at replay where the recording lacks it."""

# ruff: noqa: SLF001 - the seams' own attributes bear the prefix _fx on classes that the app may subclass
from __future__ import annotations

import sqlite3
from typing import Any

from pytest_fluxrun.boundaries.sqlite.outcome import Outcome
from pytest_fluxrun.kinds.sql import first_keyword, folded

__all__ = ["locally"]


def locally(connection: Any, sql: str, binds: Any = ()) -> Outcome:
    """What a local statement does where the recording lacks it: on the private connection, and to the served state."""
    statement = folded(sql)
    keyword = first_keyword(statement)
    outcome = Outcome(in_transaction=connection.in_transaction, total_changes=connection.total_changes)
    outcome.played = outcome.ended = True
    if keyword in ("PRAGMA", "SELECT"):
        if connection._fx_local is None:
            connection._fx_local = sqlite3.connect(":memory:", check_same_thread=False)
        cursor = connection._fx_local.execute(sql, binds or ())
        outcome.rows = cursor.fetchall()
        outcome.columns = None if cursor.description is None else tuple(column[0] for column in cursor.description)
        return outcome
    if keyword == "BEGIN" and outcome.in_transaction:
        raise sqlite3.OperationalError("cannot start a transaction within a transaction")
    ends = keyword in ("COMMIT", "END") or (keyword == "ROLLBACK" and " TO " not in f"{statement.upper()} ")
    if ends and not outcome.in_transaction:
        verb = "rollback" if keyword == "ROLLBACK" else "commit"
        raise sqlite3.OperationalError(f"cannot {verb} - no transaction is active")
    outcome.in_transaction = not ends if keyword != "RELEASE" else outcome.in_transaction
    return outcome
