"""`--as curl`: the command, run by a shell with curl's place taken by a program that says what it was given."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
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
        "https://shop.example/a b?q=$1&x[]=2",
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
