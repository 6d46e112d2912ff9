"""The web behaviours' app, written with Flask. See `web_behaviours` for what each route does."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from flask import Flask, Response, jsonify, redirect, request, send_file
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from tests.entries.web_behaviours import ask, binary_file
from tests.entries.wsgi_layers import Layer


def make(url: str) -> Flask:
    """The app, asking the upstream at `url`."""
    app = Flask("shop")
    _reads(app, url)
    _answers(app, url)
    _streams(app, url)
    app.wsgi_app = Layer(Layer(_mounted(app.wsgi_app, url), "inner"), "outer", url)  # type: ignore[method-assign]
    return app


def _count(url: str, path: str = "/count", method: str = "GET", **more: Any) -> int:
    number: int = ask(method, url + path, **more).json()["n"]
    return number


def _mounted(app: Any, url: str) -> Any:
    sub = Flask("sub")

    @sub.get("/hello")
    def hello() -> str:
        return f"hello {request.args['name']} from {request.root_path}: {_count(url)}"

    return DispatcherMiddleware(app, {"/sub": sub})


def _reads(app: Flask, url: str) -> None:
    @app.post("/json")
    def json() -> Any:
        body = request.get_json()
        return jsonify(amount=body["amount"], n=_count(url, method="POST", json=body))

    @app.get("/query")
    def query() -> Any:
        name = request.headers["x-request-id"]
        return jsonify(a=request.args.getlist("a"), b=request.args["b"], id=name), 200, {"x-request-id": name}

    @app.post("/form")
    def form() -> Any:
        return jsonify(name=request.form["name"], tags=request.form.getlist("tag"), n=_count(url))

    @app.post("/upload")
    def upload() -> Any:
        file = request.files["file"]
        content = file.read()
        return jsonify(
            title=request.form["title"],
            filename=file.filename,
            type=file.content_type,
            sha256=hashlib.sha256(content).hexdigest(),
            n=_count(url, method="POST", json={"size": len(content)}),
        )

    @app.post("/stream-in")
    def stream_in() -> str:
        digest, size = hashlib.sha256(), 0
        while part := request.stream.read(5):
            digest.update(part)
            size += len(part)
        return f"{digest.hexdigest()} {size}"


def _answers(app: Flask, url: str) -> None:
    @app.get("/raise")
    def fail() -> str:
        _count(url)
        raise RuntimeError("no rate for EUR") from KeyError("EUR")

    @app.get("/unavailable")
    def unavailable() -> Any:
        return jsonify(error=f"upstream said {ask('GET', f'{url}/fail').status_code}"), 503

    @app.get("/redirect")
    def away() -> Any:
        return redirect(f"/json?n={_count(url)}")

    @app.get("/cookies")
    def cookies() -> Response:
        session = request.cookies["session"]
        response = Response(session, mimetype="text/plain")
        response.set_cookie("seen", "1", path="/")
        response.set_cookie("session", session, httponly=True, path="/")
        return response

    @app.get("/head")
    def head() -> Any:
        return "counted", 200, {"x-count": str(_count(url))}

    @app.get("/timeout")
    def time_out() -> Any:
        try:
            ask("GET", f"{url}/slow", timeout=0.2)
        except httpx.TimeoutException:
            return jsonify(error="time-out"), 504
        return jsonify()

    @app.get("/layers")
    def layers() -> str:
        return "layers"

    @app.get("/fan-out")
    def fan_out() -> Any:
        with ThreadPoolExecutor(3) as pool:
            return jsonify(sorted(pool.map(lambda part: _count(url, f"/count?part={part}"), range(3))))


def _streams(app: Flask, url: str) -> None:
    @app.get("/stream-out")
    def stream_out() -> Response:
        return Response((f"{number}:{_count(url)}\n" for number in range(3)), mimetype="text/plain")

    @app.get("/drip")
    def drip() -> Response:
        _count(url)
        return Response((f"drip {number}\n" for number in range(200)), mimetype="text/plain")

    @app.get("/background")
    def background() -> Response:
        response = Response("accepted", 202, mimetype="text/plain")
        response.call_on_close(lambda: _count(url, method="POST", json={"job": "background"}))
        return response

    @app.get("/file")
    def file() -> Response:
        return send_file(binary_file(), mimetype="application/octet-stream")
