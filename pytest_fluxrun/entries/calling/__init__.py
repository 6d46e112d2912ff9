"""What entries that call a function share: its arguments and its outcome, kept and given back. Knows no library.

A kept call is `{"args": [...], "kwargs": {...}}`; an outcome `{"returned", "error"}`, and `state` where an entry knows
more ways to end than these two.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, TypeVar, get_type_hints

from pytest_fluxrun import ambient
from pytest_fluxrun.context import entered
from pytest_fluxrun.entries.calling.time_limit import made_a_call
from pytest_fluxrun.entry import Driving, Ending, OpenRun, dump_raised
from pytest_fluxrun.errors import DeadlineExceeded
from pytest_fluxrun.trace import active_span, trace_of
from pytest_fluxrun.values import Value, decode, encode_or_opaque, is_large

__all__ = [
    "call_again",
    "finish",
    "kept",
    "kept_call",
    "kept_from",
    "live_arguments",
    "live_result",
    "marked_as_retry",
    "outcome_of",
    "record",
    "record_async",
    "without_limit",
]

T = TypeVar("T")


def kept(value: Any) -> Value:
    """The value as it is now. One that would hold the caller up is an opaque marker, and so makes the run unready."""
    if value is None:
        return None
    try:
        if is_large(value):
            return encode_or_opaque(object())
        return encode_or_opaque(value)
    except Exception:  # an object of the app may do anything when it is looked at, and the host must not notice
        return encode_or_opaque(object())


def kept_from(facts: Callable[[], Any]) -> Value:
    """What a function gathers, as it is now; opaque where it fails, for recording never raises into the host."""
    try:
        return kept(facts())
    except Exception:  # whatever a library's or the app's objects do when they are looked at
        return encode_or_opaque(object())


def kept_call(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Value:
    """The arguments of a call as they are now."""
    return kept({"args": list(args), "kwargs": dict(kwargs)})


def outcome_of(*, returned: Value = None, error: BaseException | None = None, state: str = "") -> Value:
    """A call's outcome, in the form that comparison reads.

    Args:
        state: how it ended where that isn't said by the other two, e.g. `retry`.
    """
    outcome: dict[str, Value] = {"returned": returned, "error": None if error is None else dump_raised(error)}
    return {**outcome, "state": state} if state else outcome


def marked_as_retry(outcome: Value, asking: str) -> Value:
    """The outcome; in the state `retry` where the error that was raised asks for another attempt.

    Args:
        asking: the error's class, as `module:Class`.
    """
    assert isinstance(outcome, dict)
    error = outcome["error"]
    return {**outcome, "state": "retry"} if isinstance(error, dict) and error["type"] == asking else outcome


def finish(
    run: OpenRun,
    recorded: Value,
    outcome: Value,
    error: BaseException | None = None,
    *,
    route: str = "",
    timed_out: bool = False,
) -> None:
    """End the run of a call."""
    timed_out = timed_out or isinstance(error, asyncio.CancelledError | TimeoutError)
    span = active_span()
    run.finish(
        Ending(
            dump=lambda: (recorded, outcome),
            error=error,
            timed_out=timed_out,
            route=route,
            trace=lambda: trace_of((), span),
        )
    )


def record(
    run: OpenRun,
    recorded: Value,
    call: Callable[[], T],
    *,
    route: str = "",
    is_time_limit: Callable[[BaseException], bool] = lambda _: False,
    outcome: Callable[[T], Value] = lambda returned: outcome_of(returned=kept(returned)),
) -> T:
    """Call in a run, end it, and pass on what came of it.

    Args:
        outcome: what a returned value means, where it may mean more than itself.
    """
    try:
        with entered(run.lane):
            returned = call()
    except BaseException as raised:
        timed_out = is_time_limit(raised)
        if timed_out:
            recorded = without_limit(recorded, raised)
        finish(run, recorded, outcome_of(error=raised), raised, route=route, timed_out=timed_out)
        raise
    finish(run, recorded, outcome(returned), route=route)
    return returned


def without_limit(recorded: Value, error: BaseException) -> Value:
    """A kept call's `limit_s` is for waits only: a time limit that struck in a recorded call is that call's answer."""
    return {**recorded, "limit_s": None} if isinstance(recorded, dict) and made_a_call(error) else recorded


async def record_async(
    run: OpenRun,
    recorded: Value,
    call: Callable[[], Awaitable[T]],
    *,
    route: str = "",
    mark: Callable[[Value], Value] = lambda outcome: outcome,
) -> T:
    """`record` for awaitables; keeps when a call was cancelled, for nobody else knows at replay.

    Args:
        mark: gives an outcome its `state`.
    """
    started_ns = ambient.monotonic_ns()
    try:
        with entered(run.lane):
            returned = await call()
    except BaseException as raised:
        if isinstance(raised, asyncio.CancelledError) and isinstance(recorded, dict) and "args" in recorded:
            recorded = {**recorded, "cancelled_ns": ambient.monotonic_ns() - started_ns}
        finish(run, recorded, mark(outcome_of(error=raised)), raised, route=route)
        raise
    finish(run, recorded, mark(outcome_of(returned=kept(returned))), route=route)
    return returned


def call_again(
    call: Callable[[], Any],
    driving: Driving,
    *,
    cancelled_ns: int | None = None,
    outcome: Callable[[Any], Value] = lambda returned: outcome_of(returned=kept(returned)),
) -> Value:
    """Call in a replay, to the end of what it returns where that is awaitable, and say what came of it.

    Args:
        cancelled_ns: when the recorded call was cancelled, if it was.
    """
    try:
        returned = driving.call(call)
        if hasattr(type(returned), "__await__"):
            returned = driving.run(_awaited(returned, cancelled_ns, driving))
    except (DeadlineExceeded, KeyboardInterrupt):
        raise
    except BaseException as raised:  # the outcome of the run, whatever it is
        return outcome_of(error=raised)
    return outcome(returned)


async def _awaited(awaitable: Awaitable[T], cancelled_ns: int | None, driving: Driving) -> T:
    if cancelled_ns is None:
        return await awaitable
    task = asyncio.current_task()
    assert task is not None

    async def cancel() -> None:
        await driving.until(cancelled_ns)
        task.cancel()

    canceller = asyncio.create_task(cancel())
    try:
        return await awaitable
    finally:
        canceller.cancel()


def live_arguments(function: Callable[..., Any], recorded: Any, *, skip: int = 0) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a kept call, rebuilt from the function's present annotations.

    Args:
        skip: how many of the function's first parameters aren't kept.
    """
    hints = _hints(function)
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    positional = [parameter for parameter in parameters if parameter.kind < inspect.Parameter.KEYWORD_ONLY]
    args = []
    for index, value in enumerate(recorded["args"]):
        parameter = positional[min(index, len(positional) - 1)] if positional else None
        args.append(decode(value, hints.get(parameter.name, Any) if parameter else Any))
    kwargs = {key: decode(value, hints.get(key, Any)) for key, value in recorded["kwargs"].items()}
    return args, kwargs


def live_result(function: Callable[..., Any], recorded: Any) -> Any:
    """What a kept call returned, rebuilt from the function's present annotation."""
    return decode(recorded, _hints(function).get("return", Any))


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
