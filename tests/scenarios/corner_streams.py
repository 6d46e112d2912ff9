"""The corner app's bodies: uploads and streams passed on, given up or broken off, and bytes that are no text."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import logging
import secrets
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
from corner_calls import UPSTREAM, client, number
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

router = APIRouter()
logger = logging.getLogger(__name__)


@router.put("/upload")
async def upload(request: Request) -> dict[str, Any]:
    """A body passed on while it arrives, hashed on the way and spooled to a temporary file."""
    digest = hashlib.sha256()
    with tempfile.SpooledTemporaryFile(max_size=10) as spool:

        async def passed_on() -> AsyncIterator[bytes]:
            async for part in request.stream():
                digest.update(part)
                spool.write(part)
                yield part

        answer = (await client.put("/echo", content=passed_on())).json()
        spool.seek(0)
        spooled = len(spool.read())
    return {"sha256": digest.hexdigest(), "spooled": spooled, "answer": answer}


@router.post("/multipart")
async def multipart() -> dict[str, Any]:
    """A form with a file, whose boundary chance decides."""
    files = {"file": ("a.txt", b"some text", "text/plain")}
    answer = (await client.post("/echo", data={"name": "x"}, files=files)).json()
    return {"body": answer["body"], "ref": answer["ref"]}


@router.get("/proxy")
async def proxy(count: int = 5) -> StreamingResponse:
    """A stream passed through as it comes."""

    async def lines() -> AsyncIterator[bytes]:
        async with client.stream("GET", "/stream", params={"count": count}) as response:
            async for line in response.aiter_lines():
                yield f"data: {line} {time.time()}\n\n".encode()

    return StreamingResponse(lines(), media_type="text/event-stream")


@router.get("/head-of-stream")
async def head_of_stream() -> dict[str, Any]:
    """The first lines of a stream that is then given up."""
    found = []
    async with client.stream("GET", "/stream", params={"count": 50}) as response:
        async for line in response.aiter_lines():
            found.append(line)
            if len(found) == 2:
                break
    return {"found": found}


@router.get("/clients")
async def clients() -> dict[str, Any]:
    """A client for each request: redirects, cookies, hooks, authentication, compressed and binary bodies."""
    seen: list[str] = []

    async def hook(response: httpx.Response) -> None:
        seen.append(f"{response.status_code} {response.request.url.path}")

    auth = httpx.BasicAuth("user", "word")
    async with httpx.AsyncClient(
        base_url=UPSTREAM, follow_redirects=True, event_hooks={"response": [hook]}, auth=auth
    ) as own:
        moved = (await own.get("/moved/2")).json()
        zipped = (await own.get("/zipped")).json()
        binary = (await own.get("/binary")).content
        cookies = dict(sorted(own.cookies.items()))
    return {"moved": moved, "zipped": zipped["ref"], "binary": binary.hex(), "cookies": cookies, "seen": seen}


@router.get("/image")
async def image() -> Response:
    """Bytes that are no text, from chance, with an ETag and a cookie."""
    body = secrets.token_bytes(1500)
    response = Response(body, media_type="image/png", headers={"etag": hashlib.md5(body).hexdigest()})
    response.set_cookie("visit", uuid.uuid4().hex, max_age=60)
    response.set_cookie("seen", str(int(time.time())))
    return response


@router.get("/zipped")
async def zipped() -> dict[str, Any]:
    """Large enough for the gzip middleware, and a gzip of its own: both write the time into the bytes."""
    own = gzip.compress(b"x" * 100)
    return {"own": own.hex(), "fill": [secrets.token_hex(8) for _ in range(200)]}


@router.get("/stream-breaks")
async def stream_breaks() -> StreamingResponse:
    """An error in the middle of a stream."""

    async def lines() -> AsyncIterator[str]:
        for index in range(3):
            yield f"{index} {uuid.uuid4()}\n"
            await asyncio.sleep(0.001)
        raise OSError(f"broke at {time.time()}")

    return StreamingResponse(lines(), media_type="text/plain")


@router.get("/endless")
async def endless() -> StreamingResponse:
    """A stream until the client goes."""

    async def lines() -> AsyncIterator[str]:
        try:
            while True:
                yield f"data: {await number('endless')} {time.time()}\n\n"
                await asyncio.sleep(0.01)
        finally:
            logger.info("the client has gone")

    return StreamingResponse(lines(), media_type="text/event-stream")
