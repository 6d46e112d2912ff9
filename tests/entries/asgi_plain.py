"""The web behaviours' app, written to ASGI alone: functions of (scope, receive, send). See `web_behaviours`."""

from __future__ import annotations

import asyncio
import hashlib
import json as json_module
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qs

import httpx

from tests.entries.asgi_starlette import Layer
from tests.entries.web_behaviours import aask, binary_file


class Exchange:
    """One request, with the few things that every route needs."""

    def __init__(self, url: str, scope: Any, receive: Any, send: Any) -> None:
        self.url, self.scope, self.receive, self.send = url, scope, receive, send
        self.headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.query = parse_qs(scope["query_string"].decode())

    async def count(self, path: str = "/count", method: str = "GET", json: Any = None) -> int:
        return (await aask(method, self.url + path, json=json)).json()["n"]

    async def parts(self) -> Any:
        while True:
            message = await self.receive()
            yield message["body"]
            if not message["more_body"]:
                return

    async def body(self) -> bytes:
        return b"".join([part async for part in self.parts()])

    async def answer(self, body: Any, status: int = 200, *headers: tuple[str, str]) -> None:
        data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else None
        kind = ("content-type", "application/json" if data is None else "text/plain")
        await self.start(status, *(headers or (kind,)))
        await self.part(json_module.dumps(body).encode() if data is None else data, more=False)

    async def start(self, status: int, *headers: tuple[str, str]) -> None:
        pairs = [(name.encode(), value.encode()) for name, value in headers]
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})

    async def part(self, body: bytes, *, more: bool = True) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": more})


async def json(e: Exchange) -> None:
    body = json_module.loads(await e.body())
    await e.answer({"amount": body["amount"], "n": await e.count(method="POST", json=body)})


async def query(e: Exchange) -> None:
    name = e.headers["x-request-id"]
    await e.answer({"a": e.query["a"], "b": e.query["b"][0], "id": name}, 200, ("x-request-id", name))


async def form(e: Exchange) -> None:
    fields = parse_qs((await e.body()).decode())
    await e.answer({"name": fields["name"][0], "tags": fields["tag"], "n": await e.count()})


async def upload(e: Exchange) -> None:
    head = f"content-type: {e.headers['content-type']}\r\n\r\n".encode()
    title, file = BytesParser().parsebytes(head + await e.body()).get_payload()
    content = file.get_payload(decode=True)
    number = await e.count(method="POST", json={"size": len(content)})
    found = {"title": title.get_payload(), "filename": file.get_filename(), "type": file.get_content_type()}
    await e.answer({**found, "sha256": hashlib.sha256(content).hexdigest(), "n": number})


async def stream_in(e: Exchange) -> None:
    digest, size = hashlib.sha256(), 0
    async for part in e.parts():
        digest.update(part)
        size += len(part)
    await e.answer(f"{digest.hexdigest()} {size}")


async def stream_out(e: Exchange) -> None:
    await e.start(200, ("content-type", "text/plain"))
    for number in range(3):
        await e.part(b"%d:%d\n" % (number, await e.count()), more=number < 2)


async def fail(e: Exchange) -> None:
    await e.count()
    raise RuntimeError("no rate for EUR") from KeyError("EUR")


async def unavailable(e: Exchange) -> None:
    await e.answer({"error": f"upstream said {(await aask('GET', f'{e.url}/fail')).status_code}"}, 503)


async def redirect(e: Exchange) -> None:
    await e.answer("", 302, ("location", f"/json?n={await e.count()}"))


async def cookies(e: Exchange) -> None:
    session = dict(pair.split("=") for pair in e.headers["cookie"].split("; "))["session"]
    kept = ("set-cookie", f"session={session}; HttpOnly; Path=/")
    await e.answer(session, 200, ("set-cookie", "seen=1; Path=/"), kept)


async def head(e: Exchange) -> None:
    await e.answer("", 200, ("x-count", str(await e.count())), ("content-length", "7"))


async def drip(e: Exchange) -> None:
    await e.count()
    await e.start(200, ("content-type", "text/plain"))
    await e.receive()
    gone = asyncio.ensure_future(e.receive())
    for number in range(200):
        await asyncio.sleep(0)
        if gone.done():
            return
        await e.part(b"drip %d\n" % number)
    await e.part(b"", more=False)


async def time_out(e: Exchange) -> None:
    try:
        await aask("GET", f"{e.url}/slow", timeout=0.2)
    except httpx.TimeoutException:
        await e.answer({"error": "time-out"}, 504)


async def background(e: Exchange) -> None:
    await e.answer("accepted", 202)
    await e.count(method="POST", json={"job": "background"})


async def hello(e: Exchange) -> None:
    await e.answer(f"hello {e.query['name'][0]} from {e.scope['root_path']}: {await e.count()}")


async def layers(e: Exchange) -> None:
    await e.answer("layers")


async def file(e: Exchange) -> None:
    await e.answer(binary_file().read_bytes(), 200, ("content-type", "application/octet-stream"))


async def fan_out(e: Exchange) -> None:
    await e.answer(sorted(await asyncio.gather(*(e.count(f"/count?part={part}") for part in range(3)))))


async def missing(e: Exchange) -> None:
    await e.answer("not found", 404)


ROUTES = {
    "/json": json,
    "/query": query,
    "/form": form,
    "/upload": upload,
    "/stream-in": stream_in,
    "/stream-out": stream_out,
    "/raise": fail,
    "/unavailable": unavailable,
    "/redirect": redirect,
    "/cookies": cookies,
    "/head": head,
    "/drip": drip,
    "/timeout": time_out,
    "/background": background,
    "/hello": hello,
    "/layers": layers,
    "/file": file,
    "/fan-out": fan_out,
}


def make(url: str) -> Any:
    """The app, asking the upstream at `url`: a function, which hands `/sub` on to another one."""

    async def route(scope: Any, receive: Any, send: Any) -> None:
        await ROUTES.get(scope["path"], missing)(Exchange(url, scope, receive, send))

    layered = Layer(Layer(route, "inner"), "outer", url)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/sub/"):
            scope = {**scope, "root_path": "/sub", "path": scope["path"].removeprefix("/sub")}
        await layered(scope, receive, send)

    return app
