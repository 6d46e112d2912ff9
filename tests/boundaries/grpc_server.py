"""A gRPC server on loopback that speaks bytes: the outside of the tests of both APIs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc

__all__ = ["METADATA", "GrpcOutside"]

METADATA = (("answered-by", "test"), ("blob-bin", b"\x00\xff"))


class _Service(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """`/test.S/<name>`: the method of that name, by its prefix the four sorts of call."""

    def __init__(self, outside: GrpcOutside) -> None:
        self._outside = outside

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        behaviour = getattr(self, name, None)
        if behaviour is None:
            return None
        self._outside.hits += 1
        sort = "_".join(name.split("_")[:2])
        return getattr(grpc, f"{sort}_rpc_method_handler")(behaviour)

    def unary_unary_echo(self, request: bytes, _: Any) -> bytes:
        return b"<" + request + b">"

    def unary_unary_metadata(self, _: bytes, context: Any) -> bytes:
        context.send_initial_metadata(METADATA)
        context.set_trailing_metadata((("trailer", "t"), *METADATA))
        return repr(sorted(tuple(pair) for pair in context.invocation_metadata() if pair[0].startswith("x-"))).encode()

    def unary_unary_fail(self, _: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("why", "because"),))
        return context.abort(grpc.StatusCode.NOT_FOUND, "nö such thing")  # type: ignore[no-any-return]

    def unary_unary_slow(self, _: bytes, context: Any) -> bytes:
        gone = threading.Event()
        context.add_callback(gone.set)
        gone.wait(5)
        return b""

    def unary_unary_crash(self, _: bytes, __: Any) -> bytes:
        raise RuntimeError("crashed")

    def unary_stream_count(self, request: bytes, _: Any) -> Iterator[bytes]:
        yield from (str(number).encode() for number in range(int(request)))

    def unary_stream_fail(self, _: bytes, context: Any) -> Iterator[bytes]:
        yield b"one"
        context.abort(grpc.StatusCode.DATA_LOSS, "broke off")

    def unary_stream_endless(self, _: bytes, context: Any) -> Iterator[bytes]:
        gone = threading.Event()
        context.add_callback(gone.set)
        yield from (b"first", b"second")
        gone.wait(5)

    def stream_unary_join(self, requests: Iterator[bytes], _: Any) -> bytes:
        return b",".join(requests)

    def stream_unary_fail(self, requests: Iterator[bytes], context: Any) -> bytes:
        received = list(requests)
        return context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{len(received)} is too many")  # type: ignore[no-any-return]

    def stream_stream_chat(self, requests: Iterator[bytes], _: Any) -> Iterator[bytes]:
        for request in requests:
            yield b"<" + request + b">"


class GrpcOutside:
    """The server, and the target of a port where there is none."""

    def __init__(self) -> None:
        self.hits = 0
        self._pool = futures.ThreadPoolExecutor(8)
        self._server = grpc.server(self._pool, options=(("grpc.so_reuseport", 0),))
        self._server.add_generic_rpc_handlers((_Service(self),))
        self.target = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self.refused = "127.0.0.1:9"
        self._server.start()

    def calls(self) -> int:
        return self.hits

    def reset(self) -> None:
        """It keeps no state."""

    def take_away(self) -> None:
        self._server.stop(None).wait(5)
        self._pool.shutdown()
