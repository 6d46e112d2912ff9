"""What it costs a thread that the rows of its statements are kept: as psycopg2's tuples, or as their values.

Run by hand, with a PostgreSQL on this machine: `python benchmarks/kept_rows.py`. Nothing is recorded. In one process,
in turn, batches of statements of 1,000 rows: nothing kept, and all of a batch kept until its end. Besides what is added
to the thread's CPU, for one statement: minor page faults, and what the garbage collector took.
"""

from __future__ import annotations

import gc
import resource
import statistics
import time
from collections.abc import Callable

import psycopg2
from measuring import added, heading, interleaved, print_row

from pytest_fluxrun.kinds.rows import FlatRows

_STATEMENTS, _ROUNDS, _ROWS, _WIDTH = 100, 24, 1000, 4
_SQL = "SELECT g AS id, 'customer ' || g AS name, g * 1.5 AS total, now() AS at FROM generate_series(1, %s) g"


class Ways:
    """The ways of keeping; figures are microseconds of the thread's CPU for one statement, the mean of a batch."""

    def __init__(self) -> None:
        self.connection = psycopg2.connect("host=127.0.0.1 user=postgres dbname=test")
        self.connection.autocommit = True
        self.faults: dict[str, list[float]] = {}
        self.collected_us: dict[str, list[float]] = {}

    def measured(self, name: str, keep: Callable[[list[tuple[object, ...]]], object]) -> float:
        """One batch."""
        cursor = self.connection.cursor()
        kept, passes = [], []

        def timed(phase: str, _: object) -> None:
            passes.append(time.thread_time_ns() * (1 if phase == "stop" else -1))

        gc.callbacks.append(timed)
        faults = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        before = time.thread_time_ns()
        for _ in range(_STATEMENTS):
            cursor.execute(_SQL, (_ROWS,))
            kept.append(keep(cursor.fetchall()))
        taken = time.thread_time_ns() - before
        faults = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - faults
        gc.callbacks.remove(timed)
        self.faults.setdefault(name, []).append(faults / _STATEMENTS)
        self.collected_us.setdefault(name, []).append(sum(passes) / _STATEMENTS / 1000)
        return taken / _STATEMENTS / 1000


def _as_values(rows: list[tuple[object, ...]]) -> FlatRows:
    flat = FlatRows(_WIDTH)
    flat.extend(rows)
    return flat


def main() -> None:
    """Print the rows."""
    ways = Ways()
    keep: dict[str, Callable[[list[tuple[object, ...]]], object]] = {
        "nothing": lambda _: None,
        "tuples": list,
        "values": _as_values,
    }
    figures = interleaved(
        {name: lambda name=name, how=how: ways.measured(name, how) for name, how in keep.items()}, rounds=_ROUNDS
    )
    heading(f"psycopg2, statements of {_ROWS} rows, {_STATEMENTS} kept; CPU of the thread, {_ROUNDS} rounds in turn")
    for name in keep:
        collected_us = statistics.median(ways.collected_us[name])
        note = f"{statistics.median(ways.faults[name]):.0f} faults, {collected_us:.0f} µs of gc"
        figure = statistics.median(figures[name]) if name == "nothing" else added(figures, name, "nothing")
        print_row(f"{name} kept{' adds' * (name != 'nothing')}", figure, "µs", note=note)


if __name__ == "__main__":
    main()
