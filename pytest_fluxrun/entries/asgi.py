"""ASGI applications: each HTTP request is a run. `wrap` tees receive and send; `drive` plays them back.

ASGI 3.0, HTTP scope spec 2.0 to 2.4. Websockets pass through unrecorded. Lifespan belongs to the preamble.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import wrapt

from pytest_fluxrun import ambient
from pytest_fluxrun.context import entered
from pytest_fluxrun.entry import Driving, Ending, Entry, OpenRun, flush_runs, open_run
from pytest_fluxrun.errors import DeadlineExceeded, RunNotReady
from pytest_fluxrun.values import Value, decode, dump_error, encode, encode_or_opaque, load_error

__all__ = ["ASGIEntry", "entry"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger("pytest_fluxrun")
_NOMINAL_BYTES = 1024
_SCOPE_KEYS = ("http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path", "client", "server")


class ASGIEntry(Entry):
    """Any ASGI 3 application object: FastAPI, Starlette, or a plain coroutine function."""

    kind = "asgi"

    def recognises(self, target: Any) -> bool:
        """A coroutine function of (scope, receive, send), or an object whose `__call__` is one."""
        call = target if inspect.isfunction(target) else getattr(target, "__call__", None)  # noqa: B004 - the method itself
        return inspect.iscoroutinefunction(call) and len(inspect.signature(call).parameters) == 3

    def wrap(self, target: Any, name: str) -> Any:
        """A proxy of the application: everything but the call itself goes to the original."""
        return _Instrumented(target, name)

    def drive(self, target: Any, recorded_input: Value, driving: Driving) -> Value:
        """Send the recorded request in and collect the response."""
        return driving.run(_drive(target, decode(recorded_input), driving))

    def boot(self, target: Any, driving: Driving) -> Callable[[], None]:
        """Run the lifespan's start-up; its shut-down is the function returned.

        Raises:
            RunNotReady: start-up failed.
        """
        lifespan = _Lifespan(target)
        driving.spawn(lifespan.serve())
        driving.run(lifespan.started())
        if lifespan.failure:
            raise RunNotReady(
                "the application's start-up failed at replay",
                reasons=("start-up-failed",),
                why=lifespan.failure,
                next_step="start-up must succeed offline: look at what the lifespan asks that the preamble lacks",
            )
        target._self_lifespan_state = lifespan.state  # noqa: SLF001 - wrapt's prefix for a proxy's own attributes
        return lambda: driving.run(lifespan.stopped())


class _Instrumented(wrapt.ObjectProxy[Any]):
    """The application, teed."""

    _self_name = ""
    _self_lifespan_state: dict[str, Any] | None = None

    def __init__(self, app: Any, name: str) -> None:
        super().__init__(app)
        self._self_name = name

    def __copy__(self) -> _Instrumented:
        return _Instrumented(copy.copy(self.__wrapped__), self._self_name)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.__wrapped__(scope, receive, _flushing(send))
            return
        run = open_run(self._self_name, entry) if scope["type"] == "http" else None
        if run is None:
            await self.__wrapped__(scope, receive, send)
            return
        await _record(self.__wrapped__, scope, receive, send, run)


def _flushing(send: Send) -> Send:
    """`send`, which stores what was recorded before it says that shut-down is complete.

    A server that ends on a signal may never run exit handlers (uvicorn raises the signal again).
    """

    async def flush_first(message: Message) -> None:
        if message["type"].startswith("lifespan.shutdown"):
            await asyncio.get_running_loop().run_in_executor(None, flush_runs)
        await send(message)

    return flush_first


class _Exchange:
    """What one request received and sent, by reference, until the writer dumps it."""

    __slots__ = (
        "asked",
        "body",
        "broken",
        "complete",
        "damaged",
        "disconnected",
        "events",
        "headers",
        "keep_more",
        "others",
        "scope",
        "sends",
        "status",
    )

    def __init__(self, scope: Message, keep_more: Callable[[int], bool] = lambda _: True) -> None:
        self.scope = scope
        self.asked: dict[str, Any] = {key: scope.get(key) for key in _SCOPE_KEYS}  # now: routers and mounts write to it
        self.asked["headers"] = list(scope.get("headers", ()))
        self.keep_more = keep_more
        self.events: list[tuple[int, str, bytes, bool]] = []
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: list[bytes] = []
        self.others: list[Message] = []
        self.sends = 0
        self.broken: tuple[int, OSError] | None = None
        self.complete = False
        self.disconnected = False
        self.damaged = False

    def received(self, message: Message, offset_ns: int) -> None:
        if message["type"] == "http.disconnect":
            if self.complete:
                return  # any app that listens after its answer is told so, also at replay
            self.disconnected = True
        body = bytes(message.get("body", b""))
        if self.keep_more(len(body)):
            self.events.append((offset_ns, message["type"], body, bool(message.get("more_body", False))))

    def sent(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            self.headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        elif kind == "http.response.body":
            body = bytes(message.get("body", b""))
            if self.keep_more(len(body)):
                self.body.append(body)
            self.complete = not message.get("more_body", False)
        elif self.keep_more(_NOMINAL_BYTES):
            self.others.append(message)
            self.complete = self.complete or kind == "http.response.pathsend"
        self.sends += 1

    def broke(self, error: OSError) -> None:
        """The last message couldn't be sent: the client is gone."""
        self.disconnected = True
        self.broken = self.broken or (self.sends, error)

    def input(self) -> Value:
        scope = dict(self.asked)
        scope["headers"] = _text_pairs(scope["headers"])
        scope["query_string"] = bytes(scope["query_string"] or b"").decode("latin-1")
        scope["raw_path"] = None if scope["raw_path"] is None else bytes(scope["raw_path"]).decode("latin-1")
        scope["asgi"] = dict(self.scope.get("asgi", {}))
        scope["extensions"] = [name for name in self.scope.get("extensions") or () if name.startswith("http.response.")]
        events = [[offset, kind, _text_or_bytes(body), more] for offset, kind, body, more in self.events]
        broken = None if self.broken is None else [self.broken[0], dump_error(self.broken[1])]
        return encode_or_opaque({"scope": scope, "events": events, "broken": broken})

    def outcome(self, error: BaseException | None) -> Value:
        response: Value = None
        if self.status is not None:
            response = {
                "status": self.status,
                "headers": encode(_text_pairs(self.headers)),
                "body": encode(_text_or_bytes(b"".join(self.body))),
                "complete": self.complete,
            }
            if self.others:
                response["messages"] = [encode_or_opaque(dict(message)) for message in self.others]
        outcome: dict[str, Value] = {
            "response": response,
            "error": None if error is None else dump_error(error),
            "disconnected": self.disconnected,
        }
        if self.damaged:
            outcome["damaged"] = encode_or_opaque(object())
        return outcome

    def route(self) -> str:
        """The template that the framework put into the scope; the raw path could hold a secret."""
        template = getattr(self.scope.get("route"), "path", "")
        return f"{self.scope.get('method', '')} {template}" if template else ""


async def _record(app: Any, scope: Message, receive: Receive, send: Send, run: OpenRun) -> None:
    exchange = _Exchange(scope, run.weigh)
    started_ns = ambient.monotonic_ns()

    async def tee_receive() -> Message:
        message = await receive()
        try:
            exchange.received(message, ambient.monotonic_ns() - started_ns)
        except Exception:  # a message that isn't ASGI is between the server and the app; the run says that it lacks it
            exchange.damaged = True
        return message

    async def tee_send(message: Message) -> None:
        try:
            exchange.sent(message)
        except Exception:  # as above
            exchange.damaged = True
        try:
            await send(message)
        except OSError as error:
            exchange.broke(error)
            raise

    error: BaseException | None = None
    try:
        with entered(run.lane):
            await app(scope, tee_receive, tee_send)
    except BaseException as raised:
        error = raised
        raise
    finally:
        run.finish(
            Ending(
                dump=lambda: (exchange.input(), exchange.outcome(error)),
                status=exchange.status,
                error=error,
                disconnected=exchange.disconnected,
                cut_short=not exchange.complete,
                timed_out=isinstance(error, asyncio.CancelledError | TimeoutError),
                route=exchange.route(),
            )
        )


async def _drive(target: Any, recorded: dict[str, Any], driving: Driving) -> Value:
    scope = _live_scope(recorded["scope"], target)
    exchange = _Exchange(scope)
    events = deque(recorded["events"])
    broken = recorded.get("broken")
    answered = asyncio.Event()

    async def receive() -> Message:
        while events:
            offset_ns, kind, body, more = event = events[0]
            await driving.until(offset_ns)
            if not events or events[0] is not event:
                continue  # another `receive` has had it meanwhile
            events.popleft()  # not before: one that is cancelled while it waits has received nothing
            message: Message = {"type": kind}
            if kind == "http.request":
                message.update(body=_to_bytes(body), more_body=more)
            exchange.received(message, offset_ns)
            return message
        await answered.wait()
        return {"type": "http.disconnect"}  # what a server says to an app that listens after its answer

    async def send(message: Message) -> None:
        exchange.sent(message)
        if exchange.complete:
            answered.set()
        if broken is not None and exchange.sends >= broken[0]:
            error = load_error(broken[1])
            exchange.disconnected = True
            raise error

    error: BaseException | None = None
    try:
        await target.__wrapped__(scope, receive, send)
    except (DeadlineExceeded, KeyboardInterrupt):
        raise
    except BaseException as raised:  # the outcome of the run, whatever it is
        error = raised
    return exchange.outcome(error)


def _live_scope(recorded: dict[str, Any], target: Any) -> Message:
    scope: dict[str, Any] = {"type": "http", **recorded}
    scope["extensions"] = {name: {} for name in recorded.get("extensions", ())}
    scope["headers"] = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in recorded["headers"]]
    scope["query_string"] = recorded["query_string"].encode("latin-1")
    scope["raw_path"] = None if recorded["raw_path"] is None else recorded["raw_path"].encode("latin-1")
    for key in ("client", "server"):
        scope[key] = None if recorded[key] is None else tuple(recorded[key])
    lifespan_state = target._self_lifespan_state  # noqa: SLF001 - wrapt's prefix for a proxy's own attributes
    if lifespan_state is not None:
        scope["state"] = dict(lifespan_state)
    return scope


class _Lifespan:
    """One lifespan conversation with an application, held open between items."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self.state: dict[str, Any] = {}
        self.failure = ""
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._up = asyncio.Event()
        self._down = asyncio.Event()

    async def serve(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self.target.__wrapped__(scope, self._incoming.get, self._send)
        except Exception:  # ASGI lifespan 2.0: it says so that it doesn't speak the protocol, and the server continues
            _log.debug("the application raised in its lifespan; it goes on without one", exc_info=True)
        finally:
            self._up.set()
            self._down.set()

    async def started(self) -> None:
        await self._incoming.put({"type": "lifespan.startup"})
        await self._up.wait()

    async def stopped(self) -> None:
        await self._incoming.put({"type": "lifespan.shutdown"})
        await self._down.wait()

    async def _send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.failed":
            self.failure = message.get("message") or "lifespan.startup.failed"
        (self._up if message["type"].startswith("lifespan.startup") else self._down).set()


def _text_pairs(headers: Any) -> list[list[str]]:
    return [[bytes(name).decode("latin-1"), bytes(value).decode("latin-1")] for name, value in headers]


def _text_or_bytes(body: bytes) -> str | bytes:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return body


def _to_bytes(body: str | bytes) -> bytes:
    return body.encode("utf-8") if isinstance(body, str) else body


entry = ASGIEntry()
