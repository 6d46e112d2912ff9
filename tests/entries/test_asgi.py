"""ASGI applications: what a server and an app say to each other passes unchanged, and is the same again at replay."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from pytest_fluxrun.context import current_lane
from pytest_fluxrun.entries.asgi import entry
from pytest_fluxrun.errors import RunNotReady, UnrecordedCall
from pytest_fluxrun.registry import instrument

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
END = {"type": "http.response.body", "body": b"ok"}
DISCONNECT = {"type": "http.disconnect"}


def scope(path: str = "/", method: str = "GET", **more: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"shop.example")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        **more,
    }


class Server:
    """The server's side of one request: gives the body's parts, then a disconnect once the answer is complete."""

    def __init__(self, *parts: bytes, gone_after: int | None = None) -> None:
        self.messages = [
            {"type": "http.request", "body": part, "more_body": number + 1 < len(parts)}
            for number, part in enumerate(parts or (b"",))
        ]
        self.sent: list[Any] = []
        self.gone_after = gone_after
        self.answered = asyncio.Event()

    async def receive(self) -> Any:
        if self.messages:
            return self.messages.pop(0)
        await self.answered.wait()
        return DISCONNECT

    async def send(self, message: Any) -> None:
        if self.gone_after is not None and len(self.sent) >= self.gone_after:
            raise ConnectionResetError(104, "the client is gone")
        self.sent.append(message)
        if message["type"] == "http.response.pathsend" or (
            message["type"] == "http.response.body" and not message.get("more_body")
        ):
            self.answered.set()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


def serve(app: Any, asked: dict[str, Any] | None = None, *parts: bytes, **options: Any) -> tuple[Server, Any]:
    """One request to a wrapped app: the server's side and what the app raised."""

    async def request() -> tuple[Server, Any]:
        server = Server(*parts, **options)
        try:
            await asyncio.wait_for(app(asked or scope(), server.receive, server.send), 10)
        except BaseException as error:  # it may be any
            return server, error
        return server, None

    return asyncio.run(request())


def replayed(app: Any, runs: Any, driving: Any, number: int = 0) -> Any:
    """The recorded outcome after it was shown that a replay gives the same."""
    recorded_input, outcome = runs.dumped(number)
    assert outcome == entry.drive(app, recorded_input, driving)
    return outcome


async def plain(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(END)


async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type=request.headers.get("content-type"))


async def slow_numbers(request: Request) -> Response:
    async def numbers() -> Any:
        for number in range(3):
            await asyncio.sleep(0)
            yield f"data: {number}\n\n"

    return StreamingResponse(numbers(), media_type="text/event-stream")


async def chunks(request: Request) -> Response:
    return JSONResponse([len(chunk) async for chunk in request.stream()])


async def fail(request: Request) -> Response:
    raise KeyError("rate")


async def where(request: Request) -> Response:
    return PlainTextResponse(f"{request.url} {request.scope['root_path']} {request.path_params}")


async def through(request: Request, call_next: Any) -> Response:
    request.scope["headers"].append((b"x-added", b"by the app"))
    return await call_next(request)


def shop() -> Starlette:
    return Starlette(
        routes=[
            Route("/echo", echo, methods=["POST"]),
            Route("/sse", slow_numbers),
            Route("/chunks", chunks, methods=["POST"]),
            Route("/fail", fail),
            Mount("/api", routes=[Mount("/v1", routes=[Route("/where/{id}", where)])]),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=through)],
    )


def test_request_and_response_are_recorded_and_replayed(runs, driving):
    """Bodies in and out, binary too, and the recorder doesn't change what is sent."""
    app = instrument(shop(), name="web")
    asked = scope("/echo", "POST", headers=[(b"content-type", b"image/png")], query_string=b"a=\xff")

    server, error = serve(app, asked, b"\xff\x00", b"1")

    assert (b"\xff\x001", None) == (server.body, error)
    assert (200, False, False) == (runs.ending.status, runs.ending.disconnected, runs.ending.cut_short)
    assert replayed(app, runs, driving)["response"]["complete"]


def test_streamed_bodies_keep_their_parts(runs, driving):
    """An app that counts the parts of a body, and one that streams its answer."""
    app = instrument(shop(), name="web")

    counted, _ = serve(app, scope("/chunks", "POST"), b"a", b"bc", b"def")
    streamed, _ = serve(app, scope("/sse"))

    assert b"[1,2,3,0]" == counted.body
    assert b"data: 0\n\ndata: 1\n\ndata: 2\n\n" == streamed.body
    for number in range(2):
        replayed(app, runs, driving, number)


def test_mounted_app_gets_the_request_as_the_server_sent_it(runs, driving):
    """Routers and middleware write to the scope; the replay begins with what was there before."""
    app = instrument(shop(), name="web")

    server, _ = serve(app, scope("/api/v1/where/7"))

    recorded_input, outcome = runs.dumped()
    asked = recorded_input["scope"]
    assert ("", [["host", "shop.example"]]) == (asked["root_path"], asked["headers"])
    assert server.body.decode() == outcome["response"]["body"]
    assert 200 == replayed(app, runs, driving)["response"]["status"]


def test_error_after_a_500_is_both(runs, driving):
    """Starlette answers and raises; both are in the outcome, and the error reaches the server."""
    app = instrument(shop(), name="web")

    _, error = serve(app, scope("/fail"))

    assert isinstance(error, KeyError)
    assert error is runs.ending.error
    outcome = replayed(app, runs, driving)
    assert (500, "builtins:KeyError") == (outcome["response"]["status"], outcome["error"]["type"])


@pytest.mark.parametrize("sends", [0, 1])
def test_app_that_raises_before_or_after_the_start(runs, driving, sends: int):
    """No response, or half of one."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in [START][:sends]:
            await send(message)
        raise ValueError("no")

    wrapped = instrument(app, name="web")
    _, error = serve(wrapped)

    assert isinstance(error, ValueError)
    outcome = replayed(wrapped, runs, driving)
    assert (sends == 0) is (outcome["response"] is None)
    assert runs.ending.cut_short


@pytest.mark.parametrize("sends", [0, 1])
def test_app_that_returns_without_an_answer_is_cut_short(runs, driving, sends: int):
    """The server would answer 500; the ending says so."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in [START][:sends]:
            await send(message)

    wrapped = instrument(app, name="web")
    serve(wrapped)
    assert runs.ending.cut_short
    replayed(wrapped, runs, driving)


def test_client_that_goes_away_while_the_app_sends(runs, driving):
    """The same send fails at replay, with the same error."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for number in range(9):
            try:
                await send({"type": "http.response.body", "body": b"%d" % number, "more_body": True})
            except OSError as error:
                raise RuntimeError(f"stopped at {number}: {error.errno}") from None

    wrapped = instrument(app, name="web")
    _, error = serve(wrapped, gone_after=3)

    assert "stopped at 2: 104" == str(error)
    assert runs.ending.disconnected
    outcome = replayed(wrapped, runs, driving)
    assert ("012", True) == (outcome["response"]["body"], outcome["disconnected"])


def test_client_that_goes_away_while_the_app_listens(runs, driving):
    """The disconnect comes again; one after the answer is none."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            await send(START)
            if scope["path"] == "/whole":
                await send(END)

    wrapped = instrument(app, name="web")

    async def leave() -> None:
        server = Server()
        server.answered.set()
        await wrapped(scope(), server.receive, server.send)

    asyncio.run(leave())
    serve(wrapped, scope("/whole"))

    assert [True, False] == [ending.disconnected for _, ending in runs.finished]
    for number in range(2):
        replayed(wrapped, runs, driving, number)


def test_app_that_listens_longer_than_recorded_is_told_of_the_disconnect(runs, driving):
    """After the answer a server disconnects; a replay doesn't hang there."""
    listens = False

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await plain(scope, receive, send)
        if listens:
            assert ["http.disconnect"] * 2 == [(await receive())["type"] for _ in range(2)]

    wrapped = instrument(app, name="web")
    serve(wrapped)
    listens = True
    replayed(wrapped, runs, driving)


def test_extension_messages_pass_and_count(runs, driving):
    """Trailers reach the server and are part of the outcome; a replay offers the same extensions."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "trailers": True})
        await send(END)
        if "http.response.trailers" in scope["extensions"]:
            await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})

    wrapped = instrument(app, name="web")
    server, _ = serve(wrapped, scope(extensions={"http.response.trailers": {}, "tls": {"cipher": 1}}))

    assert "http.response.trailers" == server.sent[-1]["type"]
    assert 1 == len(replayed(wrapped, runs, driving)["response"]["messages"])


def test_path_that_the_server_sends_completes_the_answer(runs, driving, tmp_path):
    """Starlette's FileResponse with pathsend isn't cut short."""
    (tmp_path / "file.txt").write_text("content")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await FileResponse(tmp_path / "file.txt")(scope, receive, send)

    wrapped = instrument(app, name="web")
    server, _ = serve(wrapped, scope(extensions={"http.response.pathsend": {}}))

    assert "http.response.pathsend" == server.sent[-1]["type"]
    assert not runs.ending.cut_short
    assert replayed(wrapped, runs, driving)["response"]["complete"]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.start"},
        {"type": "http.response.start", "status": 200, "headers": [("text", "text")]},
        {"type": "http.response.body", "body": "text"},
        {"type": "http.response.body", "body": None},
    ],
)
def test_message_that_is_not_asgi_is_the_servers_affair(runs, message: Any):
    """The recorder raises nothing; the run says that it lacks something."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(message)

    wrapped = instrument(app, name="web")
    server, error = serve(wrapped)

    assert ([message], None) == (server.sent, error)
    assert "opaque" == runs.dumped()[1]["damaged"]["~"]


def test_body_over_the_bound_is_sent_and_not_kept(runs):
    """An endless download doesn't fill the memory."""
    runs.max_bytes = 5000

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        await send(END)

    server, _ = serve(instrument(app, name="web"))

    assert 100_002 == len(server.body)
    assert runs.finished[0][0].over_bound
    assert len(runs.dumped()[1]["response"]["body"]) <= 5000


def test_cancelled_request_is_a_time_out(runs):
    """The server's cancellation passes."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    async def cancel() -> None:
        server = Server()
        task = asyncio.create_task(instrument(app, name="web")(scope(), server.receive, server.send))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(cancel())
    assert runs.ending.timed_out


def test_instrumented_app_inside_another_is_one_run(runs):
    """The outermost entry is the run."""
    inner = instrument(plain, name="inner")
    outer = instrument(Starlette(routes=[Mount("/", inner)]), name="outer")
    server, _ = serve(outer)
    assert (b"ok", ["outer"]) == (server.body, [recorder.entry for recorder in runs.opened])


def test_lifespan_and_unknown_scopes_are_no_runs(runs):
    """They pass through."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], current_lane()))

    wrapped = instrument(app, name="web")
    for kind in ("webtransport", "lifespan"):
        serve(wrapped, {"type": kind})
    assert [("webtransport", None), ("lifespan", None)] == seen
    assert [] == runs.opened


def test_recording_of_the_oldest_form_is_driven(driving):
    """Without a type in the scope, and with rows that know the time of a message alone."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        await send(START)
        await send({"type": "http.response.body", "body": message["body"] + scope["type"].encode()})

    asked = {**scope(), "headers": [], "query_string": "", "raw_path": None}
    del asked["type"]
    recorded = {"scope": asked, "events": [[7, "http.request", "a ", False]], "broken": None}

    outcome = entry.drive(instrument(app, name="web"), recorded, driving)

    assert ("a http", [7]) == (outcome["response"]["body"], driving.waited)


# -- lifespan


def test_lifespan_is_started_once_and_shut_down(driving):
    """Its state is in the scope of each request, a copy."""
    told: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> Any:
        told.append("up")
        yield {"pool": [1]}
        told.append("down")

    async def state(request: Request) -> Response:
        return JSONResponse(request.state.pool)

    app = instrument(Starlette(routes=[Route("/", state)], lifespan=lifespan), name="web")
    shut_down = entry.boot(app, driving)
    recorded = {"scope": {**scope(), "headers": [], "query_string": "", "raw_path": None}, "events": []}
    del recorded["scope"]["type"]
    outcome = entry.drive(app, recorded, driving)
    assert ["up"] == told
    shut_down()

    assert "[1]" == outcome["response"]["body"]
    assert ["up", "down"] == told


def test_failing_start_up_is_unready(driving):
    """Starlette reports its lifespan's error, and the message holds it."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> Any:
        raise KeyError("DATABASE_URL")
        yield

    with pytest.raises(RunNotReady) as raised:
        entry.boot(instrument(Starlette(lifespan=lifespan), name="web"), driving)
    assert ("start-up-failed",) == raised.value.reasons
    assert "DATABASE_URL" in raised.value.why


def test_start_up_that_lacks_an_answer_is_no_app_without_lifespan(driving):
    """A plain app lets UnrecordedCall out of its lifespan: that says nothing about the protocol."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise UnrecordedCall("call 1 is not in the run", asked="httpx GET http://rates/rate")

    with pytest.raises(RunNotReady) as raised:
        entry.boot(instrument(app, name="web"), driving)
    assert "call 1 is not in the run" in raised.value.why


@pytest.mark.parametrize("error", [AssertionError, KeyError, ValueError, RuntimeError, None])
def test_app_without_lifespan_is_booted_without_one(driving, error: Any):
    """By the specification, whatever is raised says that the protocol isn't spoken; returning at once does, too."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if error is not None:
            raise error(scope["type"])

    shut_down = entry.boot(instrument(app, name="web"), driving)
    shut_down()


def test_what_is_no_asgi_app_is_not_recognised():
    """A WSGI callable, a plain function, a class."""

    def wsgi(environ: Any, start_response: Any) -> Any:
        return []

    async def two(scope: Any, receive: Any) -> None:
        return None

    assert [False, False, False, True] == [entry.recognises(app) for app in (wsgi, two, Starlette, plain)]
