"""The web behaviours' app without any framework. See `web_behaviours` for what each route does."""

from __future__ import annotations

import hashlib
import json as json_module
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs

import httpx

from tests.entries.web_behaviours import ask, binary_file
from tests.entries.wsgi_layers import Layer

Answer = tuple[str, list[tuple[str, str]], Iterable[bytes]]
_JSON = ("content-type", "application/json")
_TEXT = ("content-type", "text/plain; charset=utf-8")
_BLOCK = 8192


def make(url: str) -> Callable[..., Any]:
    """The app, asking the upstream at `url`: one function."""
    shop = _Shop(url)
    layered = Layer(Layer(shop.answer, "inner"), "outer", url)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        return layered(environ, start_response)

    return application


class _Closing:
    """An iterable that works on when it is closed."""

    def __init__(self, parts: Iterable[bytes], close: Callable[[], Any]) -> None:
        self.parts, self.close = parts, close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.parts)


class _Shop:
    def __init__(self, url: str) -> None:
        self.url = url

    def answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        if path.startswith("/sub/"):
            environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/sub", path[4:]
            return self.answer(environ, start_response)
        respond = getattr(self, environ["PATH_INFO"].strip("/").replace("-", "_"), self.missing)
        status, headers, body = respond(environ)
        start_response(status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else body

    def count(self, path: str = "/count", method: str = "GET", **more: Any) -> int:
        number: int = ask(method, self.url + path, **more).json()["n"]
        return number

    def missing(self, environ: dict[str, Any]) -> Answer:
        return "404 Not Found", [_TEXT], [b"no such page"]

    def json(self, environ: dict[str, Any]) -> Answer:
        body = json_module.loads(_body(environ))
        return _ok({"amount": body["amount"], "n": self.count(method="POST", json=body)})

    def query(self, environ: dict[str, Any]) -> Answer:
        asked, name = parse_qs(environ["QUERY_STRING"]), environ["HTTP_X_REQUEST_ID"]
        return _ok({"a": asked["a"], "b": asked["b"][0], "id": name}, ("x-request-id", name))

    def form(self, environ: dict[str, Any]) -> Answer:
        fields = parse_qs(_body(environ).decode())
        return _ok({"name": fields["name"][0], "tags": fields["tag"], "n": self.count()})

    def upload(self, environ: dict[str, Any]) -> Answer:
        head = f"Content-Type: {environ['CONTENT_TYPE']}\r\n\r\n".encode()
        title, file = message_from_bytes(head + _body(environ)).get_payload()
        content: Any = file.get_payload(decode=True)  # type: ignore[union-attr]
        return _ok(
            {
                "title": title.get_payload(),  # type: ignore[union-attr]
                "filename": file.get_filename(),  # type: ignore[union-attr]
                "type": file.get_content_type(),  # type: ignore[union-attr]
                "sha256": hashlib.sha256(content).hexdigest(),
                "n": self.count(method="POST", json={"size": len(content)}),
            }
        )

    def stream_in(self, environ: dict[str, Any]) -> Answer:
        digest, size = hashlib.sha256(), 0
        while part := environ["wsgi.input"].read(5):
            digest.update(part)
            size += len(part)
        return "200 OK", [_TEXT], [f"{digest.hexdigest()} {size}".encode()]

    def stream_out(self, environ: dict[str, Any]) -> Answer:
        return "200 OK", [_TEXT], (f"{number}:{self.count()}\n".encode() for number in range(3))

    def _raise(self, environ: dict[str, Any]) -> Answer:
        self.count()
        raise RuntimeError("no rate for EUR") from KeyError("EUR")

    def unavailable(self, environ: dict[str, Any]) -> Answer:
        said = ask("GET", f"{self.url}/fail").status_code
        return _answer("503 Service Unavailable", {"error": f"upstream said {said}"})

    def redirect(self, environ: dict[str, Any]) -> Answer:
        return "302 Found", [("location", f"/json?n={self.count()}")], []

    def cookies(self, environ: dict[str, Any]) -> Answer:
        session = SimpleCookie(environ["HTTP_COOKIE"])["session"].value
        cookies = [("set-cookie", "seen=1; Path=/"), ("set-cookie", f"session={session}; HttpOnly; Path=/")]
        return "200 OK", [_TEXT, *cookies], [session.encode()]

    def head(self, environ: dict[str, Any]) -> Answer:
        return "200 OK", [_TEXT, ("x-count", str(self.count()))], [b"counted"]

    def drip(self, environ: dict[str, Any]) -> Answer:
        self.count()
        return "200 OK", [_TEXT], (f"drip {number}\n".encode() for number in range(200))

    def timeout(self, environ: dict[str, Any]) -> Answer:
        try:
            ask("GET", f"{self.url}/slow", timeout=0.2)
        except httpx.TimeoutException:
            return _answer("504 Gateway Timeout", {"error": "time-out"})
        return _ok({})

    def background(self, environ: dict[str, Any]) -> Answer:
        work = _Closing([b"accepted"], lambda: self.count(method="POST", json={"job": "background"}))
        return "202 Accepted", [_TEXT], work

    def hello(self, environ: dict[str, Any]) -> Answer:
        name = parse_qs(environ["QUERY_STRING"])["name"][0]
        return "200 OK", [_TEXT], [f"hello {name} from {environ['SCRIPT_NAME']}: {self.count()}".encode()]

    def layers(self, environ: dict[str, Any]) -> Answer:
        return "200 OK", [_TEXT], [b"layers"]

    def file(self, environ: dict[str, Any]) -> Answer:
        wrapped = environ["wsgi.file_wrapper"](binary_file().open("rb"), _BLOCK)
        return "200 OK", [("content-type", "application/octet-stream")], wrapped

    def fan_out(self, environ: dict[str, Any]) -> Answer:
        with ThreadPoolExecutor(3) as pool:
            return _ok(sorted(pool.map(lambda part: self.count(f"/count?part={part}"), range(3))))


setattr(_Shop, "raise", _Shop._raise)


def _answer(status: str, value: Any, *headers: tuple[str, str]) -> Answer:
    return status, [_JSON, *headers], [json_module.dumps(value).encode()]


def _ok(value: Any, *headers: tuple[str, str]) -> Answer:
    return _answer("200 OK", value, *headers)


def _body(environ: dict[str, Any]) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    return body
