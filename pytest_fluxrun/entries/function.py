"""Decorated functions: `@capture(name)` makes each outermost call of a function, sync or async, a run."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, TypeVar, get_type_hints

from pytest_fluxrun.context import entered
from pytest_fluxrun.entry import Driving, Ending, Entry, OpenRun, open_run, register
from pytest_fluxrun.errors import DeadlineExceeded, SettingsError
from pytest_fluxrun.values import Value, decode, dump_error, encode_or_opaque, is_large

__all__ = ["FunctionEntry", "capture", "entry"]

F = TypeVar("F", bound=Callable[..., Any])


def capture(name: str) -> Callable[[F], F]:
    """Record every outermost call of the decorated function as a run, and register it as an entry.

    A call made inside another run is part of that run. Arguments and the return value must be encodable (see
    docs/reference/values.md); models and dataclasses are rebuilt from the function's annotations.

    Args:
        name: the entry's name in bundles and node ids, e.g. `orders.create`.

    Raises:
        SettingsError: the decorated object isn't a plain or coroutine function.
    """

    def decorate(function: F) -> F:
        wrapped: F = entry.wrap(function, name)
        register(name, entry, wrapped)
        return wrapped

    return decorate


class FunctionEntry(Entry):
    """A plain or coroutine function."""

    kind = "function"

    def recognises(self, target: Any) -> bool:
        """Never: a bare function could be an ASGI app or anything else, so it is named by `@capture`."""
        del target
        return False

    def wrap(self, target: Any, name: str) -> Any:
        """The function with a run around each outermost call."""
        if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
            raise SettingsError(
                f"@fluxrun.capture({name!r}) can't record {target!r}",
                why="generators have no single outcome",
                next_step="decorate the function that consumes it",
            )
        if not callable(target) or inspect.isclass(target):
            raise SettingsError(
                f"@fluxrun.capture({name!r}) can't record {target!r}",
                why="it isn't a function",
                next_step="decorate a plain or coroutine function",
            )
        return _wrap_async(target, name) if inspect.iscoroutinefunction(target) else _wrap_sync(target, name)

    def drive(self, target: Any, recorded_input: Value, driving: Driving) -> Value:
        """Call the function with the recorded arguments, rebuilt from its present annotations."""
        function = target.__wrapped__
        args, kwargs = _live_arguments(function, recorded_input)
        try:
            if inspect.iscoroutinefunction(function):
                returned = driving.run(function(*args, **kwargs))
            else:
                returned = driving.call(lambda: function(*args, **kwargs))
                if hasattr(type(returned), "__await__"):
                    returned = driving.run(_result_of(returned))
        except (DeadlineExceeded, KeyboardInterrupt):
            raise
        except BaseException as raised:  # the outcome of the run, whatever it is
            return _outcome(error=raised)
        return _outcome(returned=_recorded(returned))


def _wrap_sync(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        run = open_run(name, entry)
        if run is None:
            return function(*args, **kwargs)
        recorded = _recorded({"args": list(args), "kwargs": kwargs})
        try:
            with entered(run.lane):
                returned = function(*args, **kwargs)
        except BaseException as raised:
            _finish(run, recorded, _outcome(error=raised), raised)
            raise
        if hasattr(type(returned), "__await__"):  # a coroutine function beneath a decorator that is none
            return _awaited(run, recorded, lambda: returned)
        _finish(run, recorded, _outcome(returned=_recorded(returned)), None)
        return returned

    return call


def _wrap_async(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        run = open_run(name, entry)
        if run is None:
            return await function(*args, **kwargs)
        recorded = _recorded({"args": list(args), "kwargs": kwargs})
        return await _awaited(run, recorded, lambda: function(*args, **kwargs))

    return call


async def _awaited(run: OpenRun, recorded: Value, call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        with entered(run.lane):
            returned = await call()
    except BaseException as raised:
        _finish(run, recorded, _outcome(error=raised), raised)
        raise
    _finish(run, recorded, _outcome(returned=_recorded(returned)), None)
    return returned


async def _result_of(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _recorded(value: Any) -> Value:
    """The value as it is now. One that would hold the caller up is an opaque marker, and so makes the run unready."""
    try:
        if is_large(value):
            return encode_or_opaque(object())
        return encode_or_opaque(value)
    except Exception:  # an object of the app may do anything when it is looked at, and the host must not notice
        return encode_or_opaque(object())


def _finish(run: OpenRun, recorded: Value, outcome: Value, error: BaseException | None) -> None:
    timed_out = isinstance(error, asyncio.CancelledError | TimeoutError)
    run.finish(Ending(dump=lambda: (recorded, outcome), error=error, timed_out=timed_out))


def _outcome(*, returned: Value = None, error: BaseException | None = None) -> Value:
    return {"returned": returned, "error": None if error is None else dump_error(error)}


def _live_arguments(function: Callable[..., Any], recorded: Any) -> tuple[list[Any], dict[str, Any]]:
    hints = _hints(function)
    parameters = inspect.signature(function).parameters.values()
    positional = [parameter for parameter in parameters if parameter.kind < inspect.Parameter.KEYWORD_ONLY]
    args = []
    for index, value in enumerate(recorded["args"]):
        parameter = positional[min(index, len(positional) - 1)] if positional else None
        args.append(decode(value, hints.get(parameter.name, Any) if parameter else Any))
    kwargs = {key: decode(value, hints.get(key, Any)) for key, value in recorded["kwargs"].items()}
    return args, kwargs


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations that can be resolved: a name imported for type checkers only leaves its parameter plain."""
    try:
        return get_type_hints(function)
    except TypeError:  # a partial or another callable without annotations
        return {}
    except NameError:
        found = {}
        for name, annotation in inspect.get_annotations(function).items():
            with suppress(NameError):
                found[name] = _resolved(function, annotation)
        return found


def _resolved(function: Callable[..., Any], annotation: Any) -> Any:
    return get_type_hints(SimpleNamespace(__annotations__={"it": annotation}), vars(sys.modules[function.__module__]))[
        "it"
    ]


entry = FunctionEntry()
