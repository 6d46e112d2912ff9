"""The web behaviours' app, written with Litestar. See `web_behaviours` for what each route does."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated, Any, TypeVar

import httpx
from litestar import Litestar, MediaType, Request, Response, Router, asgi, get, post, route
from litestar.background_tasks import BackgroundTask
from litestar.datastructures import Cookie, UploadFile
from litestar.enums import RequestEncodingType
from litestar.middleware import DefineMiddleware
from litestar.params import Body
from litestar.response import File, Redirect, Stream

from tests.entries import asgi_starlette
from tests.entries.asgi_starlette import Layer
from tests.entries.web_behaviours import aask, binary_file

try:
    from litestar.params import CookieParameter, FromQuery, HeaderParameter, JSONBody
except ImportError:  # older Litestar, which tells a query parameter and a JSON body by name and type alone
    from litestar.params import Parameter

    _Declared = TypeVar("_Declared")
    FromQuery = JSONBody = Annotated[_Declared, ...]

    def CookieParameter(name: str) -> Any:
        return Parameter(cookie=name)

    def HeaderParameter(name: str) -> Any:
        return Parameter(header=name)


def make(url: str) -> Litestar:
    """The app, asking the upstream at `url`."""

    async def count(path: str = "/count", method: str = "GET", json: Any = None) -> int:
        return (await aask(method, url + path, json=json)).json()["n"]

    @post("/json", status_code=200)
    async def json(data: JSONBody[dict[str, int]]) -> dict[str, int]:
        return {"amount": data["amount"], "n": await count(method="POST", json=data)}

    @get("/query")
    async def query(
        a: FromQuery[list[str]], b: FromQuery[str], name: Annotated[str, HeaderParameter(name="x-request-id")]
    ) -> Response[Any]:
        return Response({"a": a, "b": b, "id": name}, headers={"x-request-id": name})

    @post("/form", status_code=200)
    async def form(request: Request[Any, Any, Any]) -> dict[str, Any]:
        fields = await request.form()
        return {"name": fields["name"], "tags": fields.getall("tag"), "n": await count()}

    @post("/upload", status_code=200)
    async def upload(
        data: Annotated[dict[str, Any], Body(media_type=RequestEncodingType.MULTI_PART)],
    ) -> dict[str, Any]:
        file: UploadFile = data["file"]
        content = await file.read()
        number = await count(method="POST", json={"size": len(content)})
        digest = hashlib.sha256(content).hexdigest()
        found = {"title": data["title"], "filename": file.filename, "type": file.content_type}
        return {**found, "sha256": digest, "n": number}

    @post("/stream-in", status_code=200, media_type=MediaType.TEXT)
    async def stream_in(request: Request[Any, Any, Any]) -> str:
        digest, size = hashlib.sha256(), 0
        async for part in request.stream():
            digest.update(part)
            size += len(part)
        return f"{digest.hexdigest()} {size}"

    @get("/stream-out")
    async def stream_out() -> Stream:
        async def parts() -> Any:
            for number in range(3):
                yield f"{number}:{await count()}\n"

        return Stream(parts(), media_type="text/plain")

    @get("/raise")
    async def fail() -> None:
        await count()
        raise RuntimeError("no rate for EUR") from KeyError("EUR")

    @get("/unavailable", status_code=503)
    async def unavailable() -> dict[str, str]:
        return {"error": f"upstream said {(await aask('GET', f'{url}/fail')).status_code}"}

    @get("/redirect", status_code=302)
    async def redirect() -> Redirect:
        return Redirect(f"/json?n={await count()}", status_code=302)

    @get("/cookies", media_type=MediaType.TEXT)
    async def cookies(session: Annotated[str, CookieParameter(name="session")]) -> Response[str]:
        kept = Cookie(key="session", value=session, httponly=True, path="/")
        return Response(session, cookies=[Cookie(key="seen", value="1", path="/"), kept])

    @route("/head", http_method=["GET", "HEAD"], media_type=MediaType.TEXT)
    async def head() -> Response[None]:
        return Response(None, headers={"x-count": str(await count())})

    @get("/drip")
    async def drip() -> Stream:
        await count()

        async def parts() -> Any:
            for number in range(200):
                await asyncio.sleep(0)
                yield f"drip {number}\n"

        return Stream(parts(), media_type="text/plain")

    @get("/timeout")
    async def time_out() -> Response[Any]:
        try:
            await aask("GET", f"{url}/slow", timeout=0.2)
        except httpx.TimeoutException:
            return Response({"error": "time-out"}, status_code=504)
        return Response({})

    @get("/background", status_code=202, media_type=MediaType.TEXT)
    async def background() -> Response[str]:
        task = BackgroundTask(count, method="POST", json={"job": "background"})
        return Response("accepted", background=task)

    @asgi("/sub", is_mount=True, copy_scope=True)
    async def sub(scope: Any, receive: Any, send: Any) -> None:
        await starlette({**scope, "path": scope["path"].rstrip("/"), "root_path": "/sub"}, receive, send)

    @get("/layers", media_type=MediaType.TEXT)
    async def layers() -> str:
        return "layers"

    @get("/file")
    async def file() -> File:
        return File(binary_file(), media_type="application/octet-stream", filename="dots.bin")

    @get("/fan-out")
    async def fan_out() -> list[int]:
        return sorted(await asyncio.gather(*(count(f"/count?part={part}") for part in range(3))))

    starlette = asgi_starlette.make_sub(url)
    handlers = [json, query, form, upload, stream_in, stream_out, fail, unavailable, redirect, cookies, head, drip]
    return Litestar(
        [Router("/", route_handlers=[*handlers, time_out, background, layers, file, fan_out]), sub],
        middleware=[DefineMiddleware(Layer, name="outer", url=url), DefineMiddleware(Layer, name="inner")],
        openapi_config=None,
        logging_config=None,
    )
