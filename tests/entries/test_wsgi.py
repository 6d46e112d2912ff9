"""WSGI applications: what an app answers reaches the server unchanged, and is the same again at replay."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest
from flask import Flask
from werkzeug.wrappers import Request, Response

from pytest_fluxrun.entries.wsgi import entry
from pytest_fluxrun.errors import DeadlineExceeded, SettingsError
from pytest_fluxrun.judgement.comparison import compare_outcomes
from pytest_fluxrun.registry import instrument
from tests.entries.wsgi_server import TEXT, Server, environ, generator, plain, replayed, serve

# -- what is recognised


class Callable:
    def __call__(self, environ: Any, start_response: Any) -> Any:
        return plain(environ, start_response)


class Iterable:
    def __init__(self, environ: Any, start_response: Any) -> None:
        self.start_response = start_response

    def __iter__(self) -> Any:
        self.start_response("200 OK", TEXT)
        yield b"ok"


class Method:
    def wsgi_app(self, environ: Any, start_response: Any) -> Any:
        return plain(environ, start_response)


@pytest.mark.parametrize("app", [plain, Callable(), Iterable, generator, Method().wsgi_app])
def test_every_form_of_application_is_a_run(runs, driving, app: Any):
    """A function, an object, a class, a generator function, a method."""
    wrapped = instrument(app, name="web")
    server = serve(wrapped)

    assert b"ok" == server.body
    assert "wsgi" == runs.opened[0].entry_kind
    outcome = replayed(wrapped, runs, driving)
    assert (200, "OK", "ok", True) == tuple(
        outcome["response"][key] for key in ("status", "reason", "body", "complete")
    )
    assert (None, False) == (outcome["error"], outcome["disconnected"])


@Request.application
def decorated(request: Request) -> Response:
    return Response("ok", mimetype="text/plain")


def test_decorated_function_is_recognised(runs, driving):
    """Werkzeug's decorator hides the application's signature behind the function's."""
    wrapped = instrument(decorated, name="web")
    assert b"ok" == serve(wrapped).body
    assert "ok" == replayed(wrapped, runs, driving)["response"]["body"]


@pytest.mark.parametrize(
    ("app", "said"),
    [
        (Flask("shop"), "a Flask application (WSGI)"),
        (decorated, "the callable tests.entries.test_wsgi.decorated (WSGI)"),
        (Callable(), "an object of tests.entries.test_wsgi.Callable (WSGI)"),
    ],
)
def test_what_is_instrumented_is_said(caplog, app: Any, said: str):
    """By the framework's name, or the object's."""
    with caplog.at_level("INFO", "pytest_fluxrun"):
        instrument(app, name="web")
    assert [f"FluxRun: entry 'web' is {said}"] == caplog.messages


def test_callable_that_is_nearly_an_application_is_refused_with_a_hint():
    """Async, or of another signature."""

    async def coroutine(environ: Any, start_response: Any) -> None:
        return None

    with pytest.raises(SettingsError) as raised:
        instrument(coroutine, name="web")
    assert "WSGI is synchronous" in str(raised.value)
    assert "not (environ, start_response)" in entry.hint(lambda environ: environ)


def test_other_callables_are_not_recognised():
    """Coroutine functions, other numbers of parameters, commands that take anything, plain classes."""

    async def coroutine(environ: Any, start_response: Any) -> None:
        return None

    class Command:
        def __call__(self, *args: Any, **kwargs: Any) -> None:
            return None

    targets = (coroutine, lambda one: one, lambda one, two, three: one, Command(), Command, object(), dict, "app")
    assert [False] * 8 == [entry.recognises(target) for target in targets]


# -- answers


def test_list_reaches_the_server_as_it_is(runs, driving):
    """The very object, so that the server reads its length; the run is over with the call."""
    chunks = [b"ok"]

    def app(environ: Any, start_response: Any) -> Any:
        start_response("201 Created", [("X-A", "1"), ("X-A", "2")])
        return chunks

    wrapped = instrument(app, name="web")
    assert chunks is serve(wrapped).result
    outcome = replayed(wrapped, runs, driving)
    assert [["X-A", "1"], ["X-A", "2"]] == outcome["response"]["headers"]


def test_length_of_an_iterable_is_the_applications(runs):
    """A sized iterable stays one, for the Content-Length that servers make of it; others get no length."""

    class Sized:
        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Any:
            yield b"ok"

    def sized(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return Sized()

    assert 1 == len(serve(instrument(sized, name="sized")).result)
    assert not hasattr(serve(instrument(generator, name="web")).result, "__len__")


def test_lazy_start_response_is_recorded(runs, driving):
    """Called at the first iteration, or changed there by exc_info."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        try:
            raise KeyError("late")
        except KeyError:
            start_response("500 Oops", TEXT, sys.exc_info())
        yield b"failed"

    wrapped = instrument(app, name="web")
    server = serve(wrapped)
    assert ("500 Oops", b"failed", None) == (server.status, server.body, server.error)
    outcome = replayed(wrapped, runs, driving)
    assert 500 == outcome["response"]["status"]
    assert "builtins:KeyError" == outcome["error"]["type"]
    assert isinstance(runs.ending.error, KeyError)


def test_second_start_response_is_refused_as_the_server_did(runs, driving):
    """The server's own error comes again, word for word."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        start_response("200 OK", TEXT)
        return [b""]

    wrapped = instrument(app, name="web")
    serve(wrapped)
    outcome = replayed(wrapped, runs, driving)
    assert "Headers already set by this server" == outcome["error"]["message"]


def test_exc_info_after_the_headers_raises_the_applications_error(runs, driving):
    """By PEP 3333 the server raises it again: the answer is cut short."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        yield b"begun"
        try:
            raise KeyError("late")
        except KeyError:
            start_response("500 Oops", TEXT, sys.exc_info())

    wrapped = instrument(app, name="web")
    assert isinstance(serve(wrapped).error, KeyError)
    outcome = replayed(wrapped, runs, driving)
    assert (500, False) == (outcome["response"]["status"], outcome["response"]["complete"])
    assert "'late'" == outcome["error"]["message"]


def test_written_parts_come_before_the_iterable(runs, driving):
    """`write` is the server's, teed."""

    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", TEXT)
        write(b"a")
        write(b"b")
        return [b"c"]

    wrapped = instrument(app, name="web")
    assert [b"a", b"b", b"c"] == serve(wrapped).sent
    assert "abc" == replayed(wrapped, runs, driving)["response"]["body"]


def test_client_gone_while_the_app_writes_is_told_again(runs, driving):
    """The server's OSError is raised out of `write` at the same call."""
    reached: list[str] = []

    def app(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", TEXT)
        for part in "abc":
            reached.append(part)
            write(part.encode())
        return []

    wrapped = instrument(app, name="web")
    assert isinstance(serve(wrapped, gone_after=1).error, BrokenPipeError)
    outcome = replayed(wrapped, runs, driving)
    assert outcome["disconnected"]
    assert "builtins:BrokenPipeError" == outcome["error"]["type"]
    assert list("abab") == reached


def test_client_gone_is_a_close_after_as_many_chunks(runs, driving):
    """The generator is closed where it was, and no further."""
    reached: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        try:
            for number in range(5):
                reached.append(number)
                yield str(number).encode()
        finally:
            reached.append("closed")

    wrapped = instrument(app, name="web")
    serve(wrapped, gone_after=2)
    assert [0, 1, 2, "closed"] == reached
    outcome = replayed(wrapped, runs, driving)
    assert (True, False, "012") == (
        outcome["disconnected"],
        outcome["response"]["complete"],
        outcome["response"]["body"],
    )
    assert [0, 1, 2, "closed"] == reached[4:]
    assert (True, True) == (runs.ending.disconnected, runs.ending.cut_short)


@pytest.mark.parametrize("asked", [{"method": "HEAD"}, {}])
def test_server_that_needs_no_more_is_no_disconnect(runs, driving, asked: Any):
    """HEAD, or as many bytes as the Content-Length says."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "2")])
        yield b"ok"
        yield b""

    wrapped = instrument(app, name="web")
    result = wrapped(environ(**asked), Server().start_response)
    next(iter(result))
    result.close()
    outcome = replayed(wrapped, runs, driving)
    assert (False, True) == (outcome["disconnected"], outcome["response"]["complete"])


def test_iterable_that_nobody_closes_ends_its_run_when_it_is_forgotten(runs, driving):
    """As a disconnect."""
    wrapped = instrument(generator, name="web")
    result = wrapped(environ(), Server().start_response)
    next(iter(result))
    assert [] == runs.finished
    del result
    gc.collect()
    assert replayed(wrapped, runs, driving)["disconnected"]


@pytest.mark.parametrize("where", ["call", "first", "middle", "close"])
def test_error_passes_and_is_the_outcome(runs, driving, where: str):
    """The very same object reaches the server."""
    error = ValueError("no rate")

    class Result:
        def __iter__(self) -> Any:
            if where == "first":
                raise error
            yield b"begun"
            if where == "middle":
                raise error

        def close(self) -> None:
            if where == "close":
                raise error

    def app(environ: Any, start_response: Any) -> Any:
        if where == "call":
            raise error
        start_response("200 OK", TEXT)
        return Result()

    wrapped = instrument(app, name="web")
    assert error is serve(wrapped).error
    assert error is runs.ending.error
    outcome = replayed(wrapped, runs, driving)
    assert ("builtins:ValueError", "no rate") == (outcome["error"]["type"], outcome["error"]["message"])
    assert not outcome["disconnected"]
    assert (where == "call") is (outcome["response"] is None)


@pytest.mark.parametrize("error", [DeadlineExceeded("10 s"), KeyboardInterrupt()])
def test_deadline_and_interrupt_are_no_outcome_of_a_replay(runs, driving, error: BaseException):
    """They end the replay."""
    broken = False

    def app(environ: Any, start_response: Any) -> Any:
        if broken:
            raise error
        return plain(environ, start_response)

    wrapped = instrument(app, name="web")
    serve(wrapped)
    broken = True
    with pytest.raises(type(error)):
        entry.drive(wrapped, runs.dumped()[0], driving)


@pytest.mark.parametrize("result", [None, [b"ok", "text"], 3])
def test_what_is_no_body_is_recorded_as_what_it_is(runs, driving, result: Any):
    """The server's error, and at replay the same."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", TEXT)
        return result

    wrapped = instrument(app, name="web")
    assert type(serve(app).error) is type(serve(wrapped).error)
    replayed(wrapped, runs, driving)


def test_answer_without_start_response_is_a_failure(runs, driving):
    """No status, no response."""
    wrapped = instrument(lambda environ, start_response: [b"ok"], name="web")
    serve(wrapped)
    assert replayed(wrapped, runs, driving)["response"] is None
    assert runs.ending.cut_short


def test_changed_reason_is_a_difference(runs, driving):
    """`200 Fine` isn't `200 OK`."""
    reason = "OK"

    def app(environ: Any, start_response: Any) -> Any:
        start_response(f"200 {reason}", TEXT)
        return [b""]

    wrapped = instrument(app, name="web")
    serve(wrapped)
    recorded_input, outcome = runs.dumped()
    reason = "Fine"
    differences = compare_outcomes(outcome, entry.drive(wrapped, recorded_input, driving))
    assert [("response.reason", "OK", "Fine")] == [(one.path, one.expected, one.got) for one in differences]
