"""How aiohttp's users ask: its adapter to the table of behaviours."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import aiohttp

from tests.boundaries.http_behaviours import Ask

__all__ = ["adapter"]

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Knows no authority; making the usual context anew for each client would be most of the tests' time."""


def body_of(ask: Ask) -> Any:
    """The request's body, in aiohttp's way of giving one."""
    if ask.files:
        form = aiohttp.FormData()
        for name, file, content, kind in ask.files:
            form.add_field(name, content, filename=file, content_type=kind)
        return form
    return chunks_of(ask) if ask.chunks else ask.form or ask.body


async def chunks_of(ask: Ask) -> Any:
    """The chunks of a streamed body."""
    for chunk in ask.chunks:
        yield chunk


async def adapter(outside: Any, ask: Ask) -> Any:
    """A session, and all the requests over it."""
    verify = ssl.create_default_context(cafile=outside.ca_file) if ask.trusted else PLAIN
    settings = {"ssl": verify, "allow_redirects": ask.follow, "params": ask.query or None, "headers": ask.headers}

    async def once(session: aiohttp.ClientSession) -> dict[str, Any]:
        body = {"json": ask.json} if ask.json is not None else {"data": body_of(ask)}
        async with session.request(ask.method, ask.url(outside), **settings, **body) as response:
            if ask.read == "part":
                found = await response.content.readexactly(9)  # one event, however many have come
            elif ask.read == "streamed":
                found = b"".join([piece async for piece in response.content.iter_any()])
            else:
                found = await response.read()
            return {"status": response.status, "type": response.headers.get("Content-Type"), "body": found}

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ask.timeout_s)) as session:
        if ask.at_once > 1:
            return await asyncio.gather(*(once(session) for _ in range(ask.at_once)))
        return [await once(session) for _ in range(ask.times)]
