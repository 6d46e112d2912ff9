"""Dramatiq brokers: each message that an actor processes is a run. `wrap` adds a middleware; `drive` calls the actor.

The middleware is the innermost: what others do around an actor (retries, results, pipelines) is the worker's affair.
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Collection
from contextvars import Token
from importlib import import_module
from typing import Any

from pytest_fluxrun.context import LANE, Lane, aside
from pytest_fluxrun.entries.calling import (
    call_again,
    finish,
    kept,
    kept_from,
    live_arguments,
    marked_as_retry,
    outcome_of,
    without_limit,
)
from pytest_fluxrun.entries.calling.time_limit import limited
from pytest_fluxrun.entry import Driving, Entry, OpenRun, end_start_up, flush_runs, open_run
from pytest_fluxrun.errors import EntryNotFound
from pytest_fluxrun.values import Value, decode

__all__ = ["DramatiqEntry", "entry"]


class DramatiqEntry(Entry):
    """A broker of Dramatiq; its runs bear the names of its actors."""

    kind = "dramatiq"
    takes = "a Dramatiq broker"

    def recognises(self, target: Any) -> bool:
        """A `dramatiq.Broker`."""
        dramatiq = sys.modules.get("dramatiq")
        return dramatiq is not None and isinstance(target, dramatiq.Broker)

    def describe(self, target: Any) -> str:
        """With its class."""
        return f"a {type(target).__name__} of Dramatiq"

    def default_name(self, target: Any, project: str) -> str:
        """Never an actor's name, nor that of the project's web app."""
        del target
        return f"dramatiq:{project}"

    def names(self, target: Any) -> Collection[str]:
        """The actors that are declared."""
        return tuple(target.actors)

    def wrap(self, target: Any, name: str) -> Any:
        """The same broker: actors are bound to it."""
        del name
        if not any(type(each).__name__ == _NAME for each in target.middleware):
            first = [type(each) for each in target.middleware[:1]]
            target.add_middleware(_starter(), **dict(zip(("before",), first, strict=False)))
            target.add_middleware(_middleware())
            if hasattr(target, "_dispatch"):
                target._dispatch = _asking_aside(target._dispatch)  # noqa: SLF001 - a RedisBroker's one way to Redis
        return target

    def drive(self, target: Any, recorded_input: Value, driving: Driving) -> Value:
        """Call the actor with the recorded message as the current one."""
        assert isinstance(recorded_input, dict)
        recorded: Any = recorded_input
        message = decode(recorded["message"])
        actor = target.actors.get(message["actor_name"])
        if actor is None:
            raise EntryNotFound(
                f"the Dramatiq broker has no actor {message['actor_name']!r}",
                next_step="import the module of the actor in [tool.fluxrun] modules",
            )
        function = inspect.unwrap(actor.fn, stop=inspect.iscoroutinefunction)
        args, kwargs = live_arguments(function, recorded)
        message = import_module("dramatiq").Message(args=tuple(args), kwargs=kwargs, **message)
        current = _current_message(target, message)
        limit_s = recorded["limit_s"]

        def process() -> Any:
            with limited(limit_s, _time_limit()):
                return function(*args, **kwargs)

        try:
            return _marked(call_again(process, driving))
        finally:
            if current is not None:
                current.after_process_message(target, message)


def _asking_aside(dispatch: Callable[[str], Callable[..., Any]]) -> Callable[[str], Callable[..., Any]]:
    """What a worker's threads ask of Redis to find and to end their messages is the worker's own affair."""

    def dispatch_aside(command: str) -> Callable[..., Any]:
        is_workers = type(threading.current_thread()).__module__ == "dramatiq.worker"
        return aside(dispatch(command)) if is_workers else dispatch(command)

    return dispatch_aside


_NAME = "FluxRunMiddleware"
_marked = functools.partial(marked_as_retry, asking="dramatiq.errors:Retry")


def _middleware() -> Any:
    """A middleware that opens a run before an actor is called and ends it after; its class needs the library."""
    under_way = threading.local()

    def before(self: Any, broker: Any, message: Any) -> None:
        del self
        under_way.run = _Processing.begin(broker, message)

    def after(self: Any, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        del self, broker, message
        processing, under_way.run = getattr(under_way, "run", None), None
        if processing is not None:
            processing.end(result, exception)

    def flush(self: Any, broker: Any, worker: Any) -> None:
        """A worker's process may end without exit handlers."""
        del self, broker, worker
        flush_runs()

    base = import_module("dramatiq").Middleware
    hooks = {
        "before_process_message": before,
        "after_process_message": after,
        "after_skip_message": after,
        "after_worker_shutdown": flush,
    }
    return type(_NAME, (base,), hooks)()


def _starter() -> Any:
    """The outermost middleware: hooks that come after something are called from the innermost outwards."""

    def started(self: Any, broker: Any, worker: Any) -> None:
        del self, broker, worker
        end_start_up()

    return type("FluxRunStarter", (import_module("dramatiq").Middleware,), {"after_worker_boot": started})()


class _Processing:
    """A message under way in a worker's thread, which stays in the run's lane from one hook to the other."""

    def __init__(self, name: str, run: OpenRun, recorded: Value) -> None:
        self.name = name
        self.run = run
        self.recorded = recorded
        self.token: Token[Lane | None] = LANE.set(run.lane)

    @classmethod
    def begin(cls, broker: Any, message: Any) -> _Processing | None:
        name = message.actor_name
        run = open_run(name, entry) if not message.failed and name in broker.actors else None
        if run is None:
            return None
        return cls(name, run, kept_from(lambda: _call_of(broker, message)))

    def end(self, result: Any, error: BaseException | None) -> None:
        LANE.reset(self.token)
        outcome = outcome_of(returned=kept(result)) if error is None else outcome_of(error=error)
        timed_out = isinstance(error, _time_limit())
        if error is not None and timed_out:
            self.recorded = without_limit(self.recorded, error)
        finish(self.run, self.recorded, _marked(outcome), error, route=self.name, timed_out=timed_out)


def _call_of(broker: Any, message: Any) -> dict[str, Any]:
    facts = {name: getattr(message, name) for name in ("queue_name", "actor_name", "options", "message_id")}
    facts["message_timestamp"] = message.message_timestamp
    call = {"args": list(message.args), "kwargs": message.kwargs, "message": facts}
    return {**call, "limit_s": _limit_s(broker, message)}


def _limit_s(broker: Any, message: Any) -> float | None:
    """The seconds that the TimeLimit middleware allows, if there is one."""
    for each in broker.middleware:
        if isinstance(each, import_module("dramatiq.middleware").TimeLimit):
            own = broker.actors[message.actor_name].options.get("time_limit", each.time_limit)
            return float(message.options.get("time_limit") or own) / 1000
    return None


def _time_limit() -> type[BaseException]:
    error: type[BaseException] = import_module("dramatiq.middleware").TimeLimitExceeded
    return error


def _current_message(broker: Any, message: Any) -> Any:
    """The CurrentMessage middleware, told of the message, where the broker has one."""
    for each in broker.middleware:
        if isinstance(each, import_module("dramatiq.middleware").CurrentMessage):
            each.before_process_message(broker, message)
            return each
    return None


entry = DramatiqEntry()
