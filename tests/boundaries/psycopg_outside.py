"""A PostgreSQL behind a port that counts, with a schema of a test process's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, ClassVar

import psycopg2

from tests.boundaries.forwarded import Forwarded

SCHEMA = f"fx_psycopg_{os.getpid()}"
_TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE place AS (street text, number int, at timestamptz);
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, price numeric(10, 2), data bytea, added timestamptz);
CREATE TABLE note (id serial PRIMARY KEY, text text UNIQUE, item_id int REFERENCES item (id));
CREATE FUNCTION warn(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'beware: %', $1; RETURN 1; END $$;
"""
_STATE = """
BEGIN;
LOCK item, note IN ACCESS EXCLUSIVE MODE;
SELECT (SELECT array_agg(item::text ORDER BY ctid) FROM item), (SELECT count(*) FROM note), is_called FROM note_id_seq
"""
_ROWS = """
TRUNCATE item, note RESTART IDENTITY;
INSERT INTO item VALUES (1, 'one', 1.50, '\\x01', '2024-01-02 03:04:05+01'), (2, 'zwei – ü', 2.25, NULL, NULL),
    (3, 'three', NULL, '\\xff00', '1999-12-31 23:59:59.999999Z');
"""


@contextmanager
def prepared_schema(target: int) -> Iterator[Any]:
    """The schema with its types and tables, for the length of a block.

    Args:
        target: the server's port.

    Yields:
        A connection past every port, by a driver that isn't under test: what `Postgres` takes.
    """
    settings = f"host=127.0.0.1 port={target} user=postgres dbname=test options='-c search_path={SCHEMA},public'"
    with closing(psycopg2.connect(settings)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")
            cursor.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA};" + _TYPES)
        yield connection
        with connection.cursor() as cursor:
            cursor.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


class Postgres(Forwarded):
    """An Outside: a server whose tables `reset` fills anew.

    Args:
        direct: of `prepared_schema`.
    """

    _filled: ClassVar[Any] = None
    """What the tables hold once they are filled."""

    def __init__(self, direct: Any) -> None:
        super().__init__(direct.info.port)
        self._direct = direct
        self.schema = SCHEMA
        self.dsn = f"host=127.0.0.1 port={self.port} user=postgres dbname=test options='-c search_path={SCHEMA},public'"
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/test?options=-csearch_path%3D{SCHEMA},public"
        self.reset()

    def reset(self) -> None:
        """The rows as every exercise finds them: most leave them so, and to fill a table anew is to write files.

        It waits for the transactions that are under way, as a connection that was lost may still end with its own.
        """
        if self._state() != Postgres._filled:
            self.run(_ROWS)
            Postgres._filled = self._state()

    def _state(self) -> Any:
        with self._direct.cursor() as cursor:
            cursor.execute(_STATE)
            state = cursor.fetchone()
            cursor.execute("COMMIT")
        return state

    def run(self, sql: str) -> None:
        """Have the server itself do something, past the port and outside of every run."""
        with self._direct.cursor() as cursor:
            cursor.execute(sql)
