"""The web behaviours' app, written with Falcon. See `web_behaviours` for what each route does."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import falcon
import httpx
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from tests.entries.web_behaviours import ask, binary_file

_POSTED = frozenset({"json", "form", "upload", "stream_in"})


def make(url: str) -> Any:
    """The app, asking the upstream at `url`, with another one mounted under `/sub`."""
    responders = Responders(url)
    app = falcon.App(middleware=[Outer(responders), Inner()])
    sub = falcon.App()
    for name in vars(Responders):
        if name.startswith("_"):
            continue
        respond = getattr(responders, name)
        path = {"fail": "/raise", "time_out": "/timeout"}.get(name, f"/{name.replace('_', '-')}")
        methods = ("POST",) if name in _POSTED else ("GET", "HEAD")
        (sub if name == "hello" else app).add_route(path, _resource(respond, methods))
    return DispatcherMiddleware(app, {"/sub": sub})


def _resource(respond: Any, methods: tuple[str, ...]) -> Any:
    def on_request(self: Any, req: Any, resp: Any) -> None:
        respond(req, resp)

    return type("Resource", (), {f"on_{method.lower()}": on_request for method in methods})()


class Inner:
    """The inner layer of `/layers`."""

    def process_response(self, req: Any, resp: Any, resource: Any, succeeded: bool) -> None:
        if req.path == "/layers":
            resp.append_header("x-layers", "inner")


class Outer:
    """The outer one, which asks the upstream first."""

    def __init__(self, responders: Responders) -> None:
        self.responders = responders

    def process_request(self, req: Any, resp: Any) -> None:
        if req.path == "/layers":
            req.context.number = self.responders._count()

    def process_response(self, req: Any, resp: Any, resource: Any, succeeded: bool) -> None:
        if req.path == "/layers":
            resp.set_header("x-layers", f"{resp.get_header('x-layers')},outer")
            resp.set_header("x-count", str(req.context.number))


class Responders:
    """One method per route."""

    def __init__(self, url: str) -> None:
        self._url = url

    def _count(self, path: str = "/count", method: str = "GET", **more: Any) -> int:
        number: int = ask(method, self._url + path, **more).json()["n"]
        return number

    def json(self, req: Any, resp: Any) -> None:
        body = req.get_media()
        resp.media = {"amount": body["amount"], "n": self._count(method="POST", json=body)}

    def query(self, req: Any, resp: Any) -> None:
        name = req.get_header("x-request-id")
        resp.media = {"a": req.get_param_as_list("a"), "b": req.get_param("b"), "id": name}
        resp.set_header("x-request-id", name)

    def form(self, req: Any, resp: Any) -> None:
        fields = req.get_media()
        resp.media = {"name": fields["name"], "tags": fields["tag"], "n": self._count()}

    def upload(self, req: Any, resp: Any) -> None:
        found: dict[str, Any] = {}
        for part in req.get_media():
            if part.name == "title":
                found["title"] = part.text
            else:
                content = part.stream.read()
                found.update(filename=part.filename, type=part.content_type, sha256=hashlib.sha256(content).hexdigest())
                found["n"] = self._count(method="POST", json={"size": len(content)})
        resp.media = found

    def stream_in(self, req: Any, resp: Any) -> None:
        digest, size = hashlib.sha256(), 0
        while part := req.stream.read(5):
            digest.update(part)
            size += len(part)
        resp.content_type, resp.text = "text/plain", f"{digest.hexdigest()} {size}"

    def stream_out(self, req: Any, resp: Any) -> None:
        resp.content_type = "text/plain"
        resp.stream = (f"{number}:{self._count()}\n".encode() for number in range(3))

    def fail(self, req: Any, resp: Any) -> None:
        self._count()
        raise RuntimeError("no rate for EUR") from KeyError("EUR")

    def unavailable(self, req: Any, resp: Any) -> None:
        answer = ask("GET", f"{self._url}/fail")
        resp.status, resp.media = 503, {"error": f"upstream said {answer.status_code}"}

    def redirect(self, req: Any, resp: Any) -> None:
        raise falcon.HTTPFound(f"/json?n={self._count()}")

    def cookies(self, req: Any, resp: Any) -> None:
        session = req.cookies["session"]
        resp.content_type, resp.text = "text/plain", session
        resp.set_cookie("seen", "1", path="/", secure=False, http_only=False)
        resp.set_cookie("session", session, path="/", secure=False, http_only=True)

    def head(self, req: Any, resp: Any) -> None:
        resp.content_type, resp.text = "text/plain", "counted"
        resp.set_header("x-count", str(self._count()))

    def drip(self, req: Any, resp: Any) -> None:
        self._count()
        resp.content_type = "text/plain"
        resp.stream = (f"drip {number}\n".encode() for number in range(200))

    def time_out(self, req: Any, resp: Any) -> None:
        try:
            ask("GET", f"{self._url}/slow", timeout=0.2)
        except httpx.TimeoutException:
            resp.status, resp.media = 504, {"error": "time-out"}

    def background(self, req: Any, resp: Any) -> None:
        resp.status, resp.content_type, resp.stream = 202, "text/plain", _Closing([b"accepted"], self._count)

    def hello(self, req: Any, resp: Any) -> None:
        resp.content_type = "text/plain"
        resp.text = f"hello {req.get_param('name')} from {req.root_path}: {self._count()}"

    def layers(self, req: Any, resp: Any) -> None:
        resp.content_type, resp.text = "text/plain", "layers"

    def file(self, req: Any, resp: Any) -> None:
        resp.content_type = "application/octet-stream"
        resp.set_stream(binary_file().open("rb"), binary_file().stat().st_size)

    def fan_out(self, req: Any, resp: Any) -> None:
        with ThreadPoolExecutor(3) as pool:
            resp.media = sorted(pool.map(lambda part: self._count(f"/count?part={part}"), range(3)))


class _Closing:
    """An iterable that works on when it is closed: Falcon's sync apps have no other way."""

    def __init__(self, parts: list[bytes], count: Any) -> None:
        self.parts, self.count = parts, count

    def __iter__(self) -> Any:
        return iter(self.parts)

    def close(self) -> None:
        self.count(method="POST", json={"job": "background"})
