"""A PostgreSQL behind a port that counts, with a schema of a test process's own."""

from __future__ import annotations

import os
from typing import Any

import psycopg

from pytest_fluxrun.context import entered
from pytest_fluxrun.testing.live_hits import CountsLiveHits
from tests.boundaries.forwarded import Forwarded

SCHEMA = f"fx_psycopg_{os.getpid()}"
_TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE place AS (street text, number int, at timestamptz);
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL, price numeric(10, 2), data bytea, added timestamptz);
CREATE TABLE note (id serial PRIMARY KEY, text text UNIQUE, item_id int REFERENCES item (id));
CREATE FUNCTION warn(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'beware: %', $1; RETURN 1; END $$;
"""
_ROWS = """
TRUNCATE item, note RESTART IDENTITY;
INSERT INTO item VALUES (1, 'one', 1.50, '\\x01', '2024-01-02 03:04:05+01'), (2, 'zwei – ü', 2.25, NULL, NULL),
    (3, 'three', NULL, '\\xff00', '1999-12-31 23:59:59.999999Z');
"""


class Postgres(Forwarded):
    """An Outside: a server whose tables `reset` fills anew.

    Args:
        target: the server's port.
    """

    def __init__(self, target: int) -> None:
        super().__init__(target)
        self.schema = SCHEMA
        self._own = f"host=127.0.0.1 port={target} user=postgres dbname=test"
        self.dsn = f"host=127.0.0.1 port={self.port} user=postgres dbname=test options='-c search_path={SCHEMA},public'"
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/test?options=-csearch_path%3D{SCHEMA},public"
        self.run(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA};" + _TYPES)
        self.reset()

    def reset(self) -> None:
        """The rows as every exercise finds them."""
        self.run(_ROWS)

    def take_away(self) -> None:
        """Close the port, and wait until what was just being sent has been counted."""
        super().take_away()
        CountsLiveHits.settle(self)

    def run(self, sql: str) -> Any:
        """Ask the server itself, past the port and outside of every run."""
        with entered(None), psycopg.connect(self._own, autocommit=True) as connection:
            connection.execute(f"SET search_path = {SCHEMA}, public")
            return connection.execute(sql)

    def drop(self) -> None:
        """Leave nothing behind."""
        self.take_away()
        self.run(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
