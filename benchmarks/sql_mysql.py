"""What a recorded statement costs the calling thread on each driver of MySQL: with 10 rows, with 1,000, and an INSERT.

Run by hand: `python benchmarks/sql_mysql.py [DRIVER ...]`, with a MariaDB on 127.0.0.1:3306 (root, no password). In one
process, in turn: nothing installed, FluxRun's seams without a run, with a run that is recorded.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from comparing import BATCH, ROUNDS, WARM_UP, awaited_batch, batch
from measuring import added, heading, interleaved, print_row

from pytest_fluxrun import ambient, patching, registry
from pytest_fluxrun.context import entered
from pytest_fluxrun.recording.recorder import Recorder

_SETTINGS: dict[str, Any] = {"host": "127.0.0.1", "port": 3306, "user": "root"}
_DRIVERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "pymysql": ("database", {"ssl_disabled": True}),
    "aiomysql": ("db", {}),
    "asyncmy": ("db", {}),
    "MySQLdb": ("database", {}),
}
_STATEMENTS: Mapping[str, tuple[str, float]] = {
    "10 rows": ("SELECT seq, CONCAT('name ', seq), seq * 1.5, NOW() FROM seq_1_to_10 WHERE seq > %s", 25),
    "1,000 rows": ("SELECT seq, CONCAT('name ', seq), seq * 1.5, NOW() FROM seq_1_to_1000 WHERE seq > %s", 60),
    "INSERT": ("INSERT INTO fluxrun_bench VALUES (%s)", 25),
}
_SEAMS: list[patching.Patch] = []


class Ways:
    """The ways of executing the same statement; figures are microseconds of the thread."""

    def __init__(self, driver: str, sql: str) -> None:
        self.module = import_module(driver)
        database, settings = _DRIVERS[driver]
        self.settings = {**_SETTINGS, database: "test", **settings}
        self.sql = sql

    def all(self) -> Mapping[str, Callable[[], float]]:
        """By name."""
        return {"bare": self.measured, "idle": self.idle, "recorded": self.recorded}

    def idle(self) -> float:
        """Seams, and no run."""
        patching.install(_SEAMS)
        try:
            return self.measured()
        finally:
            patching.restore_all()

    def recorded(self) -> float:
        """In a run of FluxRun's."""
        ambient.install()
        patching.install(_SEAMS)
        recorder = Recorder("bench", "function", lambda *_: None, max_bytes=1 << 30)
        try:
            with entered(recorder.lane):
                figure = self.measured()
        finally:
            recorder.close()
            patching.restore_all()
            ambient.uninstall()
        assert len(recorder.crossings) >= BATCH + WARM_UP, f"{len(recorder.crossings)} calls were recorded"
        return figure

    def measured(self) -> float:
        """A batch on a connection of its own."""
        if inspect.iscoroutinefunction(self.module.connect) or self.module.__name__ in ("aiomysql", "asyncmy"):
            return asyncio.run(self._awaited())
        connection = self.module.connect(**self.settings)
        cursor = connection.cursor()

        def statement() -> None:
            cursor.execute(self.sql, (0,))
            cursor.fetchall()

        try:
            return batch(statement, time.thread_time_ns)
        finally:
            connection.rollback()
            connection.close()

    async def _awaited(self) -> float:
        connection = await self.module.connect(**self.settings)
        async with connection.cursor() as cursor:

            async def statement() -> None:
                await cursor.execute(self.sql, (0,))
                await cursor.fetchall()

            figure = await awaited_batch(statement, time.thread_time_ns)
        await connection.rollback()
        await connection.ensure_closed()
        return figure


def main() -> None:
    """Print the rows of the drivers that are named, or of all."""
    chosen = sys.argv[1:] or list(_DRIVERS)
    heading(f"One statement on a MariaDB on loopback, {ROUNDS} rounds in turn")
    registry.install_seams()
    for driver in chosen:
        Ways(driver, "SELECT %s").measured()
    _SEAMS.extend(patching.installed_patches())
    patching.restore_all()
    _make_table()
    for driver in chosen:
        for name, (sql, bar) in _STATEMENTS.items():
            figures = interleaved(Ways(driver, sql).all(), rounds=ROUNDS)
            print_row(f"{driver}, {name}: seams without a run", added(figures, "idle", "bare"), "us", 5)
            print_row(f"{driver}, {name}: recorded", added(figures, "recorded", "bare"), "us", bar)


def _make_table() -> None:
    pymysql = import_module("pymysql")
    connection = pymysql.connect(**_SETTINGS, database="test", ssl_disabled=True)
    connection.cursor().execute("CREATE TABLE IF NOT EXISTS fluxrun_bench (number INT)")
    connection.close()


if __name__ == "__main__":
    main()
