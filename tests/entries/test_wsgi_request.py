"""WSGI applications: the request, files, lanes and nesting."""

from __future__ import annotations

import io
import threading
import weakref
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest

from pytest_fluxrun.context import current_lane
from pytest_fluxrun.entries.wsgi import entry
from pytest_fluxrun.entry import note_error, note_route
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.registry import instrument
from pytest_fluxrun.values import decode
from tests.entries.wsgi_server import TEXT, Server, environ, generator, plain, replayed, serve

# -- files


def test_file_is_left_to_the_server_and_recorded(runs, driving, tmp_path):
    """The server gets its own wrapper, from where the file stood; the run holds what was sent."""
    path = tmp_path / "report.csv"
    path.write_bytes(b"head;" + bytes(range(256)))
    closed: list[bool] = []

    def app(environ: Any, start_response: Any) -> Any:
        file = path.open("rb")
        file.read(5)
        start_response("200 OK", TEXT)
        return environ["wsgi.file_wrapper"](file)

    wrapped = instrument(app, name="web")
    asked = environ(**{"wsgi.file_wrapper": FileWrapper})
    server = Server()
    server.result = wrapped(asked, server.start_response)
    assert type(server.result) is FileWrapper
    assert [] == runs.finished
    file = server.result.filelike
    server.result.close()
    closed.append(file.closed)

    path.write_bytes(b"head;" + bytes(range(256)))
    outcome = replayed(wrapped, runs, driving)
    assert [True] == closed
    assert bytes(range(256)) == decode(outcome["response"]["body"])


def test_file_in_an_object_of_c_is_left_to_the_server(runs, driving, tmp_path):
    """As uWSGI: a function that gives an object which shows nothing and takes no attribute."""
    path = tmp_path / "report.csv"
    path.write_bytes(b"a;b")

    class Opaque:
        __slots__ = ("_file",)

        def __init__(self, file: Any) -> None:
            self._file = file

        def __iter__(self) -> Any:
            with self._file:
                yield self._file.read()

    def wrap(file: Any, size: int = 0) -> Any:
        return Opaque(file)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return environ["wsgi.file_wrapper"](path.open("rb"), 512)

    wrapped = instrument(app, name="web")
    asked = environ(**{"wsgi.file_wrapper": wrap})
    server = serve(wrapped, asked)
    assert (Opaque, b"a;b") == (type(server.result), server.body)
    assert wrap is asked["wsgi.file_wrapper"]
    assert "a;b" == replayed(wrapped, runs, driving)["response"]["body"]


def test_file_in_memory_is_read_through_the_run(runs, driving):
    """No descriptor that the server could send by itself."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 10_000), 4096)

    wrapped = instrument(app, name="web")
    server = serve(wrapped, environ(**{"wsgi.file_wrapper": FileWrapper}))
    assert [4096, 4096, 1808] == [len(chunk) for chunk in server.sent]
    assert "x" * 10_000 == replayed(wrapped, runs, driving)["response"]["body"]


def test_content_length_limits_what_is_sent_of_a_file(runs, driving, tmp_path):
    """As servers do that send it by themselves."""
    (tmp_path / "file").write_bytes(b"0123456789")

    def app(environ: Any, start_response: Any) -> Any:
        start_response("206 Partial Content", [("Content-Length", "4")])
        return environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))

    wrapped = instrument(app, name="web")
    serve(wrapped, environ(**{"wsgi.file_wrapper": FileWrapper}))
    assert "0123" == replayed(wrapped, runs, driving)["response"]["body"]


# -- nesting, context


def test_wrapped_app_in_a_wrapped_app_is_one_run(runs):
    """The outer one's."""
    inner = instrument(plain, name="inner")
    serve(instrument(lambda environ, start_response: inner(environ, start_response), name="outer"))
    assert ["outer"] == [recorder.entry for recorder in runs.opened]


def test_every_step_runs_in_the_lane_of_its_run(runs):
    """The call, each chunk and the close; between them the server's thread is in no run."""
    seen: list[Any] = []

    class Result:
        def __iter__(self) -> Any:
            seen.append(current_lane())
            yield b"a"
            seen.append(current_lane())

        def close(self) -> None:
            seen.append(current_lane())

    def app(environ: Any, start_response: Any) -> Any:
        seen.append(current_lane())
        start_response("200 OK", TEXT)
        return Result()

    wrapped = instrument(app, name="web")
    result = wrapped(environ(), Server().start_response)
    for _ in result:
        assert current_lane() is None
    result.close()
    assert [runs.opened[0].lane] * 4 == seen
    assert current_lane() is None


def test_interleaved_requests_of_one_thread_keep_their_lanes(runs):
    """Two generators pulled in turn, as gevent and test clients do."""
    seen: dict[str, set[Any]] = {"/a": set(), "/b": set()}

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        for _ in range(3):
            seen[environ["PATH_INFO"]].add(current_lane())
            yield b"x"

    wrapped = instrument(app, name="web")
    results = [iter(wrapped(environ(path), Server().start_response)) for path in seen]
    for _ in range(3):
        for result in results:
            next(result)
    assert [{recorder.lane} for recorder in runs.opened] == list(seen.values())


def test_threads_serve_requests_of_their_own(runs):
    """As many runs as requests, each in its own lane."""
    seen: list[Any] = []
    barrier = threading.Barrier(4)

    def app(environ: Any, start_response: Any) -> Any:
        barrier.wait(10)
        seen.append(current_lane())
        return plain(environ, start_response)

    wrapped = instrument(app, name="web")
    threads = [threading.Thread(target=serve, args=(wrapped, environ())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 4 == len({id(lane) for lane in seen}) == len(runs.finished)


def test_route_and_swallowed_error_are_the_frameworks(runs, driving):
    """What a framework notes: the route in the index, the error beside the 500 that it made of it."""

    def app(environ: Any, start_response: Any) -> Any:
        note_route("/orders/{id}")
        note_route("/later")
        note_error(KeyError("rate"))
        start_response("500 Internal Server Error", TEXT)
        return [b"sorry"]

    wrapped = instrument(app, name="web")
    server = serve(wrapped, environ("/orders/7"))
    assert (b"sorry", None) == (server.body, server.error)
    assert "GET /orders/{id}" == runs.ending.route
    assert isinstance(runs.ending.error, KeyError)
    _, outcome = runs.dumped()
    assert (500, "builtins:KeyError") == (outcome["response"]["status"], outcome["error"]["type"])


def test_noted_error_of_an_answer_that_is_no_failure_is_none(runs):
    """An exception that became a 404 isn't what went wrong."""

    def app(environ: Any, start_response: Any) -> Any:
        note_error(KeyError("rate"))
        start_response("404 Not Found", TEXT)
        return [b""]

    serve(instrument(app, name="web"))
    assert runs.ending.error is None


def test_without_recording_the_server_gets_what_the_app_gave():
    """No opener: nothing is teed."""
    given = environ()

    def app(environ: Any, start_response: Any) -> Any:
        assert given is environ
        assert type(environ["wsgi.input"]) is io.BytesIO
        return generator(environ, start_response)

    assert type(serve(instrument(app, name="web"), given).result).__name__ == "generator"


def test_recorded_exchange_keeps_to_the_specification(runs):
    """Wsgiref's validator on both sides of the recorder: for the server it is an app, for the app a server."""

    def app(environ: Any, start_response: Any) -> Any:
        body = environ["wsgi.input"].read(3)
        start_response("200 OK", TEXT)
        return iter([body])

    wrapped = instrument(validator(app), name="web")
    server = serve(validator(wrapped), environ(method="POST", body=b"abc"))
    assert (None, b"abc") == (server.error, server.body)


@pytest.mark.parametrize("length", ["", "x", "-1", "9" * 5000])
def test_odd_content_length_disturbs_nobody(runs, driving, length: str):
    """Of the request and of the answer."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", environ["CONTENT_LENGTH"])])
        yield environ["wsgi.input"].read()

    wrapped = instrument(app, name="web")
    assert b"abc" == serve(wrapped, environ(body=b"abc", CONTENT_LENGTH=length)).body
    replayed(wrapped, runs, driving)


def test_headers_that_are_an_iterator_are_the_servers(runs):
    """PEP 3333 wants a list, but servers take more: nothing is taken away from them, and the run says what it lacks."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", iter(TEXT))
        return [b"ok"]

    server = serve(instrument(app, name="web"))
    assert TEXT == list(server.headers)
    assert "opaque" == runs.dumped()[1]["damaged"]["~"]


def test_nothing_of_the_server_is_held_when_the_run_is_over(runs):
    """Until the writer has dumped the run, which may take a while."""
    asked = environ()
    stream = weakref.ref(asked["wsgi.input"])
    serve(instrument(plain, name="web"), asked)
    del asked
    assert stream() is None
    assert 1 == len(runs.finished)


# -- what the app changes


def test_environ_is_recorded_as_it_came_and_given_back(runs, driving):
    """Routers move SCRIPT_NAME; the same dict reaches the app, and its stream is put back for who comes after."""
    asked = environ("/api/x", **{"REMOTE_ADDR": "10.0.0.1", "HTTP_X_REQUEST_ID": "7", "mod.object": object()})
    stream = asked["wsgi.input"]

    def app(environ: Any, start_response: Any) -> Any:
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/api", "/x"
        environ["REMOTE_ADDR"] = "changed"
        start_response("200 OK", TEXT)
        return [repr((environ["HTTP_X_REQUEST_ID"], "mod.object" in environ)).encode()]

    wrapped = instrument(app, name="web")
    serve(wrapped, asked)
    assert ("/api", stream) == (asked["SCRIPT_NAME"], asked["wsgi.input"])
    recorded_input, _ = runs.dumped()
    assert ("", "/api/x", "10.0.0.1") == tuple(
        recorded_input["environ"][key] for key in ("SCRIPT_NAME", "PATH_INFO", "REMOTE_ADDR")
    )


def test_process_environment_in_an_environ_is_not_recorded(runs, monkeypatch):
    """Wsgiref copies os.environ into it: neither secrets nor what only looks like a header."""
    secrets = {"AWS_SECRET_ACCESS_KEY": "abc", "HTTP_PROXY": "http://u:p@proxy", "SSL_CERT_FILE": "/x", "HOME": "/root"}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    serve(instrument(plain, name="web"), environ(**secrets))
    recorded_input, _ = runs.dumped()
    assert not set(secrets) & set(recorded_input["environ"])
    assert ["content-length", "host"] == [name for name, _ in recorded_input["scope"]["headers"]]


def test_text_of_any_bytes_comes_back_exactly(runs, driving):
    """PEP 3333: bytes as latin-1 text, also where they are no UTF-8; odd header names too."""
    asked = {"PATH_INFO": "/caf\xc3\xa9\xff", "QUERY_STRING": "q=\xe9", "HTTP_X_Y": "\xff\x80", "HTTP_X-Odd": "1",
             "HTTP_COOKIE": "a=1; a=2", "REQUEST_URI": "/caf%C3%A9%FF?q=\xe9"}  # fmt: skip

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return [repr([environ[key] for key in asked]).encode()]

    wrapped = instrument(app, name="web")
    assert repr(list(asked.values())).encode() == serve(wrapped, environ(**asked)).body
    replayed(wrapped, runs, driving)
    recorded_input, _ = runs.dumped()
    assert "/café\ufffd" == recorded_input["scope"]["path"]


def test_fixed_app_that_reads_more_than_was_recorded_is_told_so(runs, driving):
    """Latched, whatever the app does with the error."""
    more = 0

    def app(environ: Any, start_response: Any) -> Any:
        body = environ["wsgi.input"].read(3 + more)
        start_response("200 OK", TEXT)
        return [body]

    wrapped = instrument(app, name="web")
    serve(wrapped, environ(body=b"abcdef"))
    recorded_input, outcome = runs.dumped()
    assert outcome == entry.drive(wrapped, recorded_input, driving)
    assert [] == driving.lacking
    more = 1
    assert UnrecordedCall.__name__ in entry.drive(wrapped, recorded_input, driving)["error"]["type"]
    assert ["more of the request's body than the run holds"] == driving.lacking
