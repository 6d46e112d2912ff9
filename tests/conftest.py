"""What tests of several parts share: the seams that carry lanes, and the smallest sessions that own a lane."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures.thread
import multiprocessing.pool
import queue
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import anyio._backends._asyncio
import pytest
import uvloop

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import anyio as anyio_seams
from pytest_fluxrun.boundaries import asyncio as asyncio_seams
from pytest_fluxrun.boundaries import concurrent_futures, multiprocessing_pool, sleep
from pytest_fluxrun.boundaries import queue as queue_seams
from pytest_fluxrun.boundaries import threading as threading_seams
from pytest_fluxrun.context import Lane, entered
from pytest_fluxrun.replaying import event_loop
from pytest_fluxrun.replaying.event_loop import VirtualLoop
from pytest_fluxrun.replaying.virtual_clock import VirtualClock

_SEAMS: list[tuple[Any, ModuleType]] = [
    (sleep, time),
    (asyncio_seams, asyncio),
    (asyncio_seams, uvloop),
    (threading_seams, threading),
    (threading_seams, queue),
    (threading_seams, _thread),
    (queue_seams, queue),
    (concurrent_futures, concurrent.futures.thread),
    (concurrent_futures, concurrent.futures._base),
    (multiprocessing_pool, multiprocessing.pool),
    (anyio_seams, anyio._backends._asyncio),
]


class LaneOwner:
    """The smallest session: it owns lanes, and a clock where it replays."""

    preamble = False
    closed = False

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = clock

    def ambient_for(self, lane: Lane) -> None:
        """Reads are real ones."""


class Replaying:
    """One run on one virtual clock, as the stage drives it; the loop outlives it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.clock = VirtualClock()
        self.session = LaneOwner(self.clock)
        self.lane = Lane(self.session)

    def drive(self, make: Callable[[], Any]) -> Any:
        """Run the coroutine that `make` returns as the run, to its end."""

        async def in_lane() -> Any:
            with entered(self.lane):
                return await make()

        return event_loop.drive(self.loop, in_lane(), self.clock)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function as the run."""
        with entered(self.lane):
            return event_loop.call(function, self.clock)

    def finish(self) -> None:
        """End the run."""
        self.session.closed = True
        event_loop.finish(self.loop, self.clock)

    @property
    def now_s(self) -> float:
        """Virtual seconds since the run began, to the millisecond."""
        return round(self.clock.now_ns() / 1e9, 3)


@pytest.fixture
def lane_seams() -> Iterator[None]:
    """Tasks, threads, pools, sleeps and waits patched for the length of a test."""
    for boundary_file, module in _SEAMS:
        patching.install(boundary_file.boundary.patches(module))
    yield
    patching.restore_all()


@pytest.fixture
def recorded_lane(lane_seams: None) -> Lane:
    """The root lane of a run that is being recorded: real time."""
    return Lane(LaneOwner())


@pytest.fixture(scope="session")
def virtual_loop() -> Iterator[VirtualLoop]:
    """One loop for every replay of the session, as in the stage."""
    loop = VirtualLoop()
    yield loop
    loop.close()


@pytest.fixture
def new_replay(lane_seams: None, virtual_loop: VirtualLoop) -> Iterator[Callable[[], Replaying]]:
    """Makes replays one after the other; each is ended with the test."""
    made: list[Replaying] = []

    def new() -> Replaying:
        made.append(Replaying(virtual_loop))
        return made[-1]

    yield new
    for replaying in made:
        replaying.finish()


@pytest.fixture
def replay(new_replay: Callable[[], Replaying]) -> Replaying:
    """One replay."""
    return new_replay()
