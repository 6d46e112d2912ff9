"""A service that is instrumented with OpenTelemetry, Sentry and statsd, and the collectors that listen for it."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

SERVICE = '''\
"""One function whose calls are traced, whose error is reported, and which counts itself."""

import os
import socket
import threading
import uuid

COLLECTOR = os.environ["COLLECTOR"]
INSTRUMENTED = True

if not os.environ.get("TELEMETRY_FIRST"):
    import pytest_fluxrun as fluxrun

    fluxrun.init(project="kiosk")

if INSTRUMENTED:
    import sentry_sdk
    from sentry_sdk.integrations.httpx import HttpxIntegration
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    import httpx

    sentry_sdk.init(
        dsn=COLLECTOR.replace("://", "://public@") + "/1",
        traces_sample_rate=1.0,
        auto_enabling_integrations=False,
        integrations=[HttpxIntegration()],
    )
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(COLLECTOR + "/simple")))
    trace.set_tracer_provider(provider)
    HTTPXClientInstrumentor().instrument()

if os.environ.get("TELEMETRY_FIRST"):
    import pytest_fluxrun as fluxrun

    fluxrun.init(project="kiosk")

import httpx


def started_late():
    """A batch processor whose thread starts inside a run."""
    if INSTRUMENTED and not hasattr(provider, "late"):
        provider.late = True
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(COLLECTOR + "/batch")))


def counted(name):
    """A statsd counter."""
    host, _, port = os.environ["STATSD"].rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(f"{name}:1|c".encode(), (host, int(port)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((host, int(port)))
        sock.send(f"{name}:1|c".encode())


@fluxrun.capture("quote")
def quote(amount):
    """Ask the upstream server, in a span of our own."""
    started_late()
    rates = []
    thread = threading.Thread(target=lambda: rates.append(httpx.get(os.environ["UPSTREAM"] + "/rate").json()["rate"]))
    thread.start()
    thread.join()
    found = rates[0]
    told = httpx.post(os.environ["UPSTREAM"] + "/told").status_code
    if os.environ.get("STATSD"):
        counted("quotes")
    return {"price": amount * found, "id": uuid.uuid4().hex, "told": told >= 200}


@fluxrun.capture("traced")
def traced(amount):
    """Give the ids that instruments drew."""
    with trace.get_tracer("kiosk").start_as_current_span("traced") as span:
        event = sentry_sdk.capture_message("traced")
        found = httpx.get(os.environ["UPSTREAM"] + "/rate").json()["rate"]
        provider.force_flush()
        return {"price": amount * found, "trace": span.get_span_context().trace_id, "event": event}
'''

BARE = SERVICE.replace("INSTRUMENTED = True", "INSTRUMENTED = False")

RECORD = """\
import sys, service
for entry in (sys.argv[1] or "quote,traced").split(","):
    getattr(service, entry)(2)
assert service.fluxrun.flush(20)
"""


class Collector:
    """Takes what instruments send, over HTTP and as datagrams, and counts it by path."""

    def __init__(self) -> None:
        self.hits: Counter[str] = Counter()
        live = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                live.hits[self.path] += 1
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_GET = do_PUT = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind(("127.0.0.1", 0))
        self._datagrams.settimeout(5)
        self.statsd = f"127.0.0.1:{self._datagrams.getsockname()[1]}"

    def taken(self) -> dict[str, int]:
        """Requests by path since the last call."""
        hits, self.hits = self.hits, Counter()
        return dict(hits)

    def datagrams(self) -> list[bytes]:
        """What has come so far; on loopback, a datagram that was sent is here."""
        found = []
        self._datagrams.setblocking(False)
        while True:
            try:
                found.append(self._datagrams.recv(1000))
            except BlockingIOError:
                return found

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.server.server_close()
        self._datagrams.close()


@contextmanager
def collecting() -> Iterator[Collector]:
    """Collect for the block."""
    collector = Collector()
    thread = Thread(target=collector.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.close()
        thread.join()
