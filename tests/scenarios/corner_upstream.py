"""What the corner app calls: answers that differ each time, arrive late, in pieces, compressed, or never whole."""

from __future__ import annotations

import asyncio
import gzip
import json
import secrets
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route


async def health(_: Request) -> Response:
    return Response(b"up")


async def draw(request: Request) -> Response:
    """Another number each time, after `ms` milliseconds."""
    await asyncio.sleep(int(request.query_params.get("ms", "0")) / 1000)
    return JSONResponse({"number": secrets.randbelow(10**9), "of": request.query_params.get("of", "")})


async def echo(request: Request) -> Response:
    body = await request.body()
    length = request.headers.get("content-length")
    return JSONResponse({"body": body.decode("latin-1"), "length": length, "ref": secrets.token_hex(4)}, 201)


async def stream(request: Request) -> Response:
    """Lines, as many as `count`."""

    async def lines() -> AsyncIterator[bytes]:
        for number in range(int(request.query_params["count"])):
            yield f"{number} {secrets.token_hex(4)}\n".encode()
            await asyncio.sleep(0.005)

    return StreamingResponse(lines(), media_type="text/plain")


async def zipped(_: Request) -> Response:
    body = gzip.compress(json.dumps({"ref": secrets.token_hex(8), "fill": "x" * 500}).encode())
    return Response(body, headers={"content-encoding": "gzip", "content-type": "application/json"})


async def moved(request: Request) -> Response:
    hops = int(request.path_params["hops"])
    response = RedirectResponse(f"/moved/{hops - 1}" if hops else "/draw?of=moved", 302)
    response.set_cookie(f"hop{hops}", secrets.token_hex(4))
    return response


async def broken(_: Request) -> Response:
    """Says 100 bytes, sends 10, and hangs up."""

    async def half() -> AsyncIterator[bytes]:
        yield b"0123456789"
        raise ConnectionResetError

    return StreamingResponse(half(), headers={"content-length": "100"})


async def flaky(request: Request) -> Response:
    """503 twice for each key, then 200."""
    key = request.path_params["key"]
    request.app.state.seen[key] = request.app.state.seen.get(key, 0) + 1
    tries = request.app.state.seen[key]
    return JSONResponse({"tries": tries}, 503 if tries < 3 else 200, {"retry-after": "0"})


async def binary(_: Request) -> Response:
    return Response(secrets.token_bytes(2000), media_type="application/octet-stream")


app = Starlette(
    routes=[
        Route("/health", health),
        Route("/draw", draw),
        Route("/echo", echo, methods=["POST", "PUT"]),
        Route("/stream", stream),
        Route("/zipped", zipped),
        Route("/moved/{hops}", moved),
        Route("/broken", broken),
        Route("/flaky/{key}", flaky),
        Route("/binary", binary),
    ]
)
app.state.seen = {}
