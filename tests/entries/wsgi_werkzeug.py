"""The web behaviours' app, written with werkzeug alone. See `web_behaviours` for what each route does."""

from __future__ import annotations

import hashlib
import json as json_module
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.routing import Map, Rule
from werkzeug.utils import redirect, send_file
from werkzeug.wrappers import Request, Response

from tests.entries.web_behaviours import ask, binary_file
from tests.entries.wsgi_layers import Layer

_POSTED = frozenset({"json", "form", "upload", "stream_in"})


def make(url: str) -> Any:
    """The app, asking the upstream at `url`, with another one mounted under `/sub`."""
    app = DispatcherMiddleware(Shop(url), {"/sub": Shop(url)})
    return Layer(Layer(app, "inner"), "outer", url)


def _json(value: Any, status: int = 200, **headers: str) -> Response:
    return Response(json_module.dumps(value), status, headers, mimetype="application/json")


class Shop:
    """One method per route."""

    def __init__(self, url: str) -> None:
        self._url = url
        paths = {"fail": "/raise", "time_out": "/timeout"}
        self._map = Map(
            [
                Rule(
                    paths.get(name, f"/{name.replace('_', '-')}"),
                    endpoint=name,
                    methods=["POST" if name in _POSTED else "GET"],
                )
                for name in vars(Shop)
                if not name.startswith("_")
            ]
        )

    def __call__(self, environ: Any, start_response: Any) -> Any:
        try:
            endpoint, _ = self._map.bind_to_environ(environ).match()
            response = getattr(self, endpoint)(Request(environ))
        except HTTPException as error:
            response = error
        return response(environ, start_response)

    def _count(self, path: str = "/count", method: str = "GET", **more: Any) -> int:
        number: int = ask(method, self._url + path, **more).json()["n"]
        return number

    def json(self, request: Request) -> Any:
        body: Any = request.get_json()
        return _json({"amount": body["amount"], "n": self._count(method="POST", json=body)})

    def query(self, request: Request) -> Any:
        name = request.headers["x-request-id"]
        response = _json({"a": request.args.getlist("a"), "b": request.args["b"], "id": name})
        response.headers["x-request-id"] = name
        return response

    def form(self, request: Request) -> Any:
        return _json({"name": request.form["name"], "tags": request.form.getlist("tag"), "n": self._count()})

    def upload(self, request: Request) -> Any:
        file = request.files["file"]
        content = file.read()
        file.close()
        return _json(
            {
                "title": request.form["title"],
                "filename": file.filename,
                "type": file.content_type,
                "sha256": hashlib.sha256(content).hexdigest(),
                "n": self._count(method="POST", json={"size": len(content)}),
            }
        )

    def stream_in(self, request: Request) -> Any:
        digest, size = hashlib.sha256(), 0
        while part := request.stream.read(5):
            digest.update(part)
            size += len(part)
        return Response(f"{digest.hexdigest()} {size}")

    def stream_out(self, request: Request) -> Any:
        return Response(f"{number}:{self._count()}\n" for number in range(3))

    def fail(self, request: Request) -> Any:
        self._count()
        raise RuntimeError("no rate for EUR") from KeyError("EUR")

    def unavailable(self, request: Request) -> Any:
        return _json({"error": f"upstream said {ask('GET', f'{self._url}/fail').status_code}"}, 503)

    def redirect(self, request: Request) -> Any:
        return redirect(f"/json?n={self._count()}")

    def cookies(self, request: Request) -> Any:
        session = request.cookies["session"]
        response = Response(session)
        response.set_cookie("seen", "1", path="/")
        response.set_cookie("session", session, httponly=True, path="/")
        return response

    def head(self, request: Request) -> Any:
        response = Response("counted")
        response.headers["x-count"] = str(self._count())
        return response

    def drip(self, request: Request) -> Any:
        self._count()
        return Response(f"drip {number}\n" for number in range(200))

    def time_out(self, request: Request) -> Any:
        try:
            ask("GET", f"{self._url}/slow", timeout=0.2)
        except httpx.TimeoutException:
            return _json({"error": "time-out"}, 504)
        return _json({})

    def background(self, request: Request) -> Any:
        response = Response("accepted", 202)
        response.call_on_close(lambda: self._count(method="POST", json={"job": "background"}))
        return response

    def hello(self, request: Request) -> Any:
        return Response(f"hello {request.args['name']} from {request.root_path}: {self._count()}")

    def layers(self, request: Request) -> Any:
        return Response("layers")

    def file(self, request: Request) -> Any:
        return send_file(binary_file(), request.environ, mimetype="application/octet-stream")

    def fan_out(self, request: Request) -> Any:
        with ThreadPoolExecutor(3) as pool:
            return _json(sorted(pool.map(lambda part: self._count(f"/count?part={part}"), range(3))))
