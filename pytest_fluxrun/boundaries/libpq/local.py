"""What a played connection answers by itself where the recording has nothing: transaction control, a pool's ping."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from psycopg import pq

from pytest_fluxrun.boundaries.libpq.answer import Answer, PlayedResult
from pytest_fluxrun.boundaries.libpq.statement import is_local

__all__ = ["local_answer"]

_COMMAND_OK: Final = int(pq.ExecStatus.COMMAND_OK)
_TUPLES_OK: Final = int(pq.ExecStatus.TUPLES_OK)
_EMPTY: Final = int(pq.ExecStatus.EMPTY_QUERY)
_IDLE: Final = int(pq.TransactionStatus.IDLE)
_INTRANS: Final = int(pq.TransactionStatus.INTRANS)
_INERROR: Final = int(pq.TransactionStatus.INERROR)
_INT4: Final = [23, -1, 0, 4, 0, 0]


def local_answer(pgconn: Any, sql: bytes) -> Callable[[], Answer] | None:
    """What answers a statement that concerns the connection alone; None for all others."""
    keyword = is_local(sql)
    return functools.partial(_answered, pgconn, keyword, sql) if keyword else None


def _answered(pgconn: Any, keyword: str, sql: bytes) -> Answer:
    before = int(pgconn.state)
    if keyword == "PING":
        return Answer([_pong(sql)], before=before, after=before)
    command, after = keyword, before
    if keyword in ("BEGIN", "START"):
        command = "BEGIN" if keyword == "BEGIN" else "START TRANSACTION"
        after = _INTRANS if before == _IDLE else before
    elif keyword in ("COMMIT", "END"):
        command, after = "ROLLBACK" if before == _INERROR else "COMMIT", _IDLE
    elif keyword in ("ROLLBACK", "ABORT"):
        command, after = "ROLLBACK", _INTRANS if b" TO " in sql.upper() else _IDLE
    return Answer([PlayedResult(_COMMAND_OK, command=command.encode())], before=before, after=after)


def _pong(sql: bytes) -> PlayedResult:
    if not sql.strip(b" ;"):
        return PlayedResult(_EMPTY)
    return PlayedResult(
        _TUPLES_OK, command=b"SELECT 1", count=1, columns=[b"?column?"], described=[_INT4], rows=[["1"]]
    )
