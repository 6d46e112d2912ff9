r"""The web behaviours that every web framework passes, ASGI or WSGI, and the outside that its app talks to.

A framework supplies an app with the routes below, made by a function of the upstream's URL, and a client that puts a
`WebRequest` to the app and returns an `Answer`; `exercises` makes the contract's exercises from them. No framework is
imported here, and nothing of ASGI or WSGI is known.

What each route does. "Asks" is a call of `ask` (sync apps) or `aask` (async apps) on the upstream, `n` is the number in
its JSON answer, "JSON" is the framework's usual JSON response. Where nothing is said the status is 200.

- `POST /json`: reads JSON `{"amount": …}`, asks `POST /count` with that same JSON; JSON `{"amount": …, "n": n}`.
- `GET /query`: no call; JSON `{"a": [every a in order], "b": b, "id": the header x-request-id}`, and that id in the
  response's header `x-request-id` too.
- `POST /form`: an urlencoded form; asks `GET /count`; JSON `{"name": name, "tags": [every tag in order], "n": n}`.
- `POST /upload`: multipart with the field `title` and the file `file`; asks `POST /count` with the JSON
  `{"size": the file's}`; JSON `{"title", "filename", "type": the file's content type, "sha256": hex of it, "n"}`.
- `POST /stream-in`: reads the body part by part where the framework can, else whole; no call; text
  `<sha256 hex> <size>`.
- `GET /stream-out`: streams the parts `0:<n>\n`, `1:<n>\n`, `2:<n>\n`, and asks `GET /count` before each of them, while
  it streams.
- `GET /raise`: asks `GET /count`, then `raise RuntimeError("no rate for EUR") from KeyError("EUR")`, which nothing of
  the app handles.
- `GET /unavailable`: asks `GET /fail`, which answers 500; JSON `{"error": "upstream said 500"}` with status 503.
- `GET /missing`: there is no such route; the framework's own 404.
- `GET /redirect`: asks `GET /count`; 302 to `/json?n=<n>`.
- `GET /cookies`: no call; text: the value of the request's cookie `session`; sets the cookies `seen=1` (Path=/) and
  `session=<that value>` (HttpOnly, Path=/).
- `HEAD /head`: a GET route, asked with HEAD: asks `GET /count`; text `counted`, header `x-count: <n>`.
- `GET /drip`: asks `GET /count`, then streams 200 parts `drip <number>\n`; async apps `await asyncio.sleep(0)` before
  each. The client goes away after three.
- `GET /timeout`: asks `GET /slow` with a time-out of 0.2 s, which runs out (`httpx.TimeoutException`); JSON
  `{"error": "time-out"}` with status 504.
- `GET /background`: status 202, text `accepted`; after the response, as the framework does such work (a background
  task, a thread, a callback when the response is closed), asks `POST /count` with the JSON `{"job": "background"}`.
- `GET /sub/hello?name=`: by an app of its own, mounted under `/sub`: asks `GET /count`; text
  `hello <name> from <root path or script name>: <n>`.
- `GET /layers`: through two middlewares that act on this path only. The inner appends `inner` to the response's header
  `x-layers`; the outer asks `GET /count` before it calls on, then appends `outer` and sets `x-count: <n>`. The route
  answers text `layers`; the header in the end is `inner,outer`.
- `GET /file`: `binary_file()` (76,800 bytes) with the framework's file response, as `application/octet-stream`.
- `GET /fan-out`: asks `GET /count?part=0`, `…1`, `…2` at the same time (gather, a thread pool); JSON: the three `n`,
  sorted.
"""

from __future__ import annotations

import atexit
import functools
import inspect
import shutil
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import orjson

from pytest_fluxrun.testing.entry import Exercise

TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Nothing here speaks TLS; making a context anew for each client would be most of the tests' time."""

_MULTIPART = (
    b'--fluxrun\r\nContent-Disposition: form-data; name="title"\r\n\r\nA picture\r\n'
    b'--fluxrun\r\nContent-Disposition: form-data; name="file"; filename="dot.png"\r\n'
    b"Content-Type: image/png\r\n\r\n" + bytes(range(256)) + b"\r\n--fluxrun--\r\n"
)


@dataclass(frozen=True, slots=True)
class WebRequest:
    """A request as a client puts it.

    Args:
        query: the raw query string, percent-encoded.
        headers: beside `host: shop.example`, lower-case; `content-length` is stated where the body is in one part.
        body: its parts; more than one are sent chunked.
        leave_after: how many bytes of the response's body the client reads before it goes away; None: it stays.
    """

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: tuple[bytes, ...] = ()
    leave_after: int | None = None

    def all_headers(self) -> list[tuple[str, str]]:
        """With the host, and what the body needs."""
        size = [("content-length", str(len(self.body[0])))] if len(self.body) == 1 else []
        chunked = [("transfer-encoding", "chunked")] if len(self.body) > 1 else []
        return [("host", "shop.example"), *self.headers, *size, *chunked]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client saw.

    Args:
        headers: sorted, lower-case names; without `date` and `server`.
        body: up to where the client went away.
        raised: `Type: message` of what the app raised into its server, or "".
    """

    status: int | None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    raised: str = ""


@dataclass(frozen=True, slots=True)
class WebBehaviour:
    """One row of the table.

    Args:
        status: that the run's ending has; None: the framework's affair.
        calls: how many interactions the run holds.
        disconnected: the ending says that the client went away.
    """

    name: str
    request: WebRequest
    status: int | None = 200
    calls: int = 1
    disconnected: bool = False


def _get(path: str, query: str = "", *headers: tuple[str, str], **more: Any) -> WebRequest:
    return WebRequest("GET", path, query, headers, **more)


def _post(path: str, content_type: str, *body: bytes) -> WebRequest:
    return WebRequest("POST", path, headers=(("content-type", content_type),), body=body)


BEHAVIOURS: tuple[WebBehaviour, ...] = (
    WebBehaviour("json", _post("/json", "application/json", b'{"amount": 3}')),
    WebBehaviour(
        "query-and-headers", _get("/query", "a=1&a=2&b=%C3%A4%20b", ("x-request-id", "r-1"), ("accept", "*/*")), calls=0
    ),
    WebBehaviour(
        "form", _post("/form", "application/x-www-form-urlencoded", b"name=J%C3%B6rg+B&tag=new&tag=red%26blue")
    ),
    WebBehaviour("multipart-upload", _post("/upload", "multipart/form-data; boundary=fluxrun", _MULTIPART)),
    WebBehaviour(
        "streamed-request", _post("/stream-in", "application/octet-stream", b"first,", b"\xff\x00", b"third"), calls=0
    ),
    WebBehaviour("streamed-response", _get("/stream-out"), calls=3),
    WebBehaviour("raised-error", _get("/raise"), status=None),
    WebBehaviour("error-response", _get("/unavailable"), status=503),
    WebBehaviour("not-found", _get("/missing"), status=404, calls=0),
    WebBehaviour("redirect", _get("/redirect"), status=302),
    WebBehaviour("cookies", _get("/cookies", "", ("cookie", "theme=dark; session=k3yboardcat5tr0ng")), calls=0),
    WebBehaviour("head", WebRequest("HEAD", "/head")),
    WebBehaviour("client-disconnect", _get("/drip", leave_after=len(b"drip 0\n") * 3), disconnected=True),
    WebBehaviour("time-out", _get("/timeout"), status=504),
    WebBehaviour("background-work", _get("/background"), status=202),
    WebBehaviour("mounted-sub-app", _get("/sub/hello", "name=Ada")),
    WebBehaviour("middleware-order", _get("/layers")),
    WebBehaviour("binary-file", _get("/file"), calls=0),
    WebBehaviour("concurrent", _get("/fan-out"), calls=3),
)
"""Every behaviour that a web framework is tested for, by name in the compatibility table's order."""

RAISED = ("builtins:RuntimeError: no rate for EUR", "builtins:KeyError: 'EUR'")
"""What the outcome of `raised-error` holds, where the framework lets the error reach its server."""


def exercises(
    make: Callable[[str], Any],
    client: Callable[[Any, WebRequest], Any],
    *,
    raised: tuple[str, ...] = RAISED,
    without: frozenset[str] = frozenset(),
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Exercise]:
    """The contract's exercises for one framework.

    Args:
        make: the app, from the upstream's URL.
        client: puts a request to the app, sync or async, and returns an Answer.
        raised: the error in the outcome of `raised-error`; () where the framework answers 500 and raises nothing.
        without: behaviours that can't be asked of the framework; each needs its reason beside it.
        changes: behaviour → fields of the run's ending that are otherwise for this framework.
    """
    made = {}
    for behaviour in BEHAVIOURS:
        if behaviour.name not in without:
            ending: dict[str, Any] = {"disconnected": behaviour.disconnected}
            if behaviour.status is not None:
                ending["status"] = behaviour.status
            made[behaviour.name] = Exercise(
                target=lambda outside: make(outside.url),
                invoke=_asking(client, behaviour.request),
                error=raised if behaviour.name == "raised-error" else (),
                ending={**ending, **(changes or {}).get(behaviour.name, {})},
                calls=behaviour.calls,
            )
    return made


def _asking(client: Callable[[Any, WebRequest], Any], request: WebRequest) -> Callable[[Any, Any], Any]:
    if inspect.iscoroutinefunction(client):

        async def ask_async(app: Any, _: Any) -> Any:
            return await client(app, request)

        return ask_async
    return lambda app, _: client(app, request)


def ask(method: str, url: str, *, json: Any = None, timeout: float = 10.0) -> httpx.Response:
    """One call of a sync app to the upstream."""
    with httpx.Client(verify=TLS, timeout=timeout) as client:
        return client.request(method, url, json=json)


async def aask(method: str, url: str, *, json: Any = None, timeout: float = 10.0) -> httpx.Response:  # noqa: ASYNC109 - httpx's
    """One call of an async app to the upstream."""
    async with httpx.AsyncClient(verify=TLS, timeout=timeout) as client:
        return await client.request(method, url, json=json)


@functools.cache
def binary_file() -> Path:
    """A file of all byte values, larger than a server's usual part; gone with the process."""
    folder = Path(tempfile.mkdtemp(prefix="fluxrun-file-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "dots.bin"
    path.write_bytes(bytes(range(256)) * 300)
    return path


@dataclass
class Upstream:
    """The outside of every app: a server on loopback that counts. Keeps `testing.boundary.Outside`."""

    url: str
    server: ThreadingHTTPServer
    hits: int = 0
    number: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    gone: threading.Event = field(default_factory=threading.Event)

    def calls(self) -> int:
        """How often it was asked, whatever for."""
        return self.hits

    def reset(self) -> None:
        """Count from one again."""
        self.number = 0

    def take_away(self) -> None:
        """Stop listening."""
        self.gone.set()
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def upstream() -> Iterator[Upstream]:
    """`/count`: JSON `{"n": …, "echo": body}`, n one more each time; `/fail`: 500; `/slow`: no answer for 5 s."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            with found.lock:
                found.hits += 1
                found.number += 1
                answer = {"n": found.number, "echo": body.decode()}
            if self.path == "/slow" and found.gone.wait(5):
                return  # whoever asked has left; a late answer would be a send beside a replay
            with suppress(OSError):
                self.send_response(500 if self.path == "/fail" else 200)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(orjson.dumps(answer))

        do_POST = do_GET

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # so that closing the server waits for them
    found = Upstream(f"http://127.0.0.1:{server.server_port}", server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield found
    found.take_away()
    thread.join(5)
