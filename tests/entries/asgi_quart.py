"""The web behaviours' app, written with Quart. See `web_behaviours` for what each route does."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import httpx
from quart import Blueprint, Quart, Response, jsonify, redirect, request, send_file

from tests.entries.asgi_starlette import Layer
from tests.entries.web_behaviours import aask, binary_file


def make(url: str) -> Quart:
    """The app, asking the upstream at `url`."""
    app = Quart(__name__)

    async def count(path: str = "/count", method: str = "GET", json: Any = None) -> int:
        return (await aask(method, url + path, json=json)).json()["n"]

    @app.post("/json")
    async def json() -> Any:
        body = await request.get_json()
        return {"amount": body["amount"], "n": await count(method="POST", json=body)}

    @app.get("/query")
    async def query() -> Any:
        name = request.headers["x-request-id"]
        return {"a": request.args.getlist("a"), "b": request.args["b"], "id": name}, 200, {"x-request-id": name}

    @app.post("/form")
    async def form() -> Any:
        fields = await request.form
        return {"name": fields["name"], "tags": fields.getlist("tag"), "n": await count()}

    @app.post("/upload")
    async def upload() -> Any:
        title, file = (await request.form)["title"], (await request.files)["file"]
        content = file.read()
        number = await count(method="POST", json={"size": len(content)})
        digest = hashlib.sha256(content).hexdigest()
        return {"title": title, "filename": file.filename, "type": file.content_type, "sha256": digest, "n": number}

    @app.post("/stream-in")
    async def stream_in() -> Any:
        digest, size = hashlib.sha256(), 0
        async for part in request.body:
            digest.update(part)
            size += len(part)
        return Response(f"{digest.hexdigest()} {size}", mimetype="text/plain")

    @app.get("/stream-out")
    async def stream_out() -> Any:
        async def parts() -> Any:
            for number in range(3):
                yield f"{number}:{await count()}\n".encode()

        return Response(parts(), mimetype="text/plain")

    @app.get("/raise")
    async def fail() -> Any:
        await count()
        raise RuntimeError("no rate for EUR") from KeyError("EUR")

    @app.get("/unavailable")
    async def unavailable() -> Any:
        return {"error": f"upstream said {(await aask('GET', f'{url}/fail')).status_code}"}, 503

    @app.get("/redirect")
    async def away() -> Any:
        return redirect(f"/json?n={await count()}", 302)

    @app.get("/cookies")
    async def cookies() -> Any:
        session = request.cookies["session"]
        response = Response(session, mimetype="text/plain")
        response.set_cookie("seen", "1", path="/")
        response.set_cookie("session", session, httponly=True, path="/")
        return response

    @app.get("/head")
    async def head() -> Any:
        return Response("counted", mimetype="text/plain", headers={"x-count": str(await count())})

    @app.get("/drip")
    async def drip() -> Any:
        await count()

        async def parts() -> Any:
            for number in range(200):
                await asyncio.sleep(0)
                yield f"drip {number}\n".encode()

        return Response(parts(), mimetype="text/plain")

    @app.get("/timeout")
    async def time_out() -> Any:
        try:
            await aask("GET", f"{url}/slow", timeout=0.2)
        except httpx.TimeoutException:
            return {"error": "time-out"}, 504
        return {}

    @app.get("/background")
    async def background() -> Any:
        app.add_background_task(count, method="POST", json={"job": "background"})
        return "accepted", 202, {"content-type": "text/plain"}

    sub = Blueprint("sub", __name__, url_prefix="/sub")

    @sub.get("/hello")
    async def hello() -> Any:
        return f"hello {request.args['name']} from {request.blueprint}: {await count()}"

    app.register_blueprint(sub)

    @app.get("/layers")
    async def layers() -> Any:
        return Response("layers", mimetype="text/plain")

    @app.get("/file")
    async def file() -> Any:
        return await send_file(binary_file(), mimetype="application/octet-stream")

    @app.get("/fan-out")
    async def fan_out() -> Any:
        return jsonify(sorted(await asyncio.gather(*(count(f"/count?part={part}") for part in range(3)))))

    app.asgi_app = Layer(Layer(app.asgi_app, "inner"), "outer", url)
    return app
