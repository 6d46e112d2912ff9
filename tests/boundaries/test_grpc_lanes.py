"""gRPC's own threads serve calls of many runs at once: what they do for a call lands on its run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from pytest_fluxrun.boundaries import grpc as grpc_boundary
from pytest_fluxrun.boundaries import threading as threading_boundary
from pytest_fluxrun.context import current_lane
from pytest_fluxrun.testing.sessions import MemoryRecorder
from tests.boundaries.grpc_server import GrpcOutside
from tests.boundaries.sessions import alone

RUNS, CALLS = 8, 5


@pytest.fixture
def outside() -> Iterator[GrpcOutside]:
    with alone(threading_boundary.boundary, grpc_boundary.boundary):
        outside = GrpcOutside()
        yield outside
        outside.take_away()


def test_calls_of_runs_that_share_a_channel_are_kept_apart(outside: GrpcOutside) -> None:
    """Futures, their callbacks, and messages of streams, of runs at once: each in the run that made the call."""
    started = threading.Barrier(RUNS)

    def run(channel: Any, number: int) -> tuple[MemoryRecorder, list[Any]]:
        recorder, sessions = MemoryRecorder(), []
        echo = channel.unary_unary("/test.S/unary_unary_echo")
        join = channel.stream_unary("/test.S/stream_unary_join")
        with recorder.open():
            started.wait(10)
            calls = [echo.future(b"%d" % number) for _ in range(CALLS)]
            calls += [join.future(iter([b"%d" % number] * 2)) for _ in range(CALLS)]
            for call in calls:
                done = threading.Event()
                call.add_done_callback(lambda _, done=done: (sessions.append(current_lane().session), done.set()))
                call.result(10)
                done.wait(10)
        return recorder, sessions

    with grpc.insecure_channel(outside.target) as channel, ThreadPoolExecutor(RUNS) as pool:
        ended = list(pool.map(lambda number: run(channel, number), range(RUNS)))

    for number, (recorder, sessions) in enumerate(ended):
        bodies = sorted(one.request["body"] for one in recorder.finish())
        assert [""] * CALLS + [str(number)] * (CALLS * 3) == bodies
        assert {recorder} == set(sessions)
