"""Runs that call gRPC, recorded against a live server and replayed with it stopped, through the plugin."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.boundaries.grpc_server import GrpcOutside
from tests.plugin.kiosk import Kiosk
from tests.plugin.recorded import recorded_kiosk

SERVICE = '''\
"""Channels made at import, used by runs, blocking and asyncio."""

import asyncio
import os
import threading
import time
import uuid

import grpc
import grpc.aio

import pytest_fluxrun as fluxrun

fluxrun.init(project="kiosk")

channel = grpc.insecure_channel(os.environ["TARGET"])
echo = channel.unary_unary("/test.S/unary_unary_echo", _registered_method=True)
chat = channel.stream_stream("/test.S/stream_stream_chat")
grpc.channel_ready_future(channel).result(timeout=10)


@fluxrun.capture("blocking")
def blocking():
    """One of each, at once and one after another."""
    futures = [echo.future(uuid.uuid4().bytes) for _ in range(3)]
    called = []
    futures[0].add_done_callback(lambda call: called.append(call.code().name))
    answers = [call.result(timeout=5).hex() for call in futures]
    answers += [message.decode() for message in chat(iter([b"a", b"b"]))]
    counted = list(channel.unary_stream("/test.S/unary_stream_count")(b"3", timeout=5))
    joined = channel.stream_unary("/test.S/stream_unary_join")(iter([b"x", b"y"]))
    try:
        channel.unary_unary("/test.S/unary_unary_fail")(b"", timeout=5)
    except grpc.RpcError as error:
        failed = (error.code().name, error.details())
    try:
        channel.unary_unary("/test.S/unary_unary_slow")(b"", timeout=0.2)
    except grpc.RpcError as error:
        late = error.code().name
    return {"answers": answers, "counted": counted, "joined": joined, "failed": failed, "late": late, "called": called}


@fluxrun.capture("left")
def left():
    """Streams that are left in the middle, cancelled and not."""
    cancelled = channel.unary_stream("/test.S/unary_stream_endless")(b"")
    first = next(cancelled)
    cancelled.cancel()
    other = next(channel.unary_stream("/test.S/unary_stream_endless")(b""))
    return {"first": first, "code": cancelled.code().name, "other": other}


@fluxrun.capture("awaiting")
async def awaiting():
    """The same with asyncio, on a channel of the run."""
    async with grpc.aio.insecure_channel(os.environ["TARGET"]) as aio:
        await aio.channel_ready()
        method = aio.unary_unary("/test.S/unary_unary_echo")
        answers = await asyncio.gather(*(method(str(number).encode()) for number in range(3)))
        call = aio.stream_stream("/test.S/stream_stream_chat")()
        await call.write(b"one")
        answers.append(await call.read())
        await call.done_writing()
        counted = [message async for message in aio.unary_stream("/test.S/unary_stream_count")(b"3")]
        try:
            await asyncio.wait_for(aio.unary_unary("/test.S/unary_unary_slow")(b""), 0.2)
        except asyncio.TimeoutError:
            late = "late"
    return {"answers": answers, "counted": counted, "late": late, "code": (await call.code()).name}


@fluxrun.capture("aside")
def aside():
    """A thread that belongs to no run asks."""
    box.put(None)
    return done.get()


import queue

box, done = queue.SimpleQueue(), queue.SimpleQueue()


def worker():
    while True:
        box.get()
        try:
            done.put(echo(b"aside").decode())
        except BaseException as error:
            done.put(type(error).__name__)


if os.environ.get("WORKER"):
    import _thread

    from pytest_fluxrun.context import entered

    with entered(None):
        _thread.start_new_thread(worker, ())
'''

RECORD = """\
import asyncio, sys, service
for entry in sys.argv[1].split(","):
    returned = getattr(service, entry)()
    if entry == "awaiting":
        asyncio.run(returned)
assert service.fluxrun.flush(20)
"""


@pytest.fixture
def outside() -> GrpcOutside:
    """Taken away by the test, between recording and replay."""
    return GrpcOutside()


def recorded(base: Path, outside: GrpcOutside, *entries: str, **variables: str) -> Kiosk:
    """The runs of these entries."""
    with contextlib.ExitStack() as ended:
        ended.callback(outside.take_away)
        return recorded_kiosk(base, SERVICE, "", RECORD, ",".join(entries), TARGET=outside.target, **variables)


def test_runs_replay_with_the_server_stopped(tmp_path: Path, outside: GrpcOutside) -> None:
    """Blocking and asyncio: futures, callbacks, streams, errors, deadlines and what was left, on channels of before."""
    kiosk = recorded(tmp_path, outside, "blocking", "left", "awaiting")
    hits = outside.hits

    suite = kiosk.replay(TARGET=outside.target)

    assert {"passed": 3} == suite.results, suite.output
    assert hits == outside.hits


def test_changed_message_is_seen(tmp_path: Path, outside: GrpcOutside) -> None:
    """In a unary call and in a stream of requests alike."""
    kiosk = recorded(tmp_path, outside, "blocking")
    kiosk.edit("service.py", 'iter([b"x", b"y"])', 'iter([b"x", b"z"])')

    suite = kiosk.replay(TARGET=outside.target)

    assert "failed" == suite.case("blocking").result, suite.output
    assert "changed-effect" in suite.case("blocking").text


def test_unrecorded_call_is_refused(tmp_path: Path, outside: GrpcOutside) -> None:
    """A method that the run never called raises at once and names the call."""
    kiosk = recorded(tmp_path, outside, "left")
    kiosk.edit("service.py", "first = next(cancelled)", 'first = echo(b"new")')

    suite = kiosk.replay(TARGET=outside.target)

    assert f"grpc POST grpc://{outside.target}/test.S/unary_unary_echo new" in suite.case("left").text


def test_call_outside_every_run_is_blocked(tmp_path: Path, outside: GrpcOutside) -> None:
    """The core raises no event that a fence hears, so the boundary says so: blocked by name, with a live server."""
    kiosk = recorded_kiosk(tmp_path, SERVICE, "", RECORD, "aside", TARGET=outside.target, WORKER="1")
    hits = outside.hits

    suite = kiosk.replay(TARGET=outside.target, WORKER="1")
    outside.take_away()

    assert ("failed", "leaked") == (suite.case("aside").result, suite.case("aside").verdict), suite.output
    assert f"gRPC call {outside.target}/test.S/unary_unary_echo" in suite.output
    assert hits == outside.hits
