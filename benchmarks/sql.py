"""What a recorded SQL statement costs the calling thread, library by library, over the same statement by itself.

Run by hand: `python benchmarks/sql.py [NAME ...]`, with the server of each library on this machine. In one process, in
turn: nothing installed, the same with the answers kept, as a recording must, FluxRun's seams with no run, and with a
run that is recorded. Only the statements are timed.
"""

from __future__ import annotations

import contextvars
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from comparing import BATCH, batch
from measuring import added, heading, interleaved, print_row

from pytest_fluxrun import ambient, patching, registry
from pytest_fluxrun.context import entered
from pytest_fluxrun.recording.recorder import Recorder

_SEAMS: list[patching.Patch] = []
_ROUNDS: Final = 24
_BARS_US: Final = {10: 25.0, 1000: 60.0}
"""By rows of a statement."""

Statement = Callable[[], object]
"""Returns what the driver keeps of its answer."""
Opened = Callable[[int], AbstractContextManager[Statement]]


@contextmanager
def psycopg_statements(rows: int) -> Iterator[Statement]:
    """On one connection of psycopg's, in autocommit."""
    import psycopg

    query = "SELECT n, 'name ' || n AS name, n * 1.5 AS price FROM generate_series(1, %s) n"
    with psycopg.connect("host=127.0.0.1 user=postgres dbname=test", autocommit=True) as connection:
        connection.prepare_threshold = None

        def statement() -> object:
            cursor = connection.execute(query, (rows,))
            cursor.fetchall()
            return cursor.pgresult

        yield statement


LIBRARIES: Final[Mapping[str, Opened]] = {"psycopg": psycopg_statements}


class Ways:
    """The ways of making the same statement; figures are microseconds of the calling thread's CPU."""

    def __init__(self, opened: Opened, rows: int) -> None:
        self._opened = opened
        self._rows = rows

    def all(self) -> Mapping[str, Callable[[], float]]:
        """By name."""
        return {"bare": self.bare, "kept": self.kept, "seams": self.seams, "recorded": self.recorded}

    def bare(self) -> float:
        """Nothing installed."""
        assert not patching.installed()
        return self.measured()

    def kept(self) -> float:
        """Nothing installed, and the program keeps the driver's answers."""
        return self.measured([])

    def seams(self) -> float:
        """Seams, and no run."""
        with _installed():
            return self.measured()

    def recorded(self) -> float:
        """In a run, whose writer isn't at work."""
        recorder = Recorder("bench", "function", lambda *_: None, max_bytes=1 << 30)
        with _installed():
            try:
                with entered(recorder.lane):
                    figure = self.measured()
            finally:
                recorder.close()
        assert len(recorder.crossings) >= BATCH, f"{len(recorder.crossings)} statements were recorded"
        recorder.release()  # as the writer does
        return figure

    def measured(self, kept: list[object] | None = None) -> float:
        """A batch of statements on a connection of its own."""
        with self._opened(self._rows) as statement:
            return batch(statement if kept is None else lambda: kept.append(statement()), time.thread_time_ns)


@contextmanager
def _installed() -> Iterator[None]:
    ambient.install()
    patching.install(_SEAMS)
    try:
        yield
    finally:
        patching.restore_all()
        ambient.uninstall()


def main() -> None:
    """Print the rows of the libraries that are named, or of all."""
    chosen = {name: LIBRARIES[name] for name in sys.argv[1:] or LIBRARIES}
    registry.install_seams()
    for opened in chosen.values():
        Ways(opened, 1).measured()
    _SEAMS.extend(patching.installed_patches())
    patching.restore_all()
    heading(f"One SQL statement to a server on loopback, {_ROUNDS} rounds in turn; CPU of the calling thread")
    for name, opened in chosen.items():
        for rows, bar_us in _BARS_US.items():
            figures = contextvars.Context().run(interleaved, Ways(opened, rows).all(), rounds=_ROUNDS)
            print_row(f"{name}, {rows} rows: itself", statistics.median(figures["bare"]), "µs")
            print_row(f"{name}, {rows} rows: keeping the answers alone adds", added(figures, "kept", "bare"), "µs")
            print_row(f"{name}, {rows} rows: seams and no run add", added(figures, "seams", "bare"), "µs")
            print_row(f"{name}, {rows} rows: recording adds", added(figures, "recorded", "bare"), "µs", bar_us)


if __name__ == "__main__":
    main()
