"""Answers that no recording holds: a part of another one, what a guard says in words, a read made anew elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

import psycopg2  # type: ignore[import-untyped]

from pytest_fluxrun.boundaries.psycopg2_classes.outcome import Outcome
from pytest_fluxrun.boundary import Picks, Request
from pytest_fluxrun.environments import address_of
from pytest_fluxrun.kinds.sql import first_keyword, folded, positions, written_rows
from pytest_fluxrun.values import Value, decode, encode_or_opaque

__all__ = ["asked_anew", "projected", "written"]

_TEXT: Final = 25
_TIMEOUT_S: Final = 30


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
    """What a guard tells in words, as a stored answer: values as they are written, whatever their columns' types.

    Raises:
        GuardError: it is no answer.
    """
    columns, rows, count = written_rows(reply, "psycopg2")
    outcome = Outcome()
    if columns:
        outcome.description = [(name, _TEXT, None, -1, None, None, None) for name in columns]
    outcome.add(map(tuple, rows))
    outcome.rowcount, outcome.ended = count, True
    keyword = first_keyword(folded(request["sql"]))
    outcome.status = f"INSERT 0 {count}" if keyword == "INSERT" else f"{keyword} {count}"
    return outcome.dump()


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
            cursor.execute(request["sql"], request["binds"])
            outcome = Outcome(transaction=connection.get_transaction_status(), status=cursor.statusmessage)
            if cursor.description is not None:
                outcome.description = cursor.description
                outcome.add(cursor.fetchall())
            outcome.rowcount, outcome.ended = cursor.rowcount, True
            return outcome.dump()
