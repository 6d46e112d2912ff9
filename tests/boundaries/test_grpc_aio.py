"""grpc.aio against a real server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, ClassVar

import grpc
import grpc.aio
import pytest

from pytest_fluxrun.boundaries import asyncio as asyncio_boundary
from pytest_fluxrun.boundaries import grpc as grpc_boundary
from pytest_fluxrun.testing.boundary import BoundaryContract
from tests.boundaries.grpc_server import GrpcOutside
from tests.boundaries.test_grpc import MESSAGES, own


async def told(call: Any) -> dict[str, Any]:
    """What a call says of how it ended."""
    return {
        "code": await call.code(),
        "details": await call.details(),
        "initial": own(await call.initial_metadata()),
        "trailing": own(await call.trailing_metadata()),
        "done": call.done(),
        "cancelled": call.cancelled(),
    }


async def caught(awaitable: Awaitable[Any]) -> Any:
    """What it gives, or what its error tells."""
    try:
        return await awaitable
    except grpc.aio.AioRpcError as error:
        return type(error), error.code(), error.details(), own(error.initial_metadata()), own(error.trailing_metadata())


def exercise(function: Callable[[Any], Awaitable[Any]], target: str = "target") -> Callable[[Any], Any]:
    """On a channel of its own."""

    async def run(outside: Any) -> Any:
        async with grpc.aio.insecure_channel(getattr(outside, target)) as channel:
            return await function(channel)

    return run


async def unary(channel: Any) -> Any:
    return await channel.unary_unary("/test.S/unary_unary_echo")(b"hello")


async def metadata(channel: Any) -> Any:
    sent = grpc.aio.Metadata(("x-one", "1"), ("x-two-bin", b"\x01\xfe"))
    call = channel.unary_unary("/test.S/unary_unary_metadata")(b"", metadata=sent)
    return await call, await told(call)


async def callback(channel: Any) -> Any:
    call, seen = channel.unary_unary("/test.S/unary_unary_echo")(b"later"), asyncio.Event()
    call.add_done_callback(lambda _: seen.set())
    answer = await call
    await seen.wait()
    return answer, call.done(), await call.code()


async def app_error(channel: Any) -> Any:
    call = channel.unary_unary("/test.S/unary_unary_fail")(b"")
    return await caught(call), await told(call)


async def crash(channel: Any) -> Any:
    return await caught(channel.unary_unary("/test.S/unary_unary_crash")(b""))


async def raised(channel: Any) -> Any:
    try:
        await channel.unary_unary("/test.S/unary_unary_fail")(b"")
    except grpc.RpcError as error:
        raise LookupError(error.details()) from None  # its text tells the time, in grpc 1.60


async def no_method(channel: Any) -> Any:
    return await caught(channel.unary_unary("/test.S/unary_unary_absent")(b""))


async def deadline(channel: Any) -> Any:
    return await caught(channel.unary_unary("/test.S/unary_unary_slow")(b"", timeout=0.1))


async def unavailable(channel: Any) -> Any:
    kind, code, details, *_ = await caught(channel.unary_unary("/test.S/unary_unary_echo")(b""))
    return kind, code, "connect" in details


async def large(channel: Any) -> Any:
    return len(await channel.unary_unary("/test.S/unary_unary_echo")(b"x" * 1_000_000))


async def unary_stream(channel: Any) -> Any:
    call = channel.unary_stream("/test.S/unary_stream_count")(b"4")
    return [message async for message in call], await told(call)


async def read(channel: Any) -> Any:
    call, got = channel.unary_stream("/test.S/unary_stream_count")(b"3"), []
    while (message := await call.read()) is not grpc.aio.EOF:
        got.append(message)
    return got, await told(call)


async def stream_that_fails(channel: Any) -> Any:
    call = channel.unary_stream("/test.S/unary_stream_fail")(b"")
    return await call.read(), await caught(call.read())


async def stream_cancelled(channel: Any) -> Any:
    call = channel.unary_stream("/test.S/unary_stream_endless")(b"")
    got = [await call.read(), await call.read()]
    return got, call.cancel(), call.cancelled(), await call.code(), await call.details()


async def stream_left(channel: Any) -> Any:
    return await anext(aiter(channel.unary_stream("/test.S/unary_stream_endless")(b"")))


async def requests() -> AsyncIterator[bytes]:
    for message in MESSAGES:
        yield message


async def stream_unary(channel: Any) -> Any:
    call = channel.stream_unary("/test.S/stream_unary_join")(requests())
    return await call, await told(call)


async def written(channel: Any) -> Any:
    call = channel.stream_unary("/test.S/stream_unary_join")()
    for message in MESSAGES:
        await call.write(message)
    await call.done_writing()
    return await call


async def stream_unary_that_fails(channel: Any) -> Any:
    return await caught(channel.stream_unary("/test.S/stream_unary_fail")(iter(MESSAGES)))


async def stream_stream(channel: Any) -> Any:
    call = channel.stream_stream("/test.S/stream_stream_chat")(requests())
    return [message async for message in call], await told(call)


async def chat(channel: Any) -> Any:
    """Each message follows from the answer before it."""
    call, answers = channel.stream_stream("/test.S/stream_stream_chat")(), [b""]
    for number in range(3):
        await call.write(answers[-1] + str(number).encode())
        answers.append(await call.read())
    await call.done_writing()
    return answers, await call.read() is grpc.aio.EOF, await told(call)


class Adding(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc has no types
    """Adds metadata, and asks once more after an answer."""

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        details = details._replace(metadata=grpc.aio.Metadata(("x-added", "yes")))
        await (await continuation(details, request))
        return await continuation(details, request)


async def intercepted(outside: Any) -> Any:
    async with grpc.aio.insecure_channel(outside.target, interceptors=[Adding()]) as channel:
        return await channel.unary_unary("/test.S/unary_unary_metadata")(b"")


async def at_once(channel: Any) -> Any:
    method = channel.unary_unary("/test.S/unary_unary_echo")
    return await asyncio.gather(*(method(str(number).encode()) for number in range(5)))


# grpc 1.60's own: an intercepted call is collected when its loop is closed
@pytest.mark.filterwarnings("ignore:.*InterceptedCall.__del__:pytest.PytestUnraisableExceptionWarning")
class TestGrpcAio(BoundaryContract):
    """The asyncio API."""

    library, subject = "grpcio", "grpc.aio"
    boundary = grpc_boundary.boundary
    carriers = (asyncio_boundary.boundary,)
    unreached = frozenset({"unavailable", "no-such-method"})
    exercises: ClassVar = {
        "unary": exercise(unary),
        "metadata": exercise(metadata),
        "callback": exercise(callback),
        "error": exercise(app_error),
        "error-raised-on": exercise(raised),
        "crash": exercise(crash),
        "no-such-method": exercise(no_method),
        "deadline": exercise(deadline),
        "unavailable": exercise(unavailable, "refused"),
        "large": exercise(large),
        "unary-stream": exercise(unary_stream),
        "read": exercise(read),
        "stream-that-fails": exercise(stream_that_fails),
        "stream-cancelled": exercise(stream_cancelled),
        "stream-left": exercise(stream_left),
        "stream-unary": exercise(stream_unary),
        "written": exercise(written),
        "stream-unary-that-fails": exercise(stream_unary_that_fails),
        "stream-stream": exercise(stream_stream),
        "chat": exercise(chat),
        "interceptor": intercepted,
        "at-once": exercise(at_once),
    }

    @pytest.fixture
    def outside(self) -> Iterator[GrpcOutside]:
        outside = GrpcOutside()
        yield outside
        outside.take_away()
