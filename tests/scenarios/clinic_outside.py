"""What lies outside of the clinic while it is recorded: insurers, other systems' webhooks, blobs, mails."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.scenarios.service import free_port
from tests.serving import serving


class Upstream(ThreadingHTTPServer):
    """Insurers at `/<code>/`, webhooks at `/hooks/<name>`, blobs at `/blobs/<name>`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.blobs: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.hits = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536
    server: Upstream

    def do_POST(self) -> None:
        body = self._body()
        first, _, rest = self.path.strip("/").partition("/")
        if first == "hooks":
            trouble = rest == "shaky" and self._asked(f"{self.path} {body.decode()}") == 1
            self._send(503 if trouble else 202, {"taken": not trouble})
            return
        claim = json.loads(body)["claim"]
        if first == "flaky" and self._asked(claim) == 1:
            self._send(502, {"error": "bad gateway"})
        else:
            self._send(201, {"reference": f"{first.upper()}-{claim[:8]}"})

    def do_GET(self) -> None:
        self._body()
        if self.path.startswith("/blobs/"):
            found = self.server.blobs.get(self.path)
            self._send(404 if found is None else 200, b"" if found is None else found)
        elif self.path.startswith("/flaky/"):
            self._send(503, {"error": "maintenance"})
        else:
            self._send(200, {"covered": True, "policy": self.path.rpartition("/")[2]})

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        self.server.blobs[self.path] = self._body()
        self._send(201, b"")

    def do_DELETE(self) -> None:
        self._body()
        self.server.blobs.pop(self.path, None)
        self._send(204, b"")

    def _body(self) -> bytes:
        self.server.hits += 1
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def _asked(self, what: str) -> int:
        with self.server.lock:
            self.server.asked[what] += 1
            return self.server.asked[what]

    def _send(self, status: int, answer: Any) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header(
            "Content-Type", "application/octet-stream" if isinstance(answer, bytes) else "application/json"
        )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class MailServer:
    """Takes every mail; refuses recipients at `refused.example`."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        if address.endswith("@refused.example"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.mails.append(bytes(envelope.content or b""))
        return "250 taken"


@contextmanager
def mail_server() -> Iterator[tuple[MailServer, int]]:
    """Serve SMTP on loopback for the block; gives the server and its port."""
    taken = MailServer()
    port = free_port()
    controller = Controller(taken, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield taken, port
    finally:
        controller.stop()


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Serve HTTP on loopback for the block."""
    with Upstream() as server, serving(server):
        yield server
