"""RQ jobs and arq jobs pass the entry contract, each under its own worker, against a Redis on this machine."""

from __future__ import annotations

import asyncio
import sys
import time
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import arq
import arq.connections
import pytest
import redis
import rq
import rq.timeouts

from pytest_fluxrun.context import apart
from pytest_fluxrun.entries.arq import entry as arq_entry
from pytest_fluxrun.entries.function import capture
from pytest_fluxrun.entries.rq import entry as rq_entry
from pytest_fluxrun.testing.entry import EntryContract, Exercise
from tests.entries.task_behaviours import exercises
from tests.entries.web_behaviours import aask, ask
from tests.entries.workers import redis_database

pytestmark = pytest.mark.service

_RQ_DATABASE, _ARQ_DATABASE = 14, 15
_JOBS = "fluxrun_contract_jobs"
"""RQ finds a job's function by its import path, so each exercise's function is put into this module."""


# -- RQ


def with_job(_: Any, function: Callable[..., Any]) -> type:
    """A worker class for tests' threads: it installs no signal handlers, and limits time by a timer."""
    module = sys.modules.setdefault(_JOBS, types.ModuleType(_JOBS))
    function.__module__, function.__qualname__ = _JOBS, "it"
    module.it = capture("it")(function)
    body = {"_install_signal_handlers": lambda _: None, "death_penalty_class": rq.timeouts.TimerDeathPenalty}
    return type("Quiet", (rq.SimpleWorker,), body)


def in_rq_worker(worker_class: Any, _: Any, arguments: tuple[Any, ...] = (3,), **options: Any) -> Any:
    """One job, performed; gives its result, or the last line of its traceback. Another process would put it there."""
    with redis.Redis(db=_RQ_DATABASE) as connection:
        with apart():
            queue = rq.Queue(uuid.uuid4().hex, connection=connection)
            job = queue.enqueue(f"{_JOBS}.it", args=arguments, meta={"tenant": "t"}, **options)
        worker_class([queue], connection=connection).work(burst=True, logging_level="CRITICAL")
        with apart():
            result = job.latest_result()
        return result.exc_string.strip().splitlines()[-1] if result.exc_string else result.return_value


def in_rq_worker_for_a_second(worker_class: Any, outside: Any) -> Any:
    return in_rq_worker(worker_class, outside, job_timeout=1)


def asks_its_job(_: Any) -> type:
    def it(amount: int) -> list[Any]:
        job = rq.get_current_job()
        return [job.meta, job.timeout, job.func_name, list(job.args), len(job.id), job.origin == "", amount]

    return with_job(None, it)


def too_slow(_: Any) -> type:
    def it(amount: int) -> str:
        try:
            for _ in range(1000):
                time.sleep(0.02)
        except rq.timeouts.JobTimeoutException:
            return f"{amount} given up"
        return "done"

    return with_job(None, it)


def asks_for_another_try(outside: Any) -> type:
    def it(amount: int) -> Any:
        ask("GET", f"{outside.url}/count?of={amount}")
        return rq.Retry(max=1, interval=3600)

    return with_job(None, it)


class TestRQ(EntryContract):
    entry = rq_entry
    subject = "RQ"
    library = "rq"
    exercises: ClassVar[Mapping[str, Exercise]] = exercises(
        with_job,
        in_rq_worker,
        context=Exercise(asks_its_job, in_rq_worker, calls=0),
        time_limit=Exercise(too_slow, in_rq_worker_for_a_second, calls=0),
        retries=Exercise(asks_for_another_try, lambda worker, outside: str(in_rq_worker(worker, outside)), calls=1),
    )

    @pytest.fixture(autouse=True)
    def _redis(self, redis_port: int) -> Iterator[None]:
        with redis_database(redis_port, _RQ_DATABASE):
            yield


# -- arq


def with_function(_: Any, function: Callable[..., Any]) -> type:
    async def it(_: dict[str, Any], *arguments: Any) -> Any:
        return function(*arguments)

    return settings(it)


def settings(function: Any, **options: Any) -> type:
    return type("WorkerSettings", (), {"functions": [arq.func(function, name="it", **options)]})


async def in_arq_worker(worker_settings: Any, _: Any, arguments: tuple[Any, ...] = (3,)) -> Any:
    """One job, performed; gives its result or raises its error. Another process would put it there."""
    queue = uuid.uuid4().hex
    where = arq.connections.RedisSettings(database=_ARQ_DATABASE)
    with apart():
        pool = await arq.create_pool(where, default_queue_name=queue)
    try:
        with apart():
            job = await pool.enqueue_job("it", *arguments)
        worker = arq.Worker(
            worker_settings.functions,
            queue_name=queue,
            redis_pool=pool,
            burst=True,
            handle_signals=False,
            poll_delay=0.01,
            max_tries=2,
            on_job_start=getattr(worker_settings, "on_job_start", None),
            ctx={"greeting": "hello"},
        )
        await worker.async_run()
        with apart():
            return await job.result(timeout=5, poll_delay=0.01)
    finally:
        await pool.aclose()


def asks_its_context(outside: Any) -> type:
    async def begin(ctx: dict[str, Any]) -> None:
        ctx["rate"] = (await aask("GET", f"{outside.url}/count")).json()["n"]

    async def it(ctx: dict[str, Any], amount: int) -> list[Any]:
        assert ctx["job_id"]
        return [ctx["job_try"], ctx["rate"], ctx["greeting"], amount]

    made = settings(it)
    made.on_job_start = staticmethod(begin)
    made.ctx = {"greeting": "hello"}
    return made


def too_patient(outside: Any) -> type:
    async def it(_: dict[str, Any], amount: int) -> int:
        answer = await aask("GET", f"{outside.url}/count?of={amount}")
        await asyncio.sleep(60)
        return answer.json()["n"]

    return settings(it, timeout=0.3)


class TestArq(EntryContract):
    entry = arq_entry
    subject = "arq"
    library = "arq"
    exercises: ClassVar[Mapping[str, Exercise]] = exercises(
        with_function,
        in_arq_worker,
        context=Exercise(asks_its_context, in_arq_worker, calls=1),
        time_limit=Exercise(
            too_patient,
            in_arq_worker,
            error=("asyncio.exceptions:CancelledError: ",),
            ending={"timed_out": True},
            calls=1,
        ),
    )

    @pytest.fixture(autouse=True)
    def _redis(self, redis_port: int) -> Iterator[None]:
        with redis_database(redis_port, _ARQ_DATABASE):
            yield
