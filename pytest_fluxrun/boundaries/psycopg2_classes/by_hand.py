"""Answers that no recording holds: a part of another one, what a guard says in words, a read made anew elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

import psycopg2  # type: ignore[import-untyped]
from psycopg2 import extensions

from pytest_fluxrun.boundaries.psycopg2_classes.outcome import Outcome
from pytest_fluxrun.boundary import Picks, Request
from pytest_fluxrun.environments import address_of
from pytest_fluxrun.kinds.insertions import inserted
from pytest_fluxrun.kinds.sql import first_keyword, folded, positions, unlocked, written_rows
from pytest_fluxrun.values import Value, decode, encode_or_opaque

__all__ = ["asked_anew", "inserted_there", "projected", "written"]

_TEXT: Final = 25
_TIMEOUT_S: Final = 30
_CASTS: Final = {
    "numeric": extensions.DECIMAL,
    "interval": extensions.INTERVAL,
    "json": extensions.JSON,
    "jsonb": extensions.JSONB,
    "bytea": psycopg2.BINARY,
    "integer[]": extensions.INTEGERARRAY,
    "bigint[]": extensions.LONGINTEGERARRAY,
    "numeric[]": extensions.DECIMALARRAY,
    "text[]": extensions.STRINGARRAY,
    "character varying[]": extensions.STRINGARRAY,
}
"""What psycopg2 makes of a text, by its type; of all others, a text."""


def projected(value: Value, picks: Picks) -> Value:
    """The stored answer with some of its columns; None where it has none."""
    if "~" in value or not value.get("columns"):
        return None
    picked = positions(value["columns"], picks)
    if picked is None:
        return None
    places, names = picked
    casts = {(row, column) for row, column in value["casts"]}
    return {
        **value,
        "columns": names,
        "described": [value["described"][place] for place in places],
        "rows": encode_or_opaque([[row[place] for place in places] for row in decode(value["rows"])]),
        "casts": [
            [row, index]
            for row in range(len(value["rows"]))
            for index, place in enumerate(places)
            if (row, place) in casts
        ],
    }


def written(request: Request, reply: Mapping[str, Any]) -> Value:
    """What a guard tells in words, as a stored answer: values as they are written, or as `types` says.

    Raises:
        GuardError: it is no answer.
    """
    said = written_rows(reply, "psycopg2", request)
    outcome = Outcome()
    if said.columns:
        outcome.description = [(name, _TEXT, None, -1, None, None, None) for name in said.columns]
    casts = [_CASTS.get(said.types.get(name, ""), _as_it_is) for name in said.columns]
    outcome.add(tuple(cast(cell, None) for cast, cell in zip(casts, row, strict=True)) for row in said.rows)
    outcome.rowcount, outcome.ended = said.count, True
    keyword = first_keyword(folded(request["sql"]))
    outcome.status = f"INSERT 0 {said.count}" if keyword == "INSERT" else f"{keyword} {said.count}"
    return outcome.dump()


def _as_it_is(cell: Any, cursor: None) -> Any:
    del cursor
    return cell


def asked_anew(request: Request, environment: Mapping[str, Any]) -> Value:
    """What a read gives in the database that the environment's `postgres` names, its rows read to the end.

    Raises:
        SettingsError: the environment doesn't name it.
        psycopg2.Error: it can't be reached, or refuses the statement.
    """
    address = address_of(environment, "postgres", request["database"])
    with closing(psycopg2.connect(address, connect_timeout=_TIMEOUT_S)) as connection:
        connection.set_session(readonly=True)
        with connection.cursor() as cursor:
            cursor.execute(unlocked(folded(request["sql"])), request["binds"])
            outcome = Outcome(transaction=connection.get_transaction_status(), status=cursor.statusmessage)
            if cursor.description is not None:
                outcome.description = cursor.description
                outcome.add(cursor.fetchall())
            outcome.rowcount, outcome.ended = cursor.rowcount, True
            return outcome.dump()


def inserted_there(request: Request, number: int, environment: Mapping[str, Any]) -> dict[str, Any] | None:
    """See `insertions.inserted`; the reads are made in the database that the environment's `postgres` names."""
    return inserted(request, number, lambda read: decode(asked_anew(read, environment)["rows"]))
