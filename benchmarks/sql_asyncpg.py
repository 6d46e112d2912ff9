"""What a recorded statement of asyncpg or psycopg2 costs the calling thread, over the same one without a run.

Run by hand, with a PostgreSQL on this machine: `python benchmarks/sql_asyncpg.py [PORT]`. In one process, in turn:
nothing installed, seams with no run, seams with a run that is recorded. CPU of the calling thread: the least of a
batch, since how long a server has slept makes what the kernel charges for its answer.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable

import asyncpg
import psycopg2
import psycopg2.extras
from measuring import added, heading, interleaved, print_row

from pytest_fluxrun import ambient, patching
from pytest_fluxrun.boundaries.asyncpg import boundary as asyncpg_boundary
from pytest_fluxrun.boundaries.psycopg2 import boundary as psycopg2_boundary
from pytest_fluxrun.context import LANE, entered
from pytest_fluxrun.recording.recorder import Recorder

BATCH, ROUNDS = 20, 60
ROWS = "SELECT g AS id, 'customer ' || g AS name, g * 1.5 AS total, now() AS at FROM generate_series(1, $1::int) g"
Statement = Callable[[asyncpg.Connection], Awaitable[object]]
STATEMENTS: dict[str, tuple[Statement, float]] = {
    "fetch, 10 rows": (lambda connection: connection.fetch(ROWS, 10), 25),
    "fetch, 1,000 rows": (lambda connection: connection.fetch(ROWS, 1000), 60),
    "fetchval": (lambda connection: connection.fetchval("SELECT $1::int", 5), 25),
    "execute": (lambda connection: connection.execute("SELECT 1"), 25),
}


def _fetchall(rows: int) -> Callable[[psycopg2.extensions.cursor], object]:
    def ask(cursor: psycopg2.extensions.cursor) -> object:
        cursor.execute(ROWS.replace("$1::int", "%s"), (rows,))
        return cursor.fetchall()

    return ask


def _iterated(cursor: psycopg2.extensions.cursor) -> object:
    cursor.execute(ROWS.replace("$1::int", "%s"), (1000,))
    return list(cursor)


BLOCKING: dict[str, tuple[Callable[[psycopg2.extensions.cursor], object], float]] = {
    "fetchall, 10 rows": (_fetchall(10), 25),
    "fetchall, 1,000 rows": (_fetchall(1000), 60),
    "iterated, 1,000 rows": (_iterated, 60),
    "execute": (lambda cursor: cursor.execute("SELECT 1"), 25),
}


class Ways:
    """The ways of making one statement on one connection; figures are microseconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: asyncpg.Connection, statement: Statement) -> None:
        self.loop = loop
        self.connection = connection
        self.statement = statement

    def patches(self) -> Iterable[patching.Patch]:
        """The library's seams."""
        return asyncpg_boundary.patches(asyncpg)

    def bare(self) -> float:
        """Nothing installed."""
        return self._measured(None)

    def seams(self) -> float:
        """Seams, and no run."""
        patching.install(self.patches())
        try:
            return self._measured(None)
        finally:
            patching.restore_all()

    def recorded(self) -> float:
        """In one run."""
        ambient.install()
        patching.install(self.patches())
        try:
            return self._measured(_recorder())
        finally:
            patching.restore_all()
            ambient.uninstall()

    def _measured(self, recorder: Recorder | None) -> float:
        with entered(None if recorder is None else recorder.lane):
            return self.loop.run_until_complete(self._batch())

    async def _batch(self) -> float:
        taken = []
        for _ in range(BATCH + 1):
            before = time.thread_time_ns()
            await self.statement(self.connection)
            taken.append(time.thread_time_ns() - before)
        return min(taken[1:]) / 1000


class FirstOfRun(Ways):
    """The same, and each statement the first of its run."""

    async def _batch(self) -> float:
        taken = []
        for _ in range(BATCH):
            with entered(None if LANE.get() is None else _recorder().lane):
                before = time.thread_time_ns()
                await self.statement(self.connection)
                taken.append(time.thread_time_ns() - before)
        return min(taken) / 1000


class Blocking(Ways):
    """The ways of making one statement of psycopg2's, each on a connection that was opened the same way."""

    def __init__(self, port: int, statement: Callable[[psycopg2.extensions.cursor], object]) -> None:
        self.asks = statement
        self.dsn = f"host=127.0.0.1 port={port} user=postgres dbname=test"
        self.cursors: dict[bool, psycopg2.extensions.cursor] = {}

    def patches(self) -> Iterable[patching.Patch]:
        """The library's seams."""
        return psycopg2_boundary.patches(psycopg2)

    def _measured(self, recorder: Recorder | None) -> float:
        seamed = bool(patching.installed())
        if seamed not in self.cursors:
            connection = psycopg2.connect(self.dsn)
            connection.autocommit = True
            self.cursors[seamed] = connection.cursor()
        cursor = self.cursors[seamed]
        taken = []
        with entered(None if recorder is None else recorder.lane):
            for _ in range(BATCH + 1):
                before = time.thread_time_ns()
                self.asks(cursor)
                taken.append(time.thread_time_ns() - before)
        return min(taken[1:]) / 1000

    def close(self) -> None:
        """Close the connections."""
        for cursor in self.cursors.values():
            cursor.connection.close()


def _recorder() -> Recorder:
    return Recorder("bench", "function", lambda *_: None)


def main() -> None:
    """Print the rows of each statement, and of one that is the first of its run."""
    port = int(sys.argv[1]) if sys.argv[1:] else 5432
    heading(f"asyncpg, one statement, CPU of the calling thread, {ROUNDS} rounds in turn")
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(host="127.0.0.1", port=port, user="postgres", database="test"))
    for name, (statement, bar) in STATEMENTS.items():
        _print(name, Ways(loop, connection, statement), bar)
    _print("first of a run, 10 rows", FirstOfRun(loop, connection, STATEMENTS["fetch, 10 rows"][0]), None)
    loop.run_until_complete(connection.close())
    loop.close()
    heading(f"psycopg2, one statement, CPU of the calling thread, {ROUNDS} rounds in turn")
    for name, (ask, bar) in BLOCKING.items():
        ways = Blocking(port, ask)
        _print(name, ways, bar)
        ways.close()


def _print(name: str, ways: Ways, bar: float | None) -> None:
    figures = interleaved({"bare": ways.bare, "seams": ways.seams, "recorded": ways.recorded}, rounds=ROUNDS)
    print_row(f"{name}: itself", statistics.median(figures["bare"]), "µs")
    print_row(f"{name}: seams without a run add", added(figures, "seams", "bare"), "µs")
    print_row(f"{name}: recording adds", added(figures, "recorded", "bare"), "µs", bar)


if __name__ == "__main__":
    main()
