"""The outside of the tests of MySQL's drivers: a real MariaDB behind a port of the test's own, with its own tables."""

from __future__ import annotations

import contextlib
import os
from typing import Any, ClassVar

import pymysql

from tests.boundaries.forwarded import Forwarded

__all__ = ["MySQLOutside"]

_TABLES = """
    CREATE TABLE IF NOT EXISTS item (id INT PRIMARY KEY, name VARCHAR(40), price DECIMAL(8, 2), data BLOB);
    CREATE TABLE IF NOT EXISTS note (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(20) UNIQUE NOT NULL, secret INT);
    CREATE TABLE IF NOT EXISTS part (id INT PRIMARY KEY, item INT, FOREIGN KEY (item) REFERENCES item (id));
    CREATE TABLE IF NOT EXISTS every_type (
        id INT, a TINYINT, b SMALLINT UNSIGNED, c MEDIUMINT, d BIGINT UNSIGNED, e DECIMAL(30, 10), f FLOAT, g DOUBLE,
        h BIT(12), i DATE, j DATETIME, k DATETIME(6), l TIMESTAMP(3) NULL, m TIME(3), n YEAR, o CHAR(5),
        p VARBINARY(9), q TINYTEXT, r LONGBLOB, s ENUM('x', 'y'), t SET('p', 'q'), u JSON, v GEOMETRY, w BOOL,
        x INT ZEROFILL, y TEXT CHARACTER SET latin1
    );
    CREATE OR REPLACE PROCEDURE twice(IN given INT, OUT doubled INT)
        BEGIN SET doubled = given * 2; SELECT given, doubled; SELECT 'second' AS result; END
"""
_ROWS = """
    DELETE FROM part;
    DELETE FROM item;
    TRUNCATE note;
    DELETE FROM every_type;
    INSERT INTO item VALUES (1, 'one', 1.5, x'00ff'), (2, 'zwölf €', 2, NULL), (3, 'three', 3.25, '');
    INSERT INTO every_type VALUES
        (1, -128, 65535, -8388608, 18446744073709551615, '12345678901234567890.0123456789', 1.5, 1e300, b'101000000001',
         '2024-02-29', '2024-01-02 03:04:05', '2024-01-02 03:04:05.000006', '2024-01-02 03:04:05.123', '-838:59:58.5',
         1999, 'ab', x'00ff10', 'tiny', x'ffd8ff', 'y', 'p,q', '{"a": [1, "ä"]}', ST_GeomFromText('POINT(1 2)'), true,
         7, 'é'),
        (2, NULL, NULL, NULL, NULL, 0, 0, -0.1, b'0', '0000-00-00', '0000-00-00 00:00:00', NULL, NULL, '00:00:00', 0,
         '', '', '', '', NULL, '', 'null', NULL, false, 0, '')
"""

_STATE = (
    *(f"SELECT * FROM {table} FOR UPDATE" for table in ("part", "item", "note", "every_type")),
    "SELECT auto_increment FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'note'",
)


class MySQLOutside(Forwarded):
    """A database of MariaDB's, of a name of the driver's own.

    Attributes:
        port: on 127.0.0.1; `refused` is one with no server.
        settings: what connections to it are given.
    """

    refused = 1
    _filled: ClassVar[dict[str, Any]] = {}
    """By each database that this process has made or found: what its tables hold once they are filled."""

    def __init__(self, target: int, driver: str) -> None:
        super().__init__(target)
        self.database = f"fluxrun_{driver}{os.environ.get('PYTEST_XDIST_WORKER', '')}"
        self._direct = {"host": "127.0.0.1", "port": target, "user": "root", "autocommit": True, "ssl_disabled": True}
        self.settings: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, "user": "root"}
        if self.database not in self._filled:
            self._run(
                f"CREATE DATABASE IF NOT EXISTS {self.database} CHARACTER SET utf8mb4",
                "CREATE DATABASE IF NOT EXISTS fluxrun_other",
                "CREATE USER IF NOT EXISTS fluxrun@'127.0.0.1' IDENTIFIED BY 'open sesame 7'",
                database=None,
            )
            self._run(*_TABLES.split(";\n"), database=self.database)
            self._filled[self.database] = None
        self.reset()

    def reset(self) -> None:
        """The rows as every exercise finds them: most leave them so, and to fill the tables anew waits for the disk."""
        if self._state() != self._filled[self.database]:
            self._run("SET sql_mode = ''", *_ROWS.split(";\n"), database=self.database)
            self._filled[self.database] = self._state()

    def _state(self) -> Any:
        """Of every table; waits for the transactions that have changed rows and are under way."""
        return self._run("BEGIN", *_STATE, database=self.database)

    def _run(self, *statements: str, database: str | None) -> list[Any]:
        with contextlib.closing(pymysql.connect(**self._direct, database=database)) as connection:  # type: ignore[arg-type]
            cursor = connection.cursor()
            answers = []
            for statement in statements:
                cursor.execute(statement)
                answers.append(cursor.fetchall())
            return answers
