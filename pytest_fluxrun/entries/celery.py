"""Celery apps: each execution of a task is a run, named after the task. `wrap` records; `drive` executes again.

Every pool, and eager mode. A run holds what the task's tracer does: handlers, retries, the next task of a chain.
What it writes to the result backend is the worker's own affair: not in the run, and not done at replay.
"""

from __future__ import annotations

import functools
import signal
import sys
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import wrapt

from pytest_fluxrun import patching
from pytest_fluxrun.context import current_lane, entered, outside
from pytest_fluxrun.entries.calling import finish, kept, kept_from, live_arguments, outcome_of, without_limit
from pytest_fluxrun.entries.calling.time_limit import limited
from pytest_fluxrun.entries.calling.within import within
from pytest_fluxrun.entry import Driving, Entry, OpenRun, end_start_up, flush_runs, open_run
from pytest_fluxrun.errors import DeadlineExceeded, EntryNotFound
from pytest_fluxrun.values import Value, decode

__all__ = ["CeleryEntry", "entry"]

_OWN_TASKS = "celery."
_apps: weakref.WeakSet[Any] = weakref.WeakSet()
_discovered: weakref.WeakSet[Any] = weakref.WeakSet()
"""Apps that have imported what their workers import, in a replay's process."""


class CeleryEntry(Entry):
    """A Celery app; its runs bear the names of its tasks."""

    kind = "celery"
    takes = "a Celery app"

    def recognises(self, target: Any) -> bool:
        """A `celery.Celery`."""
        celery = sys.modules.get("celery")
        return celery is not None and isinstance(target, celery.Celery)

    def describe(self, target: Any) -> str:
        """With its main module's name."""
        return f"the Celery app {target.main!r}"

    def default_name(self, target: Any, project: str) -> str:
        """Never a task's name, nor that of the project's web app."""
        return f"celery:{target.main or project}"

    def names(self, target: Any) -> Collection[str]:
        """The app's tasks, those included that its worker would discover."""
        if target not in _discovered:
            _discovered.add(target)
            target.loader.import_default_modules()
            target.finalize()
        return [name for name in target.tasks if not name.startswith(_OWN_TASKS)]

    def wrap(self, target: Any, name: str) -> Any:
        """The same app: workers and decorators look at its identity."""
        del name
        _install_seams()
        _apps.add(target)
        return target

    def drive(self, target: Any, recorded_input: Value, driving: Driving) -> Value:
        """Execute the task through Celery's own tracer, or `apply` where it was eager, with the recorded request."""
        assert isinstance(recorded_input, dict)
        task = target.tasks.get(recorded_input["task"])
        if task is None:
            raise EntryNotFound(
                f"the Celery app has no task {recorded_input['task']!r}",
                next_step="import the module of the task in [tool.fluxrun] modules",
            )
        args, kwargs = live_arguments(task.run, recorded_input)
        with _current(target, waits=bool(recorded_input["waits"])):
            if "options" in recorded_input:
                options = decode(recorded_input["options"])
                apply = functools.partial(task.apply, args, kwargs, **options)
                return driving.call(lambda: _outcome_of_eager(lambda: within(apply))[0])
            request = decode(recorded_input["request"])
            limit_s: Any = recorded_input.get("limit_s")
            with _protected_as_in_a_worker(task):
                return driving.call(lambda: _trace_again(task, args, kwargs, request=request, limit_s=limit_s))


# -- recording


def _install_seams() -> None:
    task_class = import_module("celery.app.task").Task
    patching.install(
        (
            patching.Patch(task_class, "__trace__", _Tracer),
            patching.Patch(task_class, "apply", _apply),
            patching.Patch(task_class, "backend", _backend),
        )
    )
    signals = import_module("celery.signals")
    signals.worker_ready.connect(_end_start_up, dispatch_uid="fluxrun", weak=False)
    signals.worker_process_shutdown.connect(_flush, dispatch_uid="fluxrun", weak=False)
    signals.worker_shutdown.connect(_flush, dispatch_uid="fluxrun", weak=False)


def _end_start_up(**_: Any) -> None:
    """A pool's children were forked before: each of them has a preamble of its own until its first task."""
    end_start_up()


def _flush(**_: Any) -> None:
    """A pool's child ends without exit handlers."""
    flush_runs()


class _Tracer:
    """`Task.__trace__` as a descriptor: whatever pool builds a task's tracer, it opens a run for each execution."""

    def __init__(self, original: None) -> None:
        self.original = original

    def __get__(self, task: Any, owner: type) -> Any:
        return self.original if task is None else vars(task).get("__trace__", self.original)

    def __set__(self, task: Any, tracer: Any) -> None:
        vars(task)["__trace__"] = None if tracer is None else functools.partial(_trace, task, tracer)


def _trace(  # noqa: PLR0917 - as Celery calls it
    task: Any, tracer: Callable[..., Any], uuid: str, args: Any, kwargs: Any, request: Any = None
) -> Any:
    run = _open(task)
    if run is None:
        return tracer(uuid, args, kwargs, request)
    recorded = _input(
        task, args, kwargs, lambda: {"request": _request(uuid, request or {}), "limit_s": _limit_s(task, request or {})}
    )
    try:
        with entered(run.lane):
            traced = within(tracer, uuid, args, kwargs, request)
    except BaseException as raised:
        finish(run, recorded, outcome_of(error=raised, state=_state_of(raised)), raised, route=task.name)
        raise
    outcome, error = _outcome_of_trace(traced)
    timed_out = isinstance(error, _time_limit())
    if error is not None and timed_out:
        recorded = without_limit(recorded, error)
    finish(run, recorded, outcome, error, route=task.name, timed_out=timed_out)
    return traced


def _apply(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def apply(self: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        run = _open(self)
        if run is None:
            return original(self, args, kwargs, **options)
        recorded = _input(self, args or (), kwargs or {}, lambda: {"options": _plain(options)})
        results: list[Any] = []

        def call() -> Any:
            results.append(within(functools.partial(original, self, args, kwargs, **options)))
            return results[0]

        error: BaseException | None = None
        try:
            with entered(run.lane):
                outcome, error = _outcome_of_eager(call, reraise=True)
        except BaseException as raised:
            finish(run, recorded, outcome_of(error=raised), raised, route=self.name)
            raise
        finish(run, recorded, outcome, error, route=self.name)
        return results[0]

    return apply


def _open(task: Any) -> OpenRun | None:
    if task.app not in _apps or task.name.startswith(_OWN_TASKS):
        return None
    return open_run(task.name, entry)


def _input(task: Any, args: Any, kwargs: Any, more: Callable[[], dict[str, Any]]) -> Value:
    """Opaque for arguments that are none, which Celery is about to refuse."""

    def facts() -> dict[str, Any]:
        waits = not import_module("celery.result").task_join_will_block()
        return {"task": task.name, "args": [*args], "kwargs": {**kwargs}, "waits": waits, **more()}

    return kept_from(facts)


def _request(uuid: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """What `self.request` is made of, without the arguments, which are kept apart."""
    return {key: _plain(value) for key, value in request.items() if key not in ("args", "kwargs")} | {"id": uuid}


def _plain(value: Any) -> Any:
    """Signatures as the plain dicts that they are on the wire."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


# -- outcomes


def _outcome_of_trace(traced: Any) -> tuple[Value, BaseException | None]:
    """Of what a tracer returns: (return value or error info, TraceInfo or None, runtime, text)."""
    retval, info = traced[0], traced[1]
    if info is not None:
        return _outcome_of_state(info.state, info.retval)
    if getattr(retval, "internal", False):  # Celery refused the message before it had a request
        refusal = getattr(retval.exception, "exc", retval.exception)
        return outcome_of(error=refusal), refusal
    return outcome_of(returned=kept(retval)), None


def _outcome_of_eager(call: Callable[[], Any], *, reraise: bool = False) -> tuple[Value, BaseException | None]:
    """Of an EagerResult, or of what `apply` raised because it was told to."""
    try:
        result = call()
    except (DeadlineExceeded, KeyboardInterrupt):
        raise
    except BaseException as raised:
        if reraise:
            raise
        return outcome_of(error=raised), raised
    value = result.result
    if result.state == "SUCCESS":
        return outcome_of(returned=kept(value)), None
    return _outcome_of_state(result.state, value)


def _outcome_of_state(state: str, error: Any) -> tuple[Value, BaseException | None]:
    if state == "IGNORED" or not isinstance(error, BaseException):
        return outcome_of(state=state.lower()), None
    return outcome_of(error=error, state="" if state == "FAILURE" else state.lower()), error


def _state_of(error: BaseException) -> str:
    return "rejected" if isinstance(error, import_module("celery.exceptions").Reject) else ""


def _time_limit() -> type[BaseException]:
    error: type[BaseException] = import_module("billiard.exceptions").SoftTimeLimitExceeded
    return error


def _limit_s(task: Any, request: Mapping[str, Any]) -> float | None:
    """The soft time limit, where the pool keeps one: in the children of prefork, by a signal."""
    pool = sys.modules.get("billiard.pool")
    if pool is None or signal.getsignal(pool.SIG_SOFT_TIMEOUT) is not pool.soft_timeout_sighandler:
        return None
    limit = (request.get("timelimit") or (None, None))[1] or task.soft_time_limit
    return None if limit is None else float(limit)


# -- the result backend


class _WorkersBackend(wrapt.ObjectProxy[Any]):
    """The result backend as tasks and tracers see it inside a run: writes are made outside of it, and not at replay."""

    def mark_as_done(self, *args: Any, **kwargs: Any) -> Any:
        return outside(self.__wrapped__.mark_as_done, *args, **kwargs)

    def mark_as_failure(self, *args: Any, **kwargs: Any) -> Any:
        return outside(self.__wrapped__.mark_as_failure, *args, **kwargs)

    def mark_as_retry(self, *args: Any, **kwargs: Any) -> Any:
        return outside(self.__wrapped__.mark_as_retry, *args, **kwargs)

    def store_result(self, *args: Any, **kwargs: Any) -> Any:
        return outside(self.__wrapped__.store_result, *args, **kwargs)

    def process_cleanup(self) -> Any:
        return outside(self.__wrapped__.process_cleanup)


def _backend(original: property) -> property:
    def backend(self: Any) -> Any:
        found = original.fget(self)  # type: ignore[misc]  # celery defines a getter
        lane = current_lane()
        return found if lane is None or lane.session.preamble else _WorkersBackend(found)

    return property(backend, original.fset, original.fdel)


# -- replaying


def _trace_again(
    task: Any, args: list[Any], kwargs: dict[str, Any], *, request: dict[str, Any], limit_s: float | None
) -> Value:
    trace = import_module("celery.app.trace")
    tracer = trace.build_tracer(task.name, task, task.app.loader, request.get("hostname"), app=task.app)
    request = {**request, "args": args, "kwargs": kwargs}
    try:
        with limited(limit_s, _time_limit()):
            traced = within(tracer, request["id"], args, kwargs, request)
    except (DeadlineExceeded, KeyboardInterrupt):
        raise
    except BaseException as raised:  # the outcome of the run, whatever it is
        return outcome_of(error=raised, state=_state_of(raised))
    return _outcome_of_trace(traced)[0]


@contextmanager
def _current(app: Any, *, waits: bool) -> Iterator[None]:
    """The app is the current one, and whether a task may wait for results is as it was."""
    state, result = import_module("celery._state"), import_module("celery.result")
    before = state._tls.current_app  # noqa: SLF001 - there is no other way to have no current app again
    app.set_current()
    try:
        with result.allow_join_result() if waits else result.denied_join_result():
            yield
    finally:
        state._tls.current_app = before  # noqa: SLF001 - as above


@contextmanager
def _protected_as_in_a_worker(task: Any) -> Iterator[None]:
    """What a worker does to `Task.__call__`: without it a task's own `__call__` sees another request."""
    trace, base = import_module("celery.app.trace"), import_module("celery.app.task").Task
    if getattr(base, "_stackprotected", False) or not trace.task_has_custom(task, "__call__"):
        yield
        return
    call = base.__call__
    trace._install_stack_protection()  # noqa: SLF001 - it has no public name
    try:
        yield
    finally:
        base.__call__ = call
        del base._stackprotected  # noqa: SLF001 - as above


entry = CeleryEntry()
