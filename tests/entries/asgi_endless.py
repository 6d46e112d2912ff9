"""Apps that stream until their client goes away: they ask the upstream once, then send a line every 2 ms, for 10 s.

One per framework, each by the framework's own streaming response.
"""

from __future__ import annotations

import asyncio
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.http import StreamingHttpResponse
from django.test.utils import override_settings
from django.urls import path
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse as FastAPIStream
from litestar import Litestar, get
from litestar.response import Stream
from quart import Quart
from quart import Response as QuartResponse
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests.entries import asgi_django
from tests.entries.web_behaviours import aask

_HERE = __name__


async def dripping(url: str) -> Any:
    """The parts, once the upstream has answered."""
    await aask("GET", f"{url}/count")

    async def parts() -> Any:
        for number in range(5000):
            await asyncio.sleep(0.002)
            yield f"drip {number}\n"

    return parts()


def starlette(url: str) -> Starlette:
    async def drip(request: Any) -> StreamingResponse:
        return StreamingResponse(await dripping(url), media_type="text/plain")

    return Starlette(routes=[Route("/drip", drip)])


def fastapi(url: str) -> FastAPI:
    """Through a middleware that passes the response on in a stream of its own."""
    app = FastAPI()

    @app.get("/drip")
    async def drip() -> FastAPIStream:
        return FastAPIStream(await dripping(url), media_type="text/plain")

    @app.middleware("http")
    async def layer(request: Request, call_next: Any) -> Response:
        return await call_next(request)

    return app


def litestar(url: str) -> Litestar:
    @get("/drip")
    async def drip() -> Stream:
        return Stream(await dripping(url), media_type="text/plain")

    return Litestar([drip], openapi_config=None, logging_config=None)


def quart(url: str) -> Quart:
    app = Quart(__name__)

    @app.get("/drip")
    async def drip() -> QuartResponse:
        parts = await dripping(url)
        return QuartResponse((part.encode() async for part in parts), mimetype="text/plain")

    return app


def django(url: str) -> ASGIHandler:
    _upstream[0] = url
    with override_settings(MIDDLEWARE=[f"{_HERE}.own_urls"]):
        return ASGIHandler()


_upstream = [""]


@asgi_django.async_only_middleware
def own_urls(get_response: Any) -> Any:
    async def middleware(request: Any) -> Any:
        request.urlconf = _HERE
        return await get_response(request)

    return middleware


async def _drip(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(await dripping(_upstream[0]), content_type="text/plain")


urlpatterns = [path("drip", _drip)]
