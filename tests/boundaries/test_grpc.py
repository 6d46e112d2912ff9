"""gRPC's blocking API against a real server on loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import grpc
import pytest

from pytest_fluxrun.boundaries import grpc as grpc_boundary
from pytest_fluxrun.boundaries import threading as threading_boundary
from pytest_fluxrun.testing.boundary import BoundaryContract
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from tests.boundaries.grpc_server import METADATA, GrpcOutside
from tests.boundaries.sessions import alone

MESSAGES = (b"a", b"bb", b"ccc")


def told(call: Any) -> dict[str, Any]:
    """What a call or an error says of how it ended."""
    return {
        "type": type(call).__name__,
        "code": call.code(),
        "details": call.details(),
        "initial": own(call.initial_metadata()),
        "trailing": own(call.trailing_metadata()),
    }


def own(metadata: Any) -> list[Any]:
    """Metadata that our server set."""
    return [tuple(pair) for pair in metadata or () if not pair[0].startswith(("grpc-", "user-agent"))]


def caught(function: Callable[[], Any]) -> Any:
    """What it returns, or what its error tells."""
    try:
        return function()
    except grpc.RpcError as error:
        return told(error)


def exercise(function: Callable[[Any], Any], target: str = "target") -> Callable[[Any], Any]:
    """On a channel of its own."""

    def run(outside: Any) -> Any:
        with grpc.insecure_channel(getattr(outside, target)) as channel:
            return function(channel)

    return run


def unary(channel: Any) -> Any:
    return channel.unary_unary("/test.S/unary_unary_echo")(b"hello")


def with_call(channel: Any) -> Any:
    metadata = (("x-one", "1"), ("x-two-bin", b"\x01\xfe"))
    answer, call = channel.unary_unary("/test.S/unary_unary_metadata").with_call(b"", metadata=metadata)
    return answer, told(call)


def future(channel: Any) -> Any:
    call, seen = channel.unary_unary("/test.S/unary_unary_echo").future(b"later"), threading.Event()
    call.add_done_callback(lambda _: seen.set())
    return call.result(5), seen.wait(5), call.done(), call.cancelled(), call.exception(), call.code()


def failing_future(channel: Any) -> Any:
    call = channel.unary_unary("/test.S/unary_unary_fail").future(b"")
    return told(call.exception(5)), caught(call.result)


def app_error(channel: Any) -> Any:
    return caught(lambda: channel.unary_unary("/test.S/unary_unary_fail")(b""))


def crash(channel: Any) -> Any:
    return caught(lambda: channel.unary_unary("/test.S/unary_unary_crash")(b""))


def raised(channel: Any) -> Any:
    try:
        channel.unary_unary("/test.S/unary_unary_fail")(b"")
    except grpc.RpcError as error:
        raise LookupError(error.details()) from None  # its text tells the time, in grpc 1.60


def no_method(channel: Any) -> Any:
    return caught(lambda: channel.unary_unary("/test.S/unary_unary_absent")(b""))


def deadline(channel: Any) -> Any:
    return caught(lambda: channel.unary_unary("/test.S/unary_unary_slow")(b"", timeout=0.1))


def unavailable(channel: Any) -> Any:
    result = caught(lambda: channel.unary_unary("/test.S/unary_unary_echo")(b""))
    return result["code"], result["type"], "connect" in result["details"]


def large(channel: Any) -> Any:
    return len(channel.unary_unary("/test.S/unary_unary_echo")(b"x" * 1_000_000))


def serialised(channel: Any) -> Any:
    method = channel.unary_unary(
        "/test.S/unary_unary_echo", request_serializer=str.encode, response_deserializer=bytes.decode
    )
    return method("ä")


def unary_stream(channel: Any) -> Any:
    call = channel.unary_stream("/test.S/unary_stream_count")(b"4")
    return list(call), told(call)


def stream_that_fails(channel: Any) -> Any:
    call, got = channel.unary_stream("/test.S/unary_stream_fail")(b""), []
    return caught(lambda: got.extend(call)), got


def stream_cancelled(channel: Any) -> Any:
    call = channel.unary_stream("/test.S/unary_stream_endless")(b"")
    got = [next(call), next(call)]
    return got, call.cancel(), call.cancelled(), call.code(), caught(lambda: next(call))


def stream_left(channel: Any) -> Any:
    call = channel.unary_stream("/test.S/unary_stream_endless")(b"")
    return next(call)


def stream_unary(channel: Any) -> Any:
    return channel.stream_unary("/test.S/stream_unary_join")(iter(MESSAGES))


def stream_unary_future(channel: Any) -> Any:
    call = channel.stream_unary("/test.S/stream_unary_join").future(iter(MESSAGES))
    return call.result(5), told(call)


def stream_unary_that_fails(channel: Any) -> Any:
    return caught(lambda: channel.stream_unary("/test.S/stream_unary_fail")(iter(MESSAGES)))


def stream_stream(channel: Any) -> Any:
    call = channel.stream_stream("/test.S/stream_stream_chat")(iter(MESSAGES))
    return list(call), told(call)


def chat(channel: Any) -> Any:
    """Each message follows from the answer before it."""
    answers: list[bytes] = []
    came = threading.Semaphore(0)

    def requests() -> Iterator[bytes]:
        yield b"begin"
        for number in range(3):
            came.acquire()
            yield answers[-1] + str(number).encode()

    for answer in channel.stream_stream("/test.S/stream_stream_chat")(requests()):
        answers.append(answer)
        came.release()
    return answers


class Adding(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc has no types
    """Adds metadata, and asks once more after an error."""

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        details = details._replace(metadata=(*(details.metadata or ()), ("x-added", "yes")))
        continuation(details, request).code()
        return continuation(details, request)


def intercepted(channel: Any) -> Any:
    return grpc.intercept_channel(channel, Adding()).unary_unary("/test.S/unary_unary_metadata")(b"")


def at_once(channel: Any) -> Any:
    method = channel.unary_unary("/test.S/unary_unary_echo")
    return [call.result(5) for call in [method.future(str(number).encode()) for number in range(5)]]


class TestGrpc(BoundaryContract):
    """The blocking API."""

    library, subject = "grpcio", "grpc"
    boundary = grpc_boundary.boundary
    carriers = (threading_boundary.boundary,)
    unreached = frozenset({"unavailable", "no-such-method"})
    exercises: ClassVar = {
        "unary": exercise(unary),
        "with-call": exercise(with_call),
        "future": exercise(future),
        "failing-future": exercise(failing_future),
        "error": exercise(app_error),
        "error-raised-on": exercise(raised),
        "crash": exercise(crash),
        "no-such-method": exercise(no_method),
        "deadline": exercise(deadline),
        "unavailable": exercise(unavailable, "refused"),
        "large": exercise(large),
        "serialised": exercise(serialised),
        "unary-stream": exercise(unary_stream),
        "stream-that-fails": exercise(stream_that_fails),
        "stream-cancelled": exercise(stream_cancelled),
        "stream-left": exercise(stream_left),
        "stream-unary": exercise(stream_unary),
        "stream-unary-future": exercise(stream_unary_future),
        "stream-unary-that-fails": exercise(stream_unary_that_fails),
        "stream-stream": exercise(stream_stream),
        "chat": exercise(chat),
        "interceptor": exercise(intercepted),
        "at-once": exercise(at_once),
    }

    @pytest.fixture
    def outside(self) -> Iterator[GrpcOutside]:
        outside = GrpcOutside()
        yield outside
        outside.take_away()


@pytest.fixture
def _seams() -> Iterator[None]:
    with alone(threading_boundary.boundary, grpc_boundary.boundary):
        yield


def test_metadata_reaches_both_sides() -> None:
    """The exercise of that name shows what it says: the server saw ours, we saw the server's."""
    outside = GrpcOutside()

    answer, call = exercise(with_call)(outside)
    outside.take_away()

    assert b"[('x-one', '1'), ('x-two-bin', b'\\x01\\xfe')]" == answer
    assert ([*METADATA], [("trailer", "t"), *METADATA]) == (call["initial"], call["trailing"])


@pytest.mark.usefixtures("_seams")
def test_text_of_an_error_is_the_recorded_one() -> None:
    """With what the core says for debugging, and its instant."""
    outside, recorder = GrpcOutside(), MemoryRecorder()

    def text() -> str:
        with grpc.insecure_channel(outside.target) as channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/test.S/unary_unary_fail")(b"")
        return str(caught.value)

    with recorder.open():
        expected = text()
    outside.take_away()
    with MemoryReplayer(recorder.finish()).open():
        replayed = text()

    assert expected == replayed
    assert "debug_error_string" in replayed
