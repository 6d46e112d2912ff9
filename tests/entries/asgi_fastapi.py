"""The web behaviours' app, written with FastAPI. See `web_behaviours` for what each route does."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated, Any

import httpx
from fastapi import BackgroundTasks, Cookie, FastAPI, File, Form, Header, Query, Request, Response, UploadFile
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from pydantic import BaseModel

from tests.entries.web_behaviours import aask, ask, binary_file


class Order(BaseModel):
    amount: int


def make(url: str) -> FastAPI:
    """The app, asking the upstream at `url`."""
    app = FastAPI()

    async def count(path: str = "/count", method: str = "GET", json: Any = None) -> int:
        return (await aask(method, url + path, json=json)).json()["n"]

    @app.post("/json")
    async def json(order: Order) -> dict[str, int]:
        return {"amount": order.amount, "n": await count(method="POST", json=order.model_dump())}

    @app.get("/query")
    async def query(
        response: Response, a: Annotated[list[str], Query()], b: str, x_request_id: Annotated[str, Header()]
    ) -> dict[str, Any]:
        response.headers["x-request-id"] = x_request_id
        return {"a": a, "b": b, "id": x_request_id}

    @app.post("/form")
    async def form(name: Annotated[str, Form()], tag: Annotated[list[str], Form()]) -> dict[str, Any]:
        return {"name": name, "tags": tag, "n": await count()}

    @app.post("/upload")
    async def upload(title: Annotated[str, Form()], file: Annotated[UploadFile, File()]) -> dict[str, Any]:
        content = await file.read()
        number = await count(method="POST", json={"size": len(content)})
        digest = hashlib.sha256(content).hexdigest()
        return {"title": title, "filename": file.filename, "type": file.content_type, "sha256": digest, "n": number}

    @app.post("/stream-in", response_class=PlainTextResponse)
    async def stream_in(request: Request) -> str:
        digest, size = hashlib.sha256(), 0
        async for part in request.stream():
            digest.update(part)
            size += len(part)
        return f"{digest.hexdigest()} {size}"

    @app.get("/stream-out")
    async def stream_out() -> StreamingResponse:
        async def parts() -> Any:
            for number in range(3):
                yield f"{number}:{await count()}\n"

        return StreamingResponse(parts(), media_type="text/plain")

    @app.get("/raise")
    async def fail() -> None:
        await count()
        raise RuntimeError("no rate for EUR") from KeyError("EUR")

    @app.get("/unavailable", status_code=503)
    async def unavailable() -> dict[str, str]:
        return {"error": f"upstream said {(await aask('GET', f'{url}/fail')).status_code}"}

    @app.get("/redirect")
    async def redirect() -> RedirectResponse:
        return RedirectResponse(f"/json?n={await count()}", 302)

    @app.get("/cookies", response_class=PlainTextResponse)
    async def cookies(response: Response, session: Annotated[str, Cookie()]) -> str:
        response.set_cookie("seen", "1", path="/")
        response.set_cookie("session", session, httponly=True, path="/")
        return session

    @app.api_route("/head", methods=["GET", "HEAD"], response_class=PlainTextResponse)
    async def head(response: Response) -> str:
        response.headers["x-count"] = str(await count())
        return "counted"

    @app.get("/drip")
    async def drip() -> StreamingResponse:
        await count()

        async def parts() -> Any:
            for number in range(200):
                await asyncio.sleep(0)
                yield f"drip {number}\n"

        return StreamingResponse(parts(), media_type="text/plain")

    @app.get("/timeout")
    async def time_out() -> JSONResponse:
        try:
            await aask("GET", f"{url}/slow", timeout=0.2)
        except httpx.TimeoutException:
            return JSONResponse({"error": "time-out"}, 504)
        return JSONResponse({})

    @app.get("/background", status_code=202, response_class=PlainTextResponse)
    async def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(count, method="POST", json={"job": "background"})
        return "accepted"

    sub = FastAPI()

    @sub.get("/hello", response_class=PlainTextResponse)
    def hello(name: str, request: Request) -> str:  # in a worker thread
        number = ask("GET", f"{url}/count").json()["n"]
        return f"hello {name} from {request.scope['root_path']}: {number}"

    app.mount("/sub", sub)

    @app.middleware("http")
    async def inner(request: Request, call_next: Any) -> Response:
        response = await call_next(request)
        if request.url.path == "/layers":
            response.headers["x-layers"] = "inner"
        return response

    @app.middleware("http")
    async def outer(request: Request, call_next: Any) -> Response:
        if request.url.path != "/layers":
            return await call_next(request)
        number = await count()
        response = await call_next(request)
        response.headers["x-layers"] += ",outer"
        response.headers["x-count"] = str(number)
        return response

    @app.get("/layers", response_class=PlainTextResponse)
    async def layers() -> str:
        return "layers"

    @app.get("/file")
    async def file() -> FileResponse:
        return FileResponse(binary_file(), media_type="application/octet-stream")

    @app.get("/fan-out")
    async def fan_out() -> list[int]:
        return sorted(await asyncio.gather(*(count(f"/count?part={part}") for part in range(3))))

    return app
