"""What it costs a request's or a task's thread to be a run, beside OpenTelemetry's instrumentation of the framework.

Run by hand: `python benchmarks/entries.py [NAME ...]`. In one process, in turn: the app alone, OpenTelemetry (an SDK
tracer whose spans a batch processor drops), FluxRun as `init` sets it up; its runs are successes, which it lets go of.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from comparing import BATCH, ROUNDS, WARM_UP, Clock, awaited_batch, batch, compare, tracing
from driving import project
from handlers import FRAMEWORKS, Framework
from measuring import heading
from opentelemetry.sdk.trace import TracerProvider

import pytest_fluxrun as fluxrun
from pytest_fluxrun import ambient, patching
from pytest_fluxrun.context import LANE
from pytest_fluxrun.entry import Entry, OpenRun, set_opener
from pytest_fluxrun.recording import service

_SEAMS: list[patching.Patch] = []


class Ways:
    """The ways of working off the same requests; figures are microseconds a request."""

    def __init__(self, framework: Framework, provider: TracerProvider, clock: Clock) -> None:
        self.framework = framework
        self.provider = provider
        self.clock = clock

    def all(self) -> Mapping[str, Callable[[], float]]:
        """By name."""
        traced = {} if self.framework.traced is None else {"traced": self.traced}
        return {"bare": self.bare, **traced, "recorded": self.recorded}

    def use(self) -> None:
        """Serve some, so that all is imported that seams wait for."""
        if self.framework.traced is not None:
            self.traced()
        self._measured(self.framework.recorded())

    def bare(self) -> float:
        """Nothing installed."""
        assert not patching.installed()
        return self._measured(self.framework.bare())

    def traced(self) -> float:
        """A span for each request."""
        assert self.framework.traced is not None
        app, uninstrument = self.framework.traced(self.provider)
        try:
            return self._measured(app)
        finally:
            uninstrument()

    def recorded(self) -> float:
        """Each request is a run."""
        recording = service._service
        assert recording is not None
        runs = 0

        def opener(name: str, entry: Entry) -> OpenRun:
            nonlocal runs
            runs += 1
            return recording.open_run(name, entry)

        ambient.install()
        patching.install(_SEAMS)
        set_opener(opener, fluxrun.flush)  # a Lambda handler waits for what it has recorded
        try:
            app = self.framework.recorded()
            figure = contextvars.copy_context().run(self._measured_after, recording.preamble.lane, app)
        finally:
            set_opener(None)
            patching.restore_all()
            ambient.uninstall()
            assert fluxrun.flush(60)
        assert runs == BATCH + WARM_UP, f"{runs} runs"
        return figure

    def _measured_after(self, lane: Any, app: Any) -> float:
        """In the context that `init` leaves behind."""
        LANE.set(lane)
        return self._measured(app)

    def _measured(self, app: Any) -> float:
        invoke = self.framework.invoke(app)
        if self.framework.asynchronous:
            return asyncio.run(awaited_batch(invoke, self.clock))
        return batch(invoke, self.clock)


def main() -> None:
    """Print the rows of the frameworks that are named, or of all."""
    chosen = {name: FRAMEWORKS[name] for name in sys.argv[1:] or FRAMEWORKS}
    with tempfile.TemporaryDirectory() as folder, tracing() as provider:
        os.environ.update(project(Path(folder)), FLUXRUN_STORE=f"{folder}/runs")
        contextvars.copy_context().run(fluxrun.init, project="bench")
        for framework in chosen.values():
            Ways(framework, provider, time.thread_time_ns).use()
        set_opener(None)
        _SEAMS.extend(patching.installed_patches())
        patching.restore_all()
        ambient.uninstall()
        heading(f"One request or task, invoked without a server or worker, {ROUNDS} rounds in turn")
        for name, framework in chosen.items():
            _compare(name, framework, provider)


def _compare(name: str, framework: Framework, provider: TracerProvider) -> None:
    compare(name, lambda clock: Ways(framework, provider, clock).all())


if __name__ == "__main__":
    main()
