"""Answers that no recording holds: a part of another one, what a guard says in words, a read made anew elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

import psycopg
from psycopg import pq

from pytest_fluxrun.boundaries.libpq.answer import Answer, PlayedResult
from pytest_fluxrun.boundary import Picks, Request
from pytest_fluxrun.environments import address_of
from pytest_fluxrun.kinds.insertions import inserted
from pytest_fluxrun.kinds.sql import Written, first_keyword, folded, positions, unlocked, written_rows
from pytest_fluxrun.values import Value, decode, encode_or_opaque

__all__ = ["asked_anew", "inserted_there", "projected", "written"]

_TEXT: Final = 25
_OIDS: Final = {bool: 16, int: 20, float: 701, str: _TEXT, Decimal: 1700, datetime: 1184, date: 1082, time: 1083}
"""The type that a value of a guard has in PostgreSQL: TOML's own ones, and Decimal."""
_CLIENT_BIND: Final = re.compile("%([%sbt])")


def projected(value: Value, picks: Picks) -> Value:
    """The stored answer with some of its columns; None where it is no answer of one result with named columns."""
    if "~" in value or not value.get("columns") or {"more", "error", "copied", "raw_names"} & set(value):
        return None
    picked = positions(value["columns"], picks)
    if picked is None or "described" not in value:
        return None
    places, names = picked
    rows = [[row[place] for place in places] for row in decode(value["rows"])]
    described = [value["described"][place] for place in places]
    return {**value, "columns": names, "rows": encode_or_opaque(rows), "described": described}


def written(request: Request, reply: Mapping[str, Any]) -> Answer:
    """The answer that a guard tells in words; the transaction stays as it is."""
    said = written_rows(reply, "psycopg", request)
    count, keyword = said.count, first_keyword(folded(request["sql"]))
    command = f"INSERT 0 {count}" if keyword == "INSERT" else f"{keyword} {count}"
    oids = [_oid(said, place) for place in range(len(said.columns))]
    result = PlayedResult(
        int(pq.ExecStatus.TUPLES_OK if said.columns else pq.ExecStatus.COMMAND_OK),
        command=command.encode(),
        count=count,
        columns=[name.encode() for name in said.columns],
        described=[[oid, -1, 0, -1, 0, 0] for oid in oids],
        rows=[[_cell(cell) for cell in row] for row in said.rows],
    )
    answer = Answer([result])
    if request["many"]:
        answer.counted = count, command.encode()
    return answer


def asked_anew(request: Request, environment: Mapping[str, Any]) -> Answer:
    """What a statement gives in the database that the environment's `postgres` names, in a transaction that only reads.

    Raises:
        SettingsError: the environment doesn't name it.
        psycopg.Error: it can't be reached, or refuses the statement.
    """
    address = address_of(environment, "postgres", request["database"])
    sql, numbers = _numbered(unlocked(folded(request["sql"])))
    binds = request["binds"] or []
    with psycopg.connect(address, autocommit=True, connect_timeout=10) as connection:
        connection.execute("BEGIN READ ONLY")
        given = [_bind(binds[number]) for number in numbers] if numbers else [_bind(bind) for bind in binds]
        formats = [int(isinstance(bind, bytes)) for bind in given]
        params = [bind.encode() if isinstance(bind, str) else bind for bind in given]
        result = connection.pgconn.exec_params(sql.encode(), params, None, formats, 0)
        if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            raise psycopg.errors.error_from_result(result)
        return Answer([result])


def inserted_there(request: Request, number: int, environment: Mapping[str, Any]) -> dict[str, Any] | None:
    """See `insertions.inserted`; the reads are made in the database that the environment's `postgres` names."""
    return inserted(request, number, lambda read: decode(asked_anew(read, environment).dump()["rows"]))


def _numbered(sql: str) -> tuple[str, list[int]]:
    """A statement with `$1` for the placeholders of a client that writes its binds into the text, and their order."""
    numbers: list[int] = []

    def number(match: re.Match[str]) -> str:
        if match[1] == "%":
            return "%"
        numbers.append(len(numbers))
        return f"${len(numbers)}"

    return (_CLIENT_BIND.sub(number, sql), numbers) if "%" in sql and "$1" not in sql else (sql, [])


def _bind(bind: Any) -> str | bytes | None:
    if bind is None or isinstance(bind, bytes | str):
        return bind
    return ("t" if bind else "f") if isinstance(bind, bool) else str(bind)


def _oid(said: Written, place: int) -> int:
    named = said.types.get(said.columns[place])
    if named is not None:
        with suppress(KeyError):  # a type of the database's own, whose values psycopg loads as texts
            return psycopg.adapters.types.get_oid(named)
        return _TEXT
    kinds = [type(row[place]) for row in said.rows if row[place] is not None]
    return _OIDS.get(kinds[0], _TEXT) if kinds else _TEXT


def _cell(cell: Any) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return ("t" if cell else "f") if isinstance(cell, bool) else str(cell)
