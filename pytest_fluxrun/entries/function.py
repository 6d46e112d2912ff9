"""Decorated functions: `@capture(name)` makes each outermost call of a function, sync or async, a run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from pytest_fluxrun.context import entered, name_of
from pytest_fluxrun.entries.calling import (
    call_again,
    finish,
    kept,
    kept_call,
    live_arguments,
    outcome_of,
    record,
    record_async,
)
from pytest_fluxrun.entries.calling.lambda_context import context_facts, is_lambda_context, observed, stand_in
from pytest_fluxrun.entries.click import entry as click_entry
from pytest_fluxrun.entry import Driving, Entry, OpenRun, flush_runs, open_run, register
from pytest_fluxrun.errors import SettingsError
from pytest_fluxrun.values import Value

__all__ = ["FunctionEntry", "capture", "entry"]

F = TypeVar("F", bound=Callable[..., Any])


def capture(name: str) -> Callable[[F], F]:
    """Record every outermost call of the decorated function as a run, and register it as an entry.

    A call made inside another run is part of that run. Arguments and the return value must be encodable (see
    docs/reference/values.md); models and dataclasses are rebuilt from the function's annotations. An AWS Lambda handler
    `(event, context)` and a click command may be decorated, too; of methods only static ones and bound ones.

    Args:
        name: the entry's name in bundles and node ids, e.g. `orders.create`.

    Raises:
        SettingsError: the decorated object can't be recorded: a generator, a method, a class.
    """

    def decorate(function: F) -> F:
        how: Entry = click_entry if click_entry.recognises(function) else entry
        wrapped: F = how.wrap(function, name)
        register(name, how, wrapped)
        return wrapped

    return decorate


class FunctionEntry(Entry):
    """A plain or coroutine function."""

    kind = "function"

    def recognises(self, target: Any) -> bool:
        """Never: a bare function could be an ASGI app or anything else, so it is named by `@capture`."""
        del target
        return False

    def describe(self, target: Any) -> str:
        """By its own name."""
        return f"the function {target.__module__}.{name_of(target)}"

    def wrap(self, target: Any, name: str) -> Any:
        """The function with a run around each outermost call."""
        if isinstance(target, staticmethod):
            return staticmethod(self.wrap(target.__func__, name))
        _refuse(target, name)
        return _wrap_async(target, name) if inspect.iscoroutinefunction(target) else _wrap_sync(target, name)

    def drive(self, target: Any, recorded_input: Value, driving: Driving) -> Value:
        """Call the function with the recorded arguments, rebuilt from its present annotations."""
        function = target.__wrapped__
        assert isinstance(recorded_input, dict)
        args, kwargs = live_arguments(function, recorded_input)
        if "context" in recorded_input:
            args.append(stand_in(cast("dict[str, Any]", recorded_input["context"])))
        cancelled_ns = recorded_input.get("cancelled_ns")
        return call_again(lambda: function(*args, **kwargs), driving, cancelled_ns=cancelled_ns)


def _wrap_sync(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        run = open_run(name, entry)
        if run is None:
            return function(*args, **kwargs)
        if len(args) == 2 and is_lambda_context(args[1]):
            return _record_lambda(run, function, args[0], args[1])
        recorded = kept_call(args, kwargs)
        try:
            with entered(run.lane):
                returned = function(*args, **kwargs)
        except BaseException as raised:
            finish(run, recorded, outcome_of(error=raised), raised)
            raise
        if hasattr(type(returned), "__await__"):  # a coroutine function beneath a decorator that is none
            return record_async(run, recorded, lambda: returned)
        finish(run, recorded, outcome_of(returned=kept(returned)))
        return returned

    return call


def _wrap_async(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        run = open_run(name, entry)
        if run is None:
            return await function(*args, **kwargs)
        recorded = kept_call(args, kwargs)
        return await record_async(run, recorded, lambda: function(*args, **kwargs))

    return call


def _record_lambda(run: OpenRun, handler: Callable[..., Any], event: Any, context: Any) -> Any:
    """AWS freezes the process as soon as the handler has returned, so what was recorded is stored before."""
    recorded = kept_call((event,), {})
    if isinstance(recorded, dict):
        try:
            recorded["context"] = context_facts(context)
        except Exception:  # as `kept`: whatever the object does when it is looked at
            recorded["context"] = kept(object())
    try:
        return record(run, recorded, lambda: handler(event, observed(context)))
    finally:
        flush_runs()


def _refuse(target: Any, name: str) -> None:
    """What has no outcome of its own, or needs an object that no bundle can hold."""
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        why, next_step = "generators have no single outcome", "decorate the function that consumes it"
    elif _is_method(target):
        why = "a method needs its object, which a bundle can't hold"
        next_step = "decorate a function that makes or finds the object and calls the method"
    elif not callable(target) or inspect.isclass(target):
        why, next_step = "it isn't a function", "decorate a plain or coroutine function"
    else:
        return
    raise SettingsError(f"@fluxrun.capture({name!r}) can't record {target!r}", why=why, next_step=next_step)


def _is_method(target: Any) -> bool:
    """A class method, or a function in a class's body that takes `self` or `cls`."""
    if isinstance(target, classmethod):
        return True
    owner = getattr(target, "__qualname__", "").rpartition(".")[0]
    first = next(iter(getattr(getattr(target, "__code__", None), "co_varnames", ())), "")
    return inspect.isfunction(target) and bool(owner) and not owner.endswith("<locals>") and first in ("self", "cls")


entry = FunctionEntry()
