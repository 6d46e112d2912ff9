"""The web behaviours' app, written with Pyramid. See `web_behaviours` for what each route does."""

from __future__ import annotations

import hashlib
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from tests.entries.web_behaviours import ask, binary_file
from tests.entries.wsgi_layers import Layer

with warnings.catch_warnings(action="ignore"):  # WebOb 1.8 imports cgi, Pyramid 2 pkg_resources
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPFound
    from pyramid.response import FileResponse, Response


def make(url: str) -> Any:
    """The app, asking the upstream at `url`, with another one mounted under `/sub`."""
    views = Views(url)
    config = Configurator()
    for name in ("json", "form", "upload", "stream_in"):
        _add(config, views, name, "POST")
    for name in (
        "query", "stream_out", "fail", "unavailable", "redirect", "cookies", "head", "drip", "time_out", "background",
        "layers", "file", "fan_out",
    ):  # fmt: skip
        _add(config, views, name, "GET")
    sub = Configurator()
    _add(sub, views, "hello", "GET")
    app = DispatcherMiddleware(config.make_wsgi_app(), {"/sub": sub.make_wsgi_app()})
    return Layer(Layer(app, "inner"), "outer", url)


def _add(config: Any, views: Views, name: str, method: str) -> None:
    paths = {"fail": "/raise", "time_out": "/timeout"}
    config.add_route(name, paths.get(name, f"/{name.replace('_', '-')}"))
    config.add_view(getattr(views, name), route_name=name, request_method=method)


class Views:
    """One method per route."""

    def __init__(self, url: str) -> None:
        self.url = url

    def count(self, path: str = "/count", method: str = "GET", **more: Any) -> int:
        number: int = ask(method, self.url + path, **more).json()["n"]
        return number

    def json(self, request: Any) -> Any:
        body = request.json_body
        return Response(json_body={"amount": body["amount"], "n": self.count(method="POST", json=body)})

    def query(self, request: Any) -> Any:
        name = request.headers["x-request-id"]
        response = Response(json_body={"a": request.GET.getall("a"), "b": request.GET["b"], "id": name})
        response.headers["x-request-id"] = name
        return response

    def form(self, request: Any) -> Any:
        return Response(json_body={"name": request.POST["name"], "tags": request.POST.getall("tag"), "n": self.count()})

    def upload(self, request: Any) -> Any:
        file = request.POST["file"]
        content = file.file.read()
        return Response(
            json_body={
                "title": request.POST["title"],
                "filename": file.filename,
                "type": file.type,
                "sha256": hashlib.sha256(content).hexdigest(),
                "n": self.count(method="POST", json={"size": len(content)}),
            }
        )

    def stream_in(self, request: Any) -> Any:
        digest, size = hashlib.sha256(), 0
        while part := request.environ["wsgi.input"].read(5):
            digest.update(part)
            size += len(part)
        return Response(f"{digest.hexdigest()} {size}", content_type="text/plain")

    def stream_out(self, request: Any) -> Any:
        return Response(
            app_iter=(f"{number}:{self.count()}\n".encode() for number in range(3)), content_type="text/plain"
        )

    def fail(self, request: Any) -> Any:
        self.count()
        raise RuntimeError("no rate for EUR") from KeyError("EUR")

    def unavailable(self, request: Any) -> Any:
        answer = ask("GET", f"{self.url}/fail")
        return Response(json_body={"error": f"upstream said {answer.status_code}"}, status=503)

    def redirect(self, request: Any) -> Any:
        return HTTPFound(f"/json?n={self.count()}")

    def cookies(self, request: Any) -> Any:
        session = request.cookies["session"]
        response = Response(session, content_type="text/plain")
        response.set_cookie("seen", "1", path="/")
        response.set_cookie("session", session, httponly=True, path="/")
        return response

    def head(self, request: Any) -> Any:
        response = Response("counted", content_type="text/plain")
        response.headers["x-count"] = str(self.count())
        return response

    def drip(self, request: Any) -> Any:
        self.count()
        return Response(app_iter=(f"drip {number}\n".encode() for number in range(200)), content_type="text/plain")

    def time_out(self, request: Any) -> Any:
        try:
            ask("GET", f"{self.url}/slow", timeout=0.2)
        except httpx.TimeoutException:
            return Response(json_body={"error": "time-out"}, status=504)
        return Response(json_body={})

    def background(self, request: Any) -> Any:
        request.add_finished_callback(lambda _: self.count(method="POST", json={"job": "background"}))
        return Response("accepted", status=202, content_type="text/plain")

    def hello(self, request: Any) -> Any:
        return Response(f"hello {request.GET['name']} from {request.script_name}: {self.count()}")

    def layers(self, request: Any) -> Any:
        return Response("layers", content_type="text/plain")

    def file(self, request: Any) -> Any:
        return FileResponse(str(binary_file()), request=request, content_type="application/octet-stream")

    def fan_out(self, request: Any) -> Any:
        with ThreadPoolExecutor(3) as pool:
            return Response(json_body=sorted(pool.map(lambda part: self.count(f"/count?part={part}"), range(3))))
