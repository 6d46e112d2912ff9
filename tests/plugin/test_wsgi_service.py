"""A Flask service under real gunicorn: recorded, sealed as its workers end, and replayed by pytest."""

from __future__ import annotations

import http.client
import socket
import time
from pathlib import Path

import pytest

from pytest_fluxrun.bundle import read_index
from tests.plugin.kiosk import Kiosk, Upstream, upstream_server
from tests.plugin.wsgi_project import PATIENCE_S, gunicorn, project

SERVICE = '''\
"""A shop that answers, fails, streams, and leaves a thread behind."""

import os
import threading
import time
import uuid

import httpx
from flask import Flask, Response, jsonify, request, send_file

import pytest_fluxrun as fluxrun

fluxrun.init(project="shop")
app = fluxrun.instrument(Flask(__name__))


def rate():
    """Ask the upstream server for the rate."""
    return httpx.get(os.environ["UPSTREAM"] + "/rate").json()["rate"]


@app.post("/price/<int:factor>")
def price(factor):
    return jsonify(price=request.get_json()["amount"] * factor * rate(), id=str(uuid.uuid4()), pid=app.name)


@app.get("/raise")
def fail():
    raise ValueError(f"no price at {rate()}")


@app.get("/unavailable")
def unavailable():
    return jsonify(error=f"rate is {rate()}"), 503


@app.get("/stream")
def stream():
    return Response(f"{number}:{rate()}:{'x' * 65536}\\n" for number in range(200))


@app.get("/nap")
def nap():
    time.sleep(3600)
    return "awake"


@app.get("/file")
def file():
    return send_file("pyproject.toml", mimetype="text/plain")


@app.get("/late")
def late():
    asked = threading.Event()

    def work():
        rate()
        asked.set()
        threading.Event().wait(0.3)
        rate()

    threading.Thread(target=work, daemon=True).start()
    asked.wait()
    return "accepted", 202
'''


def ask(port: int, path: str, body: bytes | None = None, *, read: int | None = None) -> tuple[int, bytes]:
    """One request; with `read` the client goes away after so many bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    headers = {"content-type": "application/json"} if body else {}
    connection.request("POST" if body else "GET", path, body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read(read)
    if read is not None:  # a reset: else the server's kernel takes what is left
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        answer.fp.raw._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    answer.close()
    connection.close()
    return found


def record(shop: Kiosk, upstream: Upstream, *options: str) -> None:
    """One run of each sort."""
    shop.write("shop.py", SERVICE)
    with gunicorn(shop, "shop:app", *options, UPSTREAM=upstream.url) as port:
        assert 200 == ask(port, "/price/2", b'{"amount": 3}')[0]
        assert 500 == ask(port, "/raise")[0]
        assert 503 == ask(port, "/unavailable")[0]
        assert 202 == ask(port, "/late")[0]
        assert (200, (shop.root / "pyproject.toml").read_bytes()) == ask(port, "/file")
        assert 200 == ask(port, "/stream", read=100_000)[0]
        deadline = time.monotonic() + PATIENCE_S
        while upstream.hits < 7 and time.monotonic() < deadline:
            time.sleep(0.01)


@pytest.mark.parametrize("options", [["-w", "2"], ["-w", "2", "--preload"], ["--threads", "4"]], ids=" ".join)
def test_service_under_gunicorn_is_recorded_and_replayed(tmp_path: Path, options: list[str]) -> None:
    """Each kind of ending is kept whichever worker served it, and replays with the server and the upstream gone."""
    shop = project(tmp_path, modules="shop")
    with upstream_server() as upstream:
        record(shop, upstream, *options)

    index = {one.route: one for one in map(read_index, shop.bundles())}
    assert {
        "POST /price/<int:factor>": (200, ""),
        "GET /raise": (500, "builtins.ValueError"),
        "GET /unavailable": (503, ""),
        "GET /late": (202, ""),
        "GET /file": (200, ""),
        "GET /stream": (200, ""),
    } == {route: (one.status, one.error_type) for route, one in index.items()}
    assert {"recorded"} == {one.readiness for one in index.values()}

    with upstream_server(upstream.server.server_port) as live:
        suite = shop.replay("-v")
        assert 0 == live.hits
    verdicts = {case.name.split("-")[-1][:26]: case.verdict for case in suite.cases.values()}
    by_route = {one.route.split()[1]: verdicts[one.run_id] for one in index.values()}
    assert {
        "/price/<int:factor>": "match",
        "/late": "match",
        "/file": "match",
        "/raise": "reproduced",
        "/unavailable": "reproduced",
        "/stream": "reproduced",
    } == by_route, suite.output


def test_request_that_the_server_gave_up_on_is_kept(tmp_path: Path) -> None:
    """Gunicorn's --timeout ends the worker in a call or a sleep: the run is stored, and replays to the same."""
    shop = project(tmp_path, modules="shop")
    shop.write("shop.py", SERVICE)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with gunicorn(shop, "shop:app", "--timeout", "2", UPSTREAM=url) as port:
            assert 500 == ask(port, "/unavailable")[0]
            assert 500 == ask(port, "/nap")[0]
            deadline = time.monotonic() + PATIENCE_S
            while len(shop.bundles()) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)

    index = [read_index(bundle) for bundle in shop.bundles()]
    assert {("GET /unavailable", "builtins.SystemExit"), ("GET /nap", "builtins.SystemExit")} == {
        (one.route, one.error_type) for one in index
    }
    suite = shop.replay("-v")
    assert ["reproduced"] * 2 == [case.verdict for case in suite.cases.values()], suite.output

    shop.edit("shop.py", "time.sleep(3600)", "time.sleep(1)")
    suite = shop.replay("-v")
    assert ["fixed", "reproduced"] == sorted(case.verdict for case in suite.cases.values()), suite.output


def test_guard_states_what_a_fixed_answer_is(tmp_path: Path) -> None:
    """`expect = "fix"` with a status, a part of the body and a header, as for any web entry."""
    shop = project(tmp_path, modules="shop")
    shop.write("shop.py", SERVICE)
    with upstream_server() as upstream:
        code = "import shop; shop.app.test_client().get('/unavailable').close(); assert shop.fluxrun.flush(20)"
        done = shop.python("-c", code, UPSTREAM=upstream.url, FLUXRUN_TOKEN=shop.token.to_text())
    assert 0 == done.returncode, done.stdout
    fix = {"status": 409, "body": {"error": "rate is 3"}, "headers": {"Content-Type": "application/json"}}
    shop.guard("shop", expect="fix", fix=fix)

    before = shop.replay()
    shop.edit("shop.py", '{rate()}"), 503', '{rate()}"), 409')
    after = shop.replay()

    assert ["reproduced"] == [case.verdict for case in before.cases.values()], before.output
    assert "differs: response.status: expected 409, got 503" in before.output
    assert ["fixed"] == [case.verdict for case in after.cases.values()], after.output
