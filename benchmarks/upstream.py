"""Servers on loopback, each in a process of its own, so that their CPU time counts nowhere: HTTP, gRPC, websocket."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["upstream_server"]

_BODY = b'{"charge": "ch_1042", "status": "paid", "fees": [{"kind": "card", "cents": 31}]}'
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


async def _serve_http() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                await reader.readexactly(int(length[1]) if length else 0)
                writer.write(_ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


async def _serve_grpc() -> None:
    import grpc
    import grpc.aio

    async def charge(_request: bytes, _context: object) -> bytes:
        return _BODY

    server = grpc.aio.server()
    handlers = {"Charge": grpc.unary_unary_rpc_method_handler(charge)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Charges", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


async def _serve_websocket() -> None:
    from websockets.asyncio.server import ServerConnection, serve

    async def answer(connection: ServerConnection) -> None:
        async for _ in connection:
            await connection.send(_BODY.decode())

    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        print(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", flush=True)
        await server.serve_forever()


_SERVERS = {"http": _serve_http, "grpc": _serve_grpc, "websocket": _serve_websocket}


@contextmanager
def upstream_server(kind: str = "http") -> Iterator[str]:
    """Start the server of a kind, `http`, `grpc` or `websocket`; gives its URL, or its target for gRPC."""
    with subprocess.Popen([sys.executable, __file__, kind], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


if __name__ == "__main__":
    asyncio.run(_SERVERS[sys.argv[1]]())
