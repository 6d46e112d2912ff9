"""What recording adds to a request of one httpx and three sqlite3 calls: CPU of the request's thread, in turn.

Run by hand: `python benchmarks/recording.py`. In one process: no seams, seams and no session, recorded and let go,
recorded and kept. Seams are taken out and put back between the batches; only requests are timed.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpcore
from driving import one_request, project
from measuring import added, heading, interleaved, print_row
from upstream import upstream_server

import pytest_fluxrun as fluxrun
from pytest_fluxrun import ambient, patching
from pytest_fluxrun.context import LANE, set_outside
from pytest_fluxrun.entry import set_opener
from pytest_fluxrun.recording import service, writer

BATCH, WARM_UP, ROUNDS = 50, 15, 16


class NoNetwork:
    """A connection pool that answers at once: what is left of a request is steady enough to see microseconds in it."""

    async def handle_async_request(self, request: Any) -> httpcore.Response:
        """A charge."""
        del request
        return httpcore.Response(200, headers=[(b"content-type", b"application/json")], content=b'{"charge": "ch_1"}')

    async def aclose(self) -> None:
        """Nothing to close."""


async def batch(app: Any, path: str, clock: Callable[[], int], *, network: bool) -> float:
    """Microseconds of the clock for one request: the lower quartile of a batch, after a warm-up."""
    import shop_front

    shop_front.open_resources()
    if not network:
        shop_front.Resources.client._transport._pool = NoNetwork()
    taken = []
    for turn in range(WARM_UP + BATCH):
        before = clock()
        await one_request(app, path)
        if turn >= WARM_UP:
            taken.append(clock() - before)
    assert shop_front.Resources.client is not None
    assert shop_front.Resources.database is not None
    await shop_front.Resources.client.aclose()
    shop_front.Resources.database.close()
    return statistics.quantiles(taken, n=4)[0] / 1000


class Ways:
    """The ways of serving the same request."""

    def __init__(self, recording: Any) -> None:
        import shop_front

        self.opener = recording.open_run
        self.lane = recording.preamble.lane
        self.orphans = recording.orphans
        self.app = shop_front.app
        self.bare_app = shop_front.front
        self.seams = [seam.patch for seam in patching._seams.values()]
        self.clock = time.thread_time_ns
        self.network = True

    def bare(self) -> float:
        """Nothing of FluxRun."""
        patching.restore_all()
        ambient.uninstall()
        return self._run(self.bare_app, "/", None)

    def idle(self) -> float:
        """Seams, and nobody who records."""
        self._install()
        set_opener(None)
        set_outside(None)
        return self._run(self.app, "/", None)

    def outside(self) -> float:
        """The process records, and the calls belong to no run: they are counted and named."""
        self._install()
        set_opener(None)
        return self._run(self.app, "/", None)

    def let_go(self) -> float:
        """Recorded; a success that isn't sampled."""
        return self._recorded("/")

    def kept(self) -> float:
        """Recorded; failures, which the writer seals when the batch is over."""
        writer._POLL_S = 3600.0
        return self._kept()

    def beside(self) -> float:
        """The same while the writer seals the batch's first runs: two threads want one interpreter lock."""
        writer._POLL_S = 0.001
        return self._kept()

    def _kept(self) -> float:
        assert fluxrun.flush(60)
        figure = self._recorded("/fail")
        assert fluxrun.flush(60)
        return figure

    def _recorded(self, path: str) -> float:
        self._install()
        set_opener(self.opener)
        return self._run(self.app, path, self.lane)

    def _install(self) -> None:
        patching.install(self.seams)
        ambient.install()
        set_outside(self.orphans)

    def _run(self, app: Any, path: str, lane: Any) -> float:
        def run() -> float:
            LANE.set(lane)
            with asyncio.Runner() as runner:
                return runner.run(batch(app, path, self.clock, network=self.network))

        return contextvars.Context().run(run)


def writer_cpu_ns() -> int:
    """CPU of the writer's thread so far."""
    ident = next((each.ident for each in threading.enumerate() if each.name == "fluxrun-writer"), None)
    return 0 if ident is None else time.clock_gettime_ns(time.pthread_getcpuclockid(ident))


def main() -> None:
    """Print the rows."""
    with tempfile.TemporaryDirectory() as name, upstream_server() as url:
        os.environ.update(project(Path(name)), BENCH_UPSTREAM=url, FLUXRUN_STORE=f"{name}/runs")
        contextvars.copy_context().run(fluxrun.init, project="bench")
        recording = service._service
        assert recording is not None
        ways = Ways(recording)
        variants = {
            "bare": ways.bare,
            "idle": ways.idle,
            "let go": ways.let_go,
            "kept": ways.kept,
            "beside": ways.beside,
        }
        cpu = interleaved(variants, rounds=ROUNDS)
        ways.network = False
        unseen = {"bare": ways.bare, "idle": ways.idle, "outside": ways.outside}
        idle = interleaved(unseen, rounds=2 * ROUNDS)
        ways.network, ways.clock = True, time.perf_counter_ns
        wall = interleaved(variants, rounds=ROUNDS // 4)
        _print(cpu, idle, wall, recording)


def _print(
    cpu: dict[str, list[float]], idle: dict[str, list[float]], wall: dict[str, list[float]], recording: Any
) -> None:
    heading(f"Recording, 1 httpx + 3 sqlite3 calls: CPU of the request's thread, {ROUNDS} rounds in turn")

    def note(name: str) -> str:
        return f"+{added(wall, name, 'bare') / 1000:.3f} ms wall"

    print_row("the request itself", statistics.median(cpu["bare"]) / 1000, "ms", note="no seams")
    print_row("seams installed, no session", added(idle, "idle", "bare"), "µs", 5, "measured without the network")
    print_row("recording, calls outside every run", added(idle, "outside", "bare"), "µs", note="likewise")
    print_row("recorded, not kept", added(cpu, "let go", "bare") / 1000, "ms", 0.15, note("let go"))
    print_row("recorded, kept", added(cpu, "kept", "bare") / 1000, "ms", 0.15, note("kept"))
    print_row("kept, while the writer seals others", added(cpu, "beside", "bare") / 1000, "ms", None, note("beside"))
    stored = service.recording_status()
    print_row("the writer's thread, for each kept run", writer_cpu_ns() / 1e6 / max(1, stored["stored"]), "ms")
    if recording.dropped:
        print(f"  dropped: {dict(recording.dropped)}")


if __name__ == "__main__":
    main()
