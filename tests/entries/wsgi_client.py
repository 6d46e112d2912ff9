"""The server's side of WSGI, in this process: puts a web request to an app, as a server like gunicorn does."""

from __future__ import annotations

import io
import sys
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.util import FileWrapper

from tests.entries.web_behaviours import Answer, WebRequest


class _Peer:
    """One client: a send to one that has gone is refused."""

    def __init__(self, request: WebRequest) -> None:
        self.leave_after = request.leave_after
        self.start: Any = None
        self.body = b""

    def start_response(self, status: str, headers: Any, exc_info: Any = None) -> Any:
        assert self.start is None or exc_info, "a second start"
        self.start = (status, list(headers))
        return self.send

    def send(self, data: bytes) -> None:
        assert self.start is not None, "a body before the start"
        if self.leave_after is not None and len(self.body) >= self.leave_after:
            raise BrokenPipeError(32, "Broken pipe")
        self.body += data


def request(app: Any, asked: WebRequest) -> Answer:
    """Put a request to an app, and close what it gave."""
    peer, raised = _Peer(asked), ""
    try:
        result = app(environ_of(asked), peer.start_response)
        try:
            for chunk in result:
                peer.send(chunk)
        finally:
            if hasattr(result, "close"):
                result.close()
    except BrokenPipeError:
        peer.body = peer.body[: asked.leave_after]
    except Exception as error:  # the server would log it
        raised = f"{type(error).__name__}: {error}"
    status, headers = peer.start or ("", [])
    return Answer(
        status=int(status[:3]) if status else None,
        headers=tuple(
            sorted((name.lower(), value) for name, value in headers if name.lower() not in {"date", "server"})
        ),
        body=peer.body,
        raised=raised,
    )


def environ_of(asked: WebRequest) -> dict[str, Any]:
    """The environ of an HTTP request."""
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in asked.all_headers()}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if (value := headers.pop(f"HTTP_{name}", None)) is not None:
            headers[name] = value
    return {
        "REQUEST_METHOD": asked.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(asked.path).decode("latin-1"),
        "QUERY_STRING": asked.query,
        "RAW_URI": asked.path + (f"?{asked.query}" if asked.query else ""),
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "tests",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(b"".join(asked.body)),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        **headers,
    }
