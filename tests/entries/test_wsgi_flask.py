"""An instrumented Flask object is used as before: it serves itself, takes routes later, wraps its wsgi_app."""

from __future__ import annotations

import http.client
import sys
import threading
from typing import Any

import pytest
from flask import Flask, got_request_exception, jsonify
from werkzeug.serving import make_server

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import flask as flask_seams
from pytest_fluxrun.boundaries import werkzeug as werkzeug_seams
from pytest_fluxrun.registry import instrument
from tests.entries.wsgi_server import replayed


@pytest.fixture(autouse=True)
def _seams() -> Any:
    others = patching.installed_patches()
    patching.install(flask_seams.boundary.patches(sys.modules["flask.app"]))
    patching.install(werkzeug_seams.boundary.patches(sys.modules["werkzeug.routing.matcher"]))
    yield
    patching.restore_all()
    patching.install(others)


def shop() -> Any:
    """Instrumented first, as in a module that goes on to add routes."""
    app = instrument(Flask("shop"), name="web")

    @app.get("/orders/<int:number>")
    def order(number: int) -> Any:
        return jsonify(number=number)

    @app.get("/fail")
    def fail() -> Any:
        raise KeyError("rate")

    return app


def test_test_client_of_an_instrumented_app_is_recorded(runs, driving):
    """Routes that were added later, too; the index has the rule."""
    app = shop()
    assert {"number": 7} == app.test_client().get("/orders/7").get_json()
    assert "GET /orders/<int:number>" == runs.ending.route
    assert '{"number":7}\n' == replayed(app, runs, driving)["response"]["body"]
    assert isinstance(app, Flask)


def test_error_that_flask_answers_is_kept(runs):
    """Beside the 500, and the app's own receivers of the signal get it as well."""
    app, told = shop(), []
    app.config["PROPAGATE_EXCEPTIONS"] = False

    def tell(sender: Any, exception: BaseException, **more: Any) -> None:
        told.append(exception)

    with got_request_exception.connected_to(tell), app.test_client().get("/fail") as response:
        assert 500 == response.status_code
    assert told == [runs.ending.error]
    assert (500, "GET /fail") == (runs.ending.status, runs.ending.route)
    _, outcome = runs.dumped()
    assert "builtins:KeyError" == outcome["error"]["type"]


def test_error_that_flask_passes_on_is_kept(runs):
    """With PROPAGATE_EXCEPTIONS the server gets it."""
    app = shop()
    app.testing = True
    with pytest.raises(KeyError):
        app.test_client().get("/fail")
    assert isinstance(runs.ending.error, KeyError)
    assert runs.ending.status is None


def test_methods_that_serve_the_app_serve_the_instrumented_one():
    """`app.run` and `app.test_client` hand `self` to a server or client; other methods are the original's."""
    app = shop()
    assert app is app.run.__self__ is app.test_client().application
    assert app.__wrapped__ is app.add_url_rule.__self__


def test_wsgi_app_that_is_instrumented_is_recorded(runs, driving):
    """As Flask documents it for middlewares."""
    app = Flask("shop")
    app.wsgi_app = instrument(app.wsgi_app, name="web")  # type: ignore[method-assign]

    @app.get("/")
    def hello() -> str:
        return "hello"

    assert "hello" == app.test_client().get("/").text
    assert "hello" == replayed(app.wsgi_app, runs, driving)["response"]["body"]


def test_threaded_server_serves_requests_as_runs_of_their_own(runs):
    """Werkzeug's own server: twenty requests at once, each a run with its own answer."""
    app = shop()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    server.daemon_threads = False  # closing it then waits for the requests' threads
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    answers: dict[int, bytes] = {}

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("GET", f"/orders/{number}")
        answers[number] = connection.getresponse().read()
        connection.close()

    asking = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    server.shutdown()
    thread.join()
    server.server_close()

    assert {number: b'{"number":%d}\n' % number for number in range(20)} == answers
    bodies = {runs.dumped(number)[1]["response"]["body"].strip() for number in range(20)}
    assert {body.decode().strip() for body in answers.values()} == bodies
