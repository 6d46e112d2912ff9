"""`--as curl`: the command, run by a shell with curl's place taken by a program that says what it was given."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.export.curl import curl_command
from pytest_fluxrun.run import Run
from tests.export.conftest import request_run

_SAYS_ITS_ARGUMENTS = f"""#!{sys.executable}
import base64, json, os, sys
given = sys.stdin.buffer.read() if "@-" in sys.argv else b""
print(json.dumps([sys.argv[1:], base64.b64encode(given).decode()]))
"""


@pytest.fixture
def received(tmp_path: Path) -> object:
    """Run a command in sh; returns curl's arguments and its standard input."""
    program = tmp_path / "curl"
    program.write_text(_SAYS_ITS_ARGUMENTS)
    program.chmod(0o755)

    def received(command: str) -> tuple[list[str], bytes]:
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        output = subprocess.check_output(["sh", "-c", command], env={"PATH": path}, text=True, timeout=20)
        arguments, given = __import__("json").loads(output)
        return arguments, base64.b64decode(given)

    return received


def test_method_url_headers_and_text_arrive_as_recorded(received) -> None:
    """Whatever quotes and dollars they hold; what curl makes itself is left out."""
    body = """{"note": "it's $HOME `x`\\n"}"""
    headers = (("host", "shop.example"), ("content-length", "9"), ("x-odd", "a'b"), ("x-empty", ""))
    run = request_run("PUT", "/a b", query="q=$1&x[]=2", headers=headers, body=body)

    arguments, _ = received(curl_command(run))

    assert [
        "--request",
        "PUT",
        "--globoff",
        "--path-as-is",
        "--url",
        "https://shop.example/a%20b?q=$1&x[]=2",
    ] == arguments[:6]
    sent = [arguments[index + 1] for index, word in enumerate(arguments) if word == "--header"]
    assert ["x-odd: a'b", "x-empty;", "user-agent:", "accept:", "content-type:"] == sent
    assert ["--data-raw", body] == arguments[-2:]


def test_a_binary_body_goes_through_a_pipe(received) -> None:
    """Byte for byte."""
    body = bytes(range(256))

    arguments, given = received(curl_command(request_run(body=body)))

    assert ["--data-binary", "@-"] == arguments[-2:]
    assert body == given


def test_a_run_that_no_request_invoked_is_refused(websocket_run: Run) -> None:
    """It says what invoked it."""
    with pytest.raises(FluxRunError, match="a websocket invoked it"):
        curl_command(websocket_run)


@pytest.fixture
def echo() -> Iterator[ThreadingHTTPServer]:
    """Keeps the requests that it gets, as bytes, in `requests`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.requests.append((self.raw_requestline.strip(), self.headers.items(), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("body", ["x" * 300_000, "\x1b[201~\nrm -rf ~\n", "%s $HOME \\033 é\n", b"\xff\0"])
def test_a_server_gets_the_bytes_that_were_recorded(echo, shell: str, body: str | bytes) -> None:
    """By curl itself: headers beyond ASCII, a path with a space, a body of any size."""
    host = f"127.0.0.1:{echo.server_port}"
    sent = {"x-name": "ZoÃ«", "x-latin": "Zo\xeb", "x-terminal": "a\x1b]0;%d\x07", "accept-encoding": "br"}
    run = request_run(path="/a b/\x1b[1m", headers=(("host", host), *sent.items()), body=body)
    run = replace(run, input={**run.input, "scope": {**run.input["scope"], "scheme": "http"}})
    command = curl_command(run)

    subprocess.run([shell, "-n"], input=command, text=True, check=True, timeout=20)
    done = subprocess.run([shell], input=command, text=True, capture_output=True, check=False, timeout=20)

    assert 0 == done.returncode, done.stderr
    ((line, headers, received),) = echo.requests
    assert b"POST /a%20b/%1B[1m HTTP/1.1" == line
    assert {**sent, "Host": host} == {name: value for name, value in headers if name != "Content-Length"}
    assert (body if isinstance(body, bytes) else body.encode()) == received


def test_nothing_in_the_command_steers_a_terminal() -> None:
    """Escapes, and what turns the reading direction, are written in ASCII; so the command can be pasted."""
    evil = "\x1b[31m\x9b\u202e\x07"

    command = curl_command(request_run(path=f"/{evil}", headers=(("x-a", evil),), body=f"{evil}\r"))

    assert command.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"headers": [["@/etc/passwd", "1"]]}, "the header '@/etc/passwd' is none that HTTP has"),
        ({"headers": [["x", "1\r\nx-admin: 1"]]}, "the header 'x' is none"),
        ({"scheme": "file"}, "the scheme 'file' is none"),
        ({"method": "GET --output x"}, "the method 'GET --output x' is none"),
    ],
)
def test_what_curl_would_take_for_something_else_is_refused(change: dict[str, object], why: str) -> None:
    """A file to read, one more header, another protocol, an option."""
    run = request_run()

    with pytest.raises(FluxRunError, match=why):
        curl_command(replace(run, input={**run.input, "scope": {**run.input["scope"], **change}}))
