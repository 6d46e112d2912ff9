"""arq worker settings: each attempt at a job is a run. `wrap` wraps functions and cron jobs; `drive` calls one again.

The context that a job gets is rebuilt: what `on_startup` makes, once per process, and the job's own four facts. What
arq itself asks of Redis is the worker's own affair.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import sys
from collections.abc import Awaitable, Callable, Collection
from importlib import import_module
from typing import Any

from pytest_fluxrun.context import apart, current_lane, entered
from pytest_fluxrun.entries.calling import (
    call_again,
    finish,
    kept_from,
    live_arguments,
    marked_as_retry,
    outcome_of,
    record_async,
)
from pytest_fluxrun.entry import Driving, Entry, OpenRun, end_start_up, flush_runs, open_run
from pytest_fluxrun.errors import EntryNotFound
from pytest_fluxrun.values import Value, decode

__all__ = ["ArqEntry", "entry"]

_FACTS = ("job_id", "job_try", "enqueue_time", "score")
_BEGUN = "fluxrun_begun"
"""Where a run that `on_job_start` began waits in the job's context for the job."""
_STARTED_IN = "fluxrun_started_in"
"""Where a worker's context holds the lane in which it was started: that of its hooks and jobs."""
_Job = Callable[..., Awaitable[Any]]
_marked = functools.partial(marked_as_retry, asking="arq.worker:Retry")


class ArqEntry(Entry):
    """A class of arq worker settings; its runs bear the names of its functions and cron jobs."""

    kind = "arq"
    takes = "a class of arq worker settings"

    def recognises(self, target: Any) -> bool:
        """A class with `functions` or `cron_jobs`, once arq is imported."""
        return isinstance(target, type) and "arq" in sys.modules and bool(_jobs(target))

    def describe(self, target: Any) -> str:
        """With its name."""
        return f"the arq worker settings {target.__qualname__}"

    def default_name(self, target: Any, project: str) -> str:
        """Never a function's name, nor that of the project's web app."""
        return f"arq:{project}:{target.__name__}"

    def names(self, target: Any) -> Collection[str]:
        """Functions and cron jobs by arq's names."""
        return [job.name for job in _jobs(target)]

    def wrap(self, target: Any, name: str) -> Any:
        """The same class: arq's command looks it up by its name."""
        del name
        functions, crons = getattr(target, "functions", None), getattr(target, "cron_jobs", None)
        if functions:
            target.functions = [_recorded(import_module("arq.worker").func(each)) for each in functions]
        if crons:
            target.cron_jobs = [_recorded(each) for each in crons]
        if getattr(target, "on_job_start", None) is not None:
            target.on_job_start = staticmethod(_beginning(target, target.on_job_start))
        target.on_startup = staticmethod(_starting(getattr(target, "on_startup", None)))
        target.on_shutdown = staticmethod(_flushing(getattr(target, "on_shutdown", None)))
        worker = import_module("arq.worker").Worker
        if not hasattr(worker.main, "__wrapped__"):
            worker.main = _working(worker.main)
        return target

    def drive(self, target: Any, recorded_input: Value, driving: Driving) -> Value:
        """Call the function with a rebuilt context and the recorded arguments."""
        recorded: Any = recorded_input
        job = next((each for each in _jobs(target) if each.name == recorded["function"]), None)
        if job is None:
            raise EntryNotFound(
                f"{target.__name__} has no function {recorded['function']!r}",
                next_step="list it in `functions` or `cron_jobs` again",
            )
        function = job.coroutine.__wrapped__
        args, kwargs = live_arguments(function, recorded, skip=1)
        context = {**_contexts.get(target, {}), **decode(recorded["ctx"])}
        start = getattr(getattr(target, "on_job_start", None), "__wrapped__", None)

        async def run() -> Any:
            if start is not None:
                await start(context)
            return await function(context, *args, **kwargs)

        return _marked(call_again(run, driving, cancelled_ns=recorded.get("cancelled_ns")))

    def boot(self, target: Any, driving: Driving) -> Callable[[], None]:
        """Make the worker's context as it does when it starts: its own `ctx`, an unconnected Redis, `on_startup`."""
        if target in _contexts:
            return lambda: None
        context = _contexts[target] = {**(getattr(target, "ctx", None) or {})}
        context["redis"] = import_module("arq.connections").ArqRedis()
        start = target.on_startup.__wrapped__
        if start is not None:
            driving.run(start(context))

        def shut_down() -> None:
            del _contexts[target]
            end = target.on_shutdown.__wrapped__
            if end is not None:
                driving.run(end(context))

        return shut_down


_contexts: dict[type, dict[str, Any]] = {}
"""Of the settings that were booted in this process, for replays."""


def _jobs(target: type) -> list[Any]:
    return [*(getattr(target, "functions", None) or ()), *(getattr(target, "cron_jobs", None) or ())]


def _recorded(job: Any) -> Any:
    """An arq Function or CronJob whose coroutine opens a run."""
    job = copy.copy(job)
    job.coroutine = _recording(job.name, job.coroutine)
    return job


def _working(main: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """What a worker asks of Redis to find its jobs, and keeps there of them, is its own affair."""

    @functools.wraps(main)
    async def work(worker: Any) -> None:
        worker.ctx[_STARTED_IN] = current_lane()
        with apart():
            await main(worker)

    return work


def _recording(name: str, function: _Job) -> _Job:
    @functools.wraps(function)
    async def call(ctx: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        with entered(ctx.pop(_STARTED_IN, current_lane())):
            return await called(ctx, *args, **kwargs)

    async def called(ctx: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        run: OpenRun | None = ctx.pop(_BEGUN, None) or open_run(name, entry)
        if run is None:
            return await function(ctx, *args, **kwargs)
        recorded = _input(name, ctx, args, kwargs)
        return await record_async(run, recorded, lambda: function(ctx, *args, **kwargs), route=name, mark=_marked)

    return call


def _input(name: str, ctx: dict[str, Any], args: Any, kwargs: Any) -> Value:
    facts = {fact: ctx[fact] for fact in _FACTS if fact in ctx}
    return kept_from(lambda: {"function": name, "args": list(args), "kwargs": kwargs, "ctx": facts})


def _beginning(target: type, start: _Job) -> _Job:
    """`on_job_start` in the run of the job that it is called for."""

    @functools.wraps(start)
    async def begin(ctx: dict[str, Any]) -> None:
        with entered(ctx.get(_STARTED_IN, current_lane())):
            await begun(ctx)

    async def begun(ctx: dict[str, Any]) -> None:
        name = _name_of_job()
        run = open_run(name, entry) if any(name == each.name for each in _jobs(target)) else None
        if run is None:
            await start(ctx)
            return
        try:
            with entered(run.lane):
                await start(ctx)
        except BaseException as raised:
            finish(run, _input(name, ctx, (), {}), outcome_of(error=raised), raised, route=name)
            raise
        ctx[_BEGUN] = run

    return begin


def _name_of_job() -> str:
    """What `Worker.run_job`, whose task this is, is about to call; arq 0.26 to 0.28 doesn't tell its hooks."""
    task = asyncio.current_task()
    frame = getattr(task.get_coro(), "cr_frame", None) if task is not None else None
    return str(frame.f_locals.get("function_name", "")) if frame is not None else ""


def _starting(start: _Job | None) -> _Job:
    """`on_startup`, and then start-up is over: polling for jobs is no preamble of theirs."""

    async def start_first(ctx: dict[str, Any]) -> None:
        if start is not None:
            with entered(ctx.get(_STARTED_IN, current_lane())):
                await start(ctx)
        end_start_up()

    start_first.__wrapped__ = start  # type: ignore[attr-defined]  # what a replay starts with
    return start_first


def _flushing(end: _Job | None) -> _Job:
    """`on_shutdown`, and then what was recorded is stored: a worker may be killed while it waits for more."""

    async def flush_last(ctx: dict[str, Any]) -> None:
        if end is not None:
            await end(ctx)
        await asyncio.get_running_loop().run_in_executor(None, flush_runs)

    flush_last.__wrapped__ = end  # type: ignore[attr-defined]  # what a replay shuts down with
    return flush_last


entry = ArqEntry()
