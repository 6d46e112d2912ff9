"""RQ workers: each job whose function is captured is a run. `wrap` patches a worker class; `drive` performs it again.

A job's name is an import path, which a bundle must not name: `@fluxrun.capture(name)` on the function registers it.
"""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any

from pytest_fluxrun.context import APART, Lane, apart, current_lane, entered
from pytest_fluxrun.entries.calling import call_again, kept, kept_from, live_arguments, outcome_of, record
from pytest_fluxrun.entries.calling.time_limit import limited
from pytest_fluxrun.entry import Driving, Entry, end_start_up, flush_runs, open_run, registered, registered_entry
from pytest_fluxrun.values import Value, decode

__all__ = ["RQEntry", "entry"]

_FUNCTION = "function"
_FACTS = (
    *("origin", "description", "timeout", "result_ttl", "failure_ttl", "ttl", "group_id", "worker_name", "meta"),
    *("created_at", "enqueued_at", "started_at", "last_heartbeat", "retries_left", "number_of_retries"),
    *("retry_intervals", "repeats_left", "repeat_intervals", "enqueue_at_front"),
)
"""What a job may ask `get_current_job()` for; a version of RQ that lacks one leaves it out."""
_log = logging.getLogger("pytest_fluxrun")
_unknown: set[str] = set()


class RQEntry(Entry):
    """A worker class of RQ; its runs bear the names of the captured functions that its jobs call."""

    kind = "rq"
    takes = "a worker class of RQ"

    def recognises(self, target: Any) -> bool:
        """`rq.Worker`, `rq.SimpleWorker`, or a subclass."""
        worker = sys.modules.get("rq.worker")
        base = getattr(worker, "BaseWorker", None) or getattr(worker, "Worker", None)  # RQ 2.1 split it
        return base is not None and isinstance(target, type) and issubclass(target, base)

    def describe(self, target: Any) -> str:
        """With its name."""
        return f"the RQ worker class {target.__qualname__}"

    def default_name(self, target: Any, project: str) -> str:
        """Never that of the project's web app."""
        return f"rq:{project}:{target.__name__}"

    def names(self, target: Any) -> Collection[str]:
        """Every captured function: any of them may be a job."""
        del target
        return [each.name for each in registered() if each.entry.kind == _FUNCTION]

    def wrap(self, target: Any, name: str) -> Any:
        """The same class: a spawned work horse looks it up by its name."""
        del name
        target.__init__ = _made(target.__init__)
        target.perform_job = _perform_job(target.perform_job)
        target.work = _work(target.work)
        return target

    def drive(self, target: Any, recorded_input: Value, driving: Driving) -> Value:
        """Perform a job of the recorded arguments and facts, bound to a Redis that isn't connected."""
        assert isinstance(recorded_input, dict)
        captured = registered_entry(str(recorded_input["function"]), _FUNCTION).target
        args, kwargs = live_arguments(captured.__wrapped__, recorded_input)
        facts = decode(recorded_input["job"])
        job = _job(target, captured, args, kwargs, facts)
        limit_s = recorded_input["limit_s"]

        def perform() -> Any:
            with limited(limit_s, functools.partial(_timed_out, limit_s)):
                return job.perform()

        return call_again(perform, driving, outcome=_outcome)


_STARTED_IN = "_fluxrun_started_in"
"""Where a worker holds the lane in which it was started: that of its jobs. What it asks of Redis is its own affair."""


def _made(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(*args: Any, **kwargs: Any) -> None:  # noqa: N807 - the method that is wrapped
        with apart():
            original(*args, **kwargs)

    return __init__


def _perform_job(original: Callable[..., bool]) -> Callable[..., bool]:
    @functools.wraps(original)
    def perform_job(self: Any, job: Any, *args: Any, **kwargs: Any) -> bool:
        lane = getattr(self, _STARTED_IN, None) or current_lane()
        execute = job._execute  # noqa: SLF001 - `perform` also talks to Redis
        job._execute = functools.partial(_execute_in, lane, job, execute)  # noqa: SLF001 - as above
        try:
            with apart():
                return original(self, job, *args, **kwargs)
        finally:
            job.__dict__.pop("_execute", None)
            if getattr(self, "_is_horse", False):
                flush_runs()  # a work horse ends without exit handlers

    return perform_job


def _work(original: Callable[..., bool]) -> Callable[..., bool]:
    @functools.wraps(original)
    def work(self: Any, *args: Any, **kwargs: Any) -> bool:
        end_start_up()
        setattr(self, _STARTED_IN, current_lane())
        with apart():
            return original(self, *args, **kwargs)

    return work


def _execute_in(lane: Lane | None, job: Any, execute: Callable[[], Any]) -> Any:
    with entered(lane if current_lane() is APART else current_lane()):
        return _execute(job, execute)


def _execute(job: Any, execute: Callable[[], Any]) -> Any:
    name = _captured_name(job)
    run = open_run(name, entry) if name else None
    if run is None:
        return execute()
    recorded = kept_from(lambda: {"function": name, **_call_of(job)})
    return record(run, recorded, execute, route=name, is_time_limit=_is_time_limit, outcome=_outcome)


def _call_of(job: Any) -> dict[str, Any]:
    facts = {fact: getattr(job, fact) for fact in _FACTS if hasattr(job, fact)}
    limit_s = job.timeout if isinstance(job.timeout, int) and job.timeout > 0 else None
    call = {"args": list(job.args), "kwargs": dict(job.kwargs), "limit_s": limit_s}
    return {**call, "job": {**facts, "id": job.id}}


def _captured_name(job: Any) -> str:
    """The name under which a job's function is registered, or "": then it isn't recorded, and that is said once."""
    try:
        function = job.func
    except Exception:  # it can't be imported, or its data can't be read: the worker meets that itself
        return ""
    for each in registered():
        if each.target is function:
            return each.name
    if job.func_name not in _unknown:
        _unknown.add(job.func_name)
        _log.warning("FluxRun doesn't record the job %s: decorate it with @fluxrun.capture(name)", job.func_name)
    return ""


def _job(worker_class: Any, function: Any, args: list[Any], kwargs: dict[str, Any], facts: dict[str, Any]) -> Any:
    with entered(None):
        connection = import_module("redis").Redis()
        connection.persist = lambda _: True  # what RQ 2.0's `perform` asks of it is the worker's own affair
        job = worker_class.job_class.create(function, args, kwargs, id=facts.pop("id"), connection=connection)
    for name, fact in facts.items():
        setattr(job, name, fact)
    return job


def _outcome(returned: Any) -> Value:
    """A returned `rq.Retry` asks for another attempt."""
    retry = getattr(sys.modules.get("rq.job"), "Retry", None)
    if retry is not None and isinstance(returned, retry):
        return outcome_of(returned=kept({"max": returned.max, "intervals": list(returned.intervals)}), state="retry")
    return outcome_of(returned=kept(returned))


def _is_time_limit(error: BaseException) -> bool:
    return isinstance(error, import_module("rq.timeouts").BaseTimeoutException)


def _timed_out(limit_s: int) -> BaseException:
    error: BaseException = import_module("rq.timeouts").JobTimeoutException(
        f"Task exceeded maximum timeout value ({limit_s} seconds)"
    )
    return error


entry = RQEntry()
