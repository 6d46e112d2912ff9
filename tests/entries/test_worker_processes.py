"""When a worker is up, and when it ends: each library says it in its own way. What RQ's worker doesn't record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import celery.signals
import dramatiq
import pytest
import rq
from dramatiq.brokers.stub import StubBroker

from pytest_fluxrun.entries.arq import entry as arq_entry
from pytest_fluxrun.entries.calling import kept_from
from pytest_fluxrun.entries.celery import entry as celery_entry
from pytest_fluxrun.entries.dramatiq import entry as dramatiq_entry
from pytest_fluxrun.entries.rq import entry as rq_entry
from pytest_fluxrun.entry import set_opener


def celery_worker(order: list[str]) -> None:
    celery_entry.wrap(celery.Celery("shop", set_as_current=False), "celery")
    order.append("started")
    celery.signals.worker_ready.send(sender=None)


def rq_worker(order: list[str]) -> None:
    class Worker(rq.SimpleWorker):
        def __init__(self) -> None:
            order.append("started")

        def work(self) -> bool:
            order.append("working")
            return True

    assert rq_entry.wrap(Worker, "rq")().work()


def dramatiq_worker(order: list[str]) -> None:
    class Last(dramatiq.Middleware):
        def after_worker_boot(self, broker: Any, worker: Any) -> None:
            order.append("started")

    broker = dramatiq_entry.wrap(StubBroker(middleware=[Last()]), "dramatiq")
    worker = dramatiq.Worker(broker, worker_timeout=20, worker_threads=1)
    worker.start()
    worker.stop()


def arq_worker(order: list[str]) -> None:
    async def start(ctx: dict[str, Any]) -> None:
        order.append(ctx["started"])

    async def job(ctx: dict[str, Any]) -> None:
        """Nothing to do."""

    settings = arq_entry.wrap(type("Settings", (), {"functions": [job], "on_startup": start}), "arq")
    asyncio.run(settings.on_startup({"started": "started"}))


@pytest.mark.parametrize("start", [celery_worker, rq_worker, dramatiq_worker, arq_worker])
def test_start_up_ends_when_the_worker_is_up(start: Callable[[list[str]], None]):
    """After what the application does when its worker starts, before the first task."""
    order: list[str] = []
    set_opener(lambda *_: None, lambda: None, start_up_ender=lambda: order.append("over"))
    start(order)
    assert ["started", "over"] == order[:2]
    assert 1 == order.count("over")


def end_of_a_child_of_prefork() -> None:
    celery_entry.wrap(celery.Celery("shop", set_as_current=False), "celery")
    celery.signals.worker_process_shutdown.send(sender=None, pid=1, exitcode=0)


def end_of_a_worker_of_celery() -> None:
    celery_entry.wrap(celery.Celery("shop", set_as_current=False), "celery")
    celery.signals.worker_shutdown.send(sender=None)


def end_of_a_work_horse() -> None:
    class Worker(rq.SimpleWorker):
        _is_horse = True

        def __init__(self) -> None:
            pass

        def perform_job(self, job: Any, queue: Any, execution: Any) -> bool:
            return True

    rq_entry.wrap(Worker, "rq")().perform_job(SimpleNamespace(_execute=None), None, None)


def end_of_a_worker_of_dramatiq() -> None:
    worker = dramatiq.Worker(dramatiq_entry.wrap(StubBroker(middleware=[]), "dramatiq"), worker_timeout=20)
    worker.start()
    worker.stop()


def end_of_a_worker_of_arq() -> None:
    async def job(ctx: dict[str, Any]) -> None:
        """Nothing to do."""

    settings = arq_entry.wrap(type("Settings", (), {"functions": [job]}), "arq")
    asyncio.run(settings.on_shutdown({}))


@pytest.mark.parametrize(
    "end",
    [
        end_of_a_child_of_prefork,
        end_of_a_worker_of_celery,
        end_of_a_work_horse,
        end_of_a_worker_of_dramatiq,
        end_of_a_worker_of_arq,
    ],
)
def test_runs_are_stored_when_the_process_ends(end: Callable[[], None]):
    """None of these processes is sure to run its exit handlers."""
    stored: list[int] = []
    set_opener(lambda *_: None, lambda: stored.append(1))
    end()
    assert [1] == stored


def test_job_of_rq_that_nobody_captured_is_named_once(runs: Any, caplog: pytest.LogCaptureFixture):
    """And performed; one whose function can't be found is RQ's own affair."""
    performed: list[int] = []

    class Worker(rq.SimpleWorker):
        def __init__(self) -> None:
            pass

        def perform_job(self, job: Any, queue: Any, execution: Any) -> bool:
            performed.append(job._execute())
            return True

    worker = rq_entry.wrap(Worker, "rq")()
    for number in range(3):
        bare = SimpleNamespace(func=len if number < 2 else None, func_name="shop.bare", _execute=lambda: 1)
        assert worker.perform_job(bare, None, None)

    assert [1, 1, 1] == performed
    assert [] == runs.opened
    (message,) = [record.getMessage() for record in caplog.records]
    assert "shop.bare: decorate it with @fluxrun.capture(name)" in message


def test_facts_that_cannot_be_read_disturb_no_worker():
    """The input is opaque then, and the run unready."""
    assert {"args": [1]} == kept_from(lambda: {"args": [1]})
    assert "opaque" == kept_from(lambda: {}["missing"])["~"]
