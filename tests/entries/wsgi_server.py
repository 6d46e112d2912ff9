"""A WSGI server's side of one request, and what a replay of it gives."""

from __future__ import annotations

import io
from typing import Any

from pytest_fluxrun.entries.wsgi import entry

TEXT = [("Content-Type", "text/plain")]


def environ(path: str = "/", method: str = "GET", body: bytes = b"", **more: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "shop.example",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **more,
    }


class Server:
    """A server's side of one request, as strict as wsgiref's.

    Args:
        gone_after: chunks after which the client is gone.
    """

    def __init__(self, *, gone_after: int | None = None) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.sent: list[bytes] = []
        self.gone_after = gone_after
        self.result: Any = None
        self.error: BaseException | None = None

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        if exc_info and self.sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if self.status and not exc_info:
            raise AssertionError("Headers already set by this server")
        self.status, self.headers = status, headers
        return self.send

    def send(self, chunk: bytes) -> None:
        if self.gone_after is not None and len(self.sent) >= self.gone_after:
            raise BrokenPipeError(32, "Broken pipe")
        self.sent.append(chunk)

    def serve(self, app: Any, asked: dict[str, Any]) -> Server:
        try:
            self.result = app(asked, self.start_response)
            try:
                for chunk in self.result:
                    self.send(chunk)
            finally:
                if hasattr(self.result, "close"):
                    self.result.close()
        except BaseException as error:  # it may be any
            self.error = error
        return self

    @property
    def body(self) -> bytes:
        return b"".join(self.sent)


def serve(app: Any, asked: dict[str, Any] | None = None, **options: Any) -> Server:
    return Server(**options).serve(app, asked or environ())


def replayed(app: Any, runs: Any, driving: Any, number: int = 0) -> Any:
    """The recorded outcome after it was shown that a replay gives the same."""
    recorded_input, outcome = runs.dumped(number)
    assert without_frames(outcome) == without_frames(entry.drive(app, recorded_input, driving))
    return outcome


def without_frames(outcome: Any) -> Any:
    """An outcome whose error has no frames: apps here raise one error twice, which then has both tracebacks."""
    error = outcome["error"]
    return outcome if error is None else {**outcome, "error": {**error, "frames": []}}


def plain(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    return [b"o", b"k"]


def generator(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", TEXT)
    yield b"o"
    yield b""
    yield b"k"
