"""ASGI applications: each HTTP request and each websocket is a run. `wrap` tees its messages; `drive` plays them back.

ASGI 3.0. The lifespan belongs to the preamble. The conversation itself lies in `web`.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from typing import Any

from pytest_fluxrun import ambient
from pytest_fluxrun.context import by_server, entered
from pytest_fluxrun.entries.calling.within import awaited_within
from pytest_fluxrun.entries.web.asgi_exchange import Exchange, Message, Receive, Send, live_scope
from pytest_fluxrun.entries.web.asgi_http import HttpExchange
from pytest_fluxrun.entries.web.asgi_lifespan import Lifespan, flushing
from pytest_fluxrun.entries.web.asgi_replay import drive
from pytest_fluxrun.entries.web.asgi_websocket import WebsocketExchange
from pytest_fluxrun.entries.web.instrumented import Instrumented, instrumented
from pytest_fluxrun.entries.web.signatures import called_with, is_called_with, parameter_names
from pytest_fluxrun.entry import Driving, Ending, Entry, OpenRun, noted, open_run
from pytest_fluxrun.errors import RunNotReady
from pytest_fluxrun.trace import active_span, trace_of
from pytest_fluxrun.values import Value, decode

__all__ = ["ASGIEntry", "entry", "record_asgi"]

_EXCHANGES: dict[str, type[Exchange]] = {kind.kind: kind for kind in (HttpExchange, WebsocketExchange)}
_MOST_BACKGROUND_S = 30.0
"""How long a run waits for the framework's own background tasks; what they do later is late and counted."""
_ASGI_2 = (
    "it is an ASGI 2 application, called twice: make it one of ASGI 3 with "
    "`asgiref.compatibility.guarantee_single_callable(app)`"
)
_FRAMEWORKS = {
    "channels": "Django Channels",
    "django": "Django",
    "falcon": "Falcon",
    "fastapi": "FastAPI",
    "litestar": "Litestar",
    "quart": "Quart",
    "starlette": "Starlette",
}
"""Top-level package of an application's class → what people call it. Only for the description."""


class ASGIEntry(Entry):
    """Any ASGI 3 application object: of a framework, or a plain coroutine function."""

    kind = "asgi"
    takes = f"an ASGI application ({', '.join(sorted(_FRAMEWORKS.values()))}, a plain coroutine function …)"

    def recognises(self, target: Any) -> bool:
        """A coroutine function of (scope, receive, send), or an object whose `__call__` is one."""
        call = called_with(target)
        return call is not None and inspect.iscoroutinefunction(call) and is_called_with(call, 3)

    def describe(self, target: Any) -> str:
        """By the framework that its class or a base of it comes from."""
        for base in target.__class__.__mro__:
            known = _FRAMEWORKS.get(base.__module__.partition(".")[0])
            if known is not None:
                return f"a {known} application (ASGI)"
        if inspect.isroutine(target):
            return f"the coroutine function {target.__module__}.{target.__qualname__} (ASGI)"
        return f"an object of {target.__class__.__module__}.{target.__class__.__qualname__} (ASGI)"

    def hint(self, target: Any) -> str:
        """For ASGI 2's double callables, functions that aren't coroutine functions, and others of another signature."""
        call = called_with(target)
        if call is None:
            made = inspect.isclass(target) and parameter_names(target) == ["scope"]
            return _ASGI_2 if made else ""
        names = parameter_names(call)
        if names == ["scope"]:
            return _ASGI_2
        if inspect.iscoroutinefunction(call):
            taken = ", ".join(names)
            return f"it is a coroutine function of ({taken}): an ASGI application takes (scope, receive, send)"
        return "it takes what an ASGI application takes, but isn't `async def`" if names[:1] == ["scope"] else ""

    def wrap(self, target: Any, name: str) -> Any:
        """A proxy of the application: everything but the call itself goes to the original."""
        return instrumented(target, name, _Teed)

    def drive(self, target: Any, recorded_input: Value, driving: Driving) -> Value:
        """Send the recorded messages in and collect what is answered."""
        recorded = decode(recorded_input)
        scope = live_scope(recorded["scope"], target._self_lifespan_state)  # noqa: SLF001 - a proxy's own
        exchange = _EXCHANGES[scope["type"]](scope)
        return driving.run(drive(target.__wrapped__, scope, exchange, recorded, driving))

    def boot(self, target: Any, driving: Driving) -> Callable[[], None]:
        """Run the lifespan's start-up; its shut-down is the function returned.

        Raises:
            RunNotReady: start-up failed.
        """
        lifespan = Lifespan(target.__wrapped__)
        driving.spawn(lifespan.serve())
        driving.run(lifespan.started())
        if lifespan.failure:
            raise RunNotReady(
                "the application's start-up failed at replay",
                reasons=("start-up-failed",),
                why=lifespan.failure,
                next_step="start-up must succeed offline: look at what the lifespan asks that the preamble lacks",
            )
        target._self_lifespan_state = lifespan.state  # noqa: SLF001 - a proxy's own
        return lambda: driving.run(lifespan.stopped())


class _Teed(Instrumented):
    """The application, teed."""

    _self_lifespan_state: dict[str, Any] | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self.__wrapped__(scope, receive, flushing(send))
            return
        run = open_run(self._self_name, entry) if kind in _EXCHANGES else None
        if run is None:
            await self.__wrapped__(scope, receive, send)
            return
        await record_asgi(self.__wrapped__, scope, receive, send, run)


async def record_asgi(app: Any, scope: Message, receive: Receive, send: Send, run: OpenRun) -> None:
    """Call an application for one request or websocket in a run of its own, teed; the run ends when it returns."""
    exchange = _EXCHANGES[scope["type"]](scope, run.weigh)
    started_ns = ambient.monotonic_ns()

    async def tee_receive() -> Message:
        exchange.asked_for_more(ambient.monotonic_ns() - started_ns)
        message = await by_server(receive)
        try:
            exchange.received(message, ambient.monotonic_ns() - started_ns)
        except Exception:  # a message that isn't ASGI is between the server and the app; the run says that it lacks it
            exchange.damaged = True
        return message

    async def tee_send(message: Message) -> None:
        try:
            exchange.sent(message, ambient.monotonic_ns() - started_ns)
            exchange.span = exchange.span or active_span()
        except Exception:  # as above
            exchange.damaged = True
        try:
            await by_server(send, message)
        except OSError as error:
            exchange.broke(error)
            raise

    error: BaseException | None = None
    try:
        with entered(run.lane):
            await awaited_within(app, scope, tee_receive, tee_send)
    except BaseException as raised:
        error = raised
        raise
    finally:
        exchange.ended_ns = ambient.monotonic_ns() - started_ns
        exchange.cancelled = isinstance(error, asyncio.CancelledError)
        error = exchange.failure(error, run.lane)
        ending = Ending(
            dump=lambda: (exchange.input(), exchange.outcome(error)),
            status=exchange.status,
            error=error,
            disconnected=exchange.disconnected,
            cut_short=exchange.cut_short,
            timed_out=isinstance(error, asyncio.CancelledError | TimeoutError),
            route=exchange.route(run.lane),
            trace=lambda: trace_of(exchange.asked["headers"], exchange.span),
        )
        _finish_after([task for task in noted(run.lane).tasks if not task.done()], run, ending)


def _finish_after(tasks: list[asyncio.Task[Any]], run: OpenRun, ending: Ending) -> None:
    """End the run when the last of the framework's tasks for it is over, or after a bounded time."""
    if not tasks:
        run.finish(ending)
        return
    under_way = set(tasks)
    limit = asyncio.get_running_loop().call_later(_MOST_BACKGROUND_S, run.finish, ending)

    def ended(task: asyncio.Task[Any]) -> None:
        under_way.discard(task)
        if not under_way:
            limit.cancel()
            run.finish(ending)

    for task in tasks:
        task.add_done_callback(ended, context=contextvars.Context())


entry = ASGIEntry()
