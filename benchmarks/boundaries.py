"""What a recorded call costs the calling thread, library by library, beside OpenTelemetry's instrumentation.

Run by hand: `python benchmarks/boundaries.py [NAME ...]`. In one process, in turn: nothing installed, OpenTelemetry (an
SDK tracer whose spans a batch processor drops), FluxRun's seams with a run that is recorded. Only the calls are timed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from clients import LIBRARIES, Library
from comparing import (
    BATCH,
    ROUNDS,
    WARM_UP,
    Clock,
    awaited_batch,
    batch,
    collecting_logs,
    compare,
    instrumentor_named,
    tracing,
)
from measuring import heading
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk.trace import TracerProvider
from upstream import upstream_server

from pytest_fluxrun import ambient, patching, registry
from pytest_fluxrun.context import entered
from pytest_fluxrun.recording.recorder import Recorder

_SEAMS: list[patching.Patch] = []


class Ways:
    """The ways of making the same calls; figures are microseconds a call."""

    def __init__(self, library: Library, address: str, provider: TracerProvider, clock: Clock) -> None:
        self.library = library
        self.address = address
        self.provider = provider
        self.clock = clock

    def all(self) -> Mapping[str, Callable[[], float]]:
        """Those that there are for this library."""
        traced = {"traced": self.traced} if self.library.instrumentor else {}
        return {"bare": self.bare, **traced, "recorded": self.recorded}

    def use(self) -> None:
        """Make some calls, so that all is imported that seams wait for."""
        figure = self.traced if self.library.instrumentor else self._measured
        figure()

    def bare(self) -> float:
        """Nothing installed."""
        assert not patching.installed()
        return self._measured()

    def traced(self) -> float:
        """OpenTelemetry's spans around the calls."""
        instrumentor = instrumentor_named(self.library.instrumentor)
        instrumentor.instrument(tracer_provider=self.provider)
        try:
            return self._measured()
        finally:
            instrumentor.uninstrument()

    def recorded(self) -> float:
        """In a run of FluxRun's."""
        ambient.install()
        patching.install(_SEAMS)
        recorder = Recorder("bench", "function", lambda *_: None)
        try:
            with entered(recorder.lane):
                figure = self._measured()
            late = len(patching.installed()) - len(_SEAMS)
        finally:
            recorder.close()
            patching.restore_all()
            ambient.uninstall()
        assert not late, f"{late} seams came late"
        recorded = len(recorder.crossings) + len(recorder.logs) + len(recorder.lanes)
        assert recorded >= BATCH + WARM_UP, f"{recorded} calls, logs and lanes were recorded"
        return figure

    def _measured(self) -> float:
        if self.library.asynchronous:
            return asyncio.run(self._awaited())
        with self.library.opened(self.address) as call:
            return batch(call, self.clock)

    async def _awaited(self) -> float:
        async with self.library.opened(self.address) as call:
            return await awaited_batch(call, self.clock)


def main() -> None:
    """Print the rows of the libraries that are named, or of all."""
    chosen = {name: LIBRARIES[name] for name in sys.argv[1:] or LIBRARIES}
    heading(f"One call, where there is a network with JSON there and back on loopback, {ROUNDS} rounds in turn")
    with ExitStack() as stack:
        provider = stack.enter_context(tracing())
        trace.set_tracer_provider(provider)  # the instrumentation of grpc looks for no other
        set_logger_provider(stack.enter_context(collecting_logs()))
        kinds = sorted({library.upstream for library in chosen.values()})
        addresses = {kind: stack.enter_context(upstream_server(kind)) for kind in kinds}
        registry.install_seams()
        for library in chosen.values():
            Ways(library, addresses[library.upstream], provider, time.thread_time_ns).use()
        _SEAMS.extend(patching.installed_patches())
        patching.restore_all()
        for name, library in chosen.items():
            _compare(name, library, addresses[library.upstream], provider)


def _compare(name: str, library: Library, address: str, provider: TracerProvider) -> None:
    compare(name, lambda clock: Ways(library, address, provider, clock).all())


if __name__ == "__main__":
    main()
