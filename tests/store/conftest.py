"""Real servers on loopback for the store tests: moto's S3 in its own process, and HTTP servers that misbehave."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ACCESS_KEY = "AKIAFLUXRUNTESTKEY00"
SECRET_KEY = "planted-secret-access-key"

Handler = type[BaseHTTPRequestHandler]

# moto asks whether a key is taken and takes it in two steps; S3 does both as one: so does a lock around each request.
S3_SERVER = """
import sys, threading
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

one_at_a_time = threading.Lock()
s3 = DomainDispatcherApplication(create_backend_app)

def application(environ, start_response):
    with one_at_a_time:
        return s3(environ, start_response)

run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True)
"""


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """Yield the port of an S3 server that lives as long as the test session."""
    port = free_port()
    command = [sys.executable, "-c", S3_SERVER, str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_it_answers(port, server)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=30)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Return an environment with test credentials and nothing of this machine's own AWS settings."""
    for variable in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return monkeypatch


@pytest.fixture
def bucket(s3_port: int, aws: pytest.MonkeyPatch) -> str:
    """Return the name of a new bucket, which the environment's endpoint serves."""
    name = f"runs-{uuid.uuid4().hex}"
    aws.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3_port}")
    connection = http.client.HTTPConnection("127.0.0.1", s3_port, timeout=30)
    connection.request("PUT", f"/{name}")
    assert connection.getresponse().status == 200
    connection.close()
    return name


@pytest.fixture
def serve() -> Iterator[Callable[[Handler], str]]:
    """Yield a function that serves a handler on a free port until the test ends, and returns the URL."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(handler: Handler) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def closed_port() -> int:
    """Return a port on which nothing listens."""
    return free_port()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Yield a port that accepts connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until_it_answers(port: int, server: subprocess.Popen[bytes]) -> None:
    """Return once an HTTP request gets an answer; fail if the server ends first."""
    while server.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            continue
        else:
            return
        finally:
            connection.close()
    pytest.fail(f"the S3 server ended with {server.returncode}")
