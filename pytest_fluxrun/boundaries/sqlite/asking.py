"""A query made anew of a development database's file, for `fluxrun extend`; opened read-only, outside of replays."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from pytest_fluxrun.boundaries.sqlite.outcome import Outcome
from pytest_fluxrun.boundary import Request
from pytest_fluxrun.environments import address_of

__all__ = ["asked_anew"]


def asked_anew(request: Request, environment: Mapping[str, Any]) -> Outcome:
    """What a statement gives on the file that the environment's `sqlite` names, its rows read to the end.

    Converters are those of this process, where the app's connection used any.

    Raises:
        SettingsError: the environment names no file for the database.
        sqlite3.Error: there is no such file, or the statement fails on it.
    """
    path = Path(address_of(environment, "sqlite", request["database"])).expanduser().absolute()
    detect_types = request.get("detect_types", 0)
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, detect_types=detect_types)) as connection:
        cursor = connection.execute(request["sql"], request["binds"] or ())
        outcome = Outcome()
        outcome.add(cursor.fetchall())
        outcome.columns = None if cursor.description is None else tuple(column[0] for column in cursor.description)
        outcome.ended = True
    return outcome
