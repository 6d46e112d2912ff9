"""A live server for the mixture: every answer is one of a kind, and it counts its calls by what they name.

`POST /<request>/<carrier>` answers `{"number": "u<n>"}`; `GET /counts` gives the calls of each request. A bare asyncio
protocol, since tens of thousands of calls are made to it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar


class Upstream(asyncio.Protocol):
    """HTTP/1.1, keep-alive, requests without a body."""

    counts: ClassVar[Counter[str]] = Counter()
    numbers: ClassVar[Iterator[int]] = itertools.count(1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            self.answer(path)

    def answer(self, path: str) -> None:
        if path == "/counts":
            answer: object = self.counts
        else:
            request, _, _ = path.strip("/").partition("/")
            self.counts[request] += 1
            answer = {"number": f"u{next(self.numbers)}"}
        body = json.dumps(answer).encode()
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )


async def main() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
