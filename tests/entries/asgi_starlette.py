"""The web behaviours' app, written with Starlette. See `web_behaviours` for what each route does."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route

from tests.entries.web_behaviours import aask, binary_file


class Layer:
    """A plain ASGI middleware that acts on `/layers` alone; with an upstream it asks it first."""

    def __init__(self, app: Any, name: str, url: str = "") -> None:
        self.app, self.name, self.url = app, name, url

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/layers":
            await self.app(scope, receive, send)
            return
        number = (await aask("GET", f"{self.url}/count")).json()["n"] if self.url else 0

        async def layered(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                layers = [value for name, value in headers if name == b"x-layers"]
                kept = [(name, value) for name, value in headers if name != b"x-layers"]
                kept.append((b"x-layers", b",".join([*layers, self.name.encode()])))
                if self.url:
                    kept.append((b"x-count", b"%d" % number))
                message = {**message, "headers": kept}
            await send(message)

        await self.app(scope, receive, layered)


def make_sub(url: str) -> Starlette:
    """The app that is mounted under `/sub`."""

    async def hello(request: Request) -> Response:
        name, root = request.query_params["name"], request.scope["root_path"]
        return PlainTextResponse(f"hello {name} from {root}: {(await aask('GET', f'{url}/count')).json()['n']}")

    return Starlette(routes=[Route("/hello", hello)])


def make(url: str) -> Starlette:
    """The app, asking the upstream at `url`."""

    async def count(path: str = "/count", **more: Any) -> int:
        return (await aask(more.pop("method", "GET"), url + path, **more)).json()["n"]

    async def json(request: Request) -> Response:
        body = await request.json()
        return JSONResponse({"amount": body["amount"], "n": await count(method="POST", json=body)})

    async def query(request: Request) -> Response:
        name = request.headers["x-request-id"]
        found = {"a": request.query_params.getlist("a"), "b": request.query_params["b"], "id": name}
        return JSONResponse(found, headers={"x-request-id": name})

    async def form(request: Request) -> Response:
        async with request.form() as fields:
            return JSONResponse({"name": fields["name"], "tags": fields.getlist("tag"), "n": await count()})

    async def upload(request: Request) -> Response:
        async with request.form() as fields:
            file: Any = fields["file"]
            content = await file.read()
            number = await count(method="POST", json={"size": len(content)})
            return JSONResponse(
                {
                    "title": fields["title"],
                    "filename": file.filename,
                    "type": file.content_type,
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "n": number,
                }
            )

    async def stream_in(request: Request) -> Response:
        digest, size = hashlib.sha256(), 0
        async for part in request.stream():
            digest.update(part)
            size += len(part)
        return PlainTextResponse(f"{digest.hexdigest()} {size}")

    async def stream_out(request: Request) -> Response:
        async def parts() -> Any:
            for number in range(3):
                yield f"{number}:{await count()}\n"

        return StreamingResponse(parts(), media_type="text/plain")

    async def fail(request: Request) -> Response:
        await count()
        raise RuntimeError("no rate for EUR") from KeyError("EUR")

    async def unavailable(request: Request) -> Response:
        answer = await aask("GET", f"{url}/fail")
        return JSONResponse({"error": f"upstream said {answer.status_code}"}, 503)

    async def redirect(request: Request) -> Response:
        return RedirectResponse(f"/json?n={await count()}", 302)

    async def cookies(request: Request) -> Response:
        session = request.cookies["session"]
        response = PlainTextResponse(session)
        response.set_cookie("seen", "1", path="/")
        response.set_cookie("session", session, httponly=True, path="/")
        return response

    async def head(request: Request) -> Response:
        return PlainTextResponse("counted", headers={"x-count": str(await count())})

    async def drip(request: Request) -> Response:
        await count()

        async def parts() -> Any:
            for number in range(200):
                await asyncio.sleep(0)
                yield f"drip {number}\n"

        return StreamingResponse(parts(), media_type="text/plain")

    async def time_out(request: Request) -> Response:
        try:
            await aask("GET", f"{url}/slow", timeout=0.2)
        except httpx.TimeoutException:
            return JSONResponse({"error": "time-out"}, 504)
        return JSONResponse({})

    async def background(request: Request) -> Response:
        task = BackgroundTask(count, method="POST", json={"job": "background"})
        return PlainTextResponse("accepted", 202, background=task)

    async def layers(request: Request) -> Response:
        return PlainTextResponse("layers")

    async def file(request: Request) -> Response:
        return FileResponse(binary_file(), media_type="application/octet-stream")

    async def fan_out(request: Request) -> Response:
        return JSONResponse(sorted(await asyncio.gather(*(count(f"/count?part={part}") for part in range(3)))))

    return Starlette(
        routes=[
            Route("/json", json, methods=["POST"]),
            Route("/query", query),
            Route("/form", form, methods=["POST"]),
            Route("/upload", upload, methods=["POST"]),
            Route("/stream-in", stream_in, methods=["POST"]),
            Route("/stream-out", stream_out),
            Route("/raise", fail),
            Route("/unavailable", unavailable),
            Route("/redirect", redirect),
            Route("/cookies", cookies),
            Route("/head", head),
            Route("/drip", drip),
            Route("/timeout", time_out),
            Route("/background", background),
            Mount("/sub", make_sub(url)),
            Route("/layers", layers),
            Route("/file", file),
            Route("/fan-out", fan_out),
        ],
        middleware=[Middleware(Layer, name="outer", url=url), Middleware(Layer, name="inner")],
    )
