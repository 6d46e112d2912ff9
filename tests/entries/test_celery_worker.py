"""Celery under its real worker processes: recorded, sealed, and replayed by pytest with no broker in reach."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import kombu
import pytest
import redis

from tests.entries.workers import running
from tests.plugin.kiosk import Kiosk, upstream_server
from tests.plugin.recorded import new_kiosk

pytestmark = pytest.mark.service

SERVICE = '''\
"""Tasks: one that works, one that fails, one that is retried until it gives up."""

import datetime
import os
import time
import uuid

import celery
import httpx

import pytest_fluxrun as fluxrun

fluxrun.init(project="kiosk")
app = fluxrun.instrument(celery.Celery("kiosk", broker=os.environ["BROKER"], backend=os.environ.get("BACKEND")))
app.conf.task_default_queue = os.environ.get("QUEUE", "unused")
app.conf.worker_enable_remote_control = False
app.conf.broker_connection_retry_on_startup = False
app.conf.result_backend_transport_options = {"global_keyprefix": os.environ.get("QUEUE", "")}


def rate():
    """Ask the upstream server for the rate."""
    return httpx.get(os.environ["UPSTREAM"] + "/rate").json()["rate"]


@app.task(bind=True)
def quote(self, amount):
    """Give a price, and have the mail sent."""
    mail.delay(amount)
    self.update_state(state="PROGRESS", meta={"half": True})
    id_, at = uuid.uuid4().hex, datetime.datetime.now().isoformat()
    return {"price": amount * rate(), "id": id_, "at": at, "task": self.request.id, "origin": self.request.origin}


@app.task(ignore_result=True)
def mail(amount):
    """Nothing to do."""


@app.task
def refund(amount):
    """Fail for seven."""
    current = rate()
    if amount == 7:
        raise ValueError(f"can't refund {amount} at {current}")
    return amount * current


@app.task(bind=True, max_retries=2, default_retry_delay=0)
def charge(self, amount):
    """Fail, try again, and give up."""
    try:
        raise ConnectionError(f"try {self.request.retries} at {rate()}")
    except ConnectionError as error:
        raise self.retry(exc=error)


@app.task(soft_time_limit=1)
def wait(amount):
    """Take longer than it may, and clean up."""
    try:
        time.sleep(30)
    except celery.exceptions.SoftTimeLimitExceeded:
        raise TimeoutError(f"{amount} cleaned up at {datetime.datetime.now()}")
'''
SEND = "import service; service.quote.delay(3); service.refund.delay(7); service.charge.delay(1)"
WORKER = ("-m", "celery", "-A", "service", "worker", "-l", "INFO", "--without-gossip", "--without-mingle")
UNREACHABLE = {"BROKER": "amqp://127.0.0.1:1//", "UPSTREAM": "http://127.0.0.1:1"}


@pytest.fixture
def broker(rabbitmq_port: int, redis_port: int) -> Iterator[dict[str, str]]:
    """The variables of a broker and its result backend; what the test left there is deleted."""
    queue = f"fluxrun-{uuid.uuid4().hex}"
    url, results = f"amqp://guest:guest@127.0.0.1:{rabbitmq_port}//", f"redis://127.0.0.1:{redis_port}/9"
    yield {"BROKER": url, "BACKEND": results, "QUEUE": queue}
    with redis.Redis.from_url(results) as client:
        for key in _results(client, queue):
            client.delete(key)
    with kombu.Connection(url) as connection:
        connection.channel().queue_delete(queue)
        connection.channel().exchange_delete(queue)


def _results(client: redis.Redis, queue: str) -> list[bytes]:
    return list(client.scan_iter(f"{queue}_celery-task-meta-*"))


@pytest.fixture
def kiosk(tmp_path: Path) -> Kiosk:
    return new_kiosk(tmp_path, service=SERVICE)


def test_soft_time_limit_strikes_again_at_replay(kiosk: Kiosk, broker: dict[str, str]):
    """In a child of prefork, by a signal; at replay when the virtual clock has come so far, and in a fork."""
    with running(kiosk, *WORKER, "-c", "1", **broker) as worker:
        worker.wait_for("ready.")
        assert kiosk.python("-c", "import service; service.wait.delay(1)", **broker).returncode == 0
        worker.wait_for("raised unexpected: TimeoutError")
        worker.terminate()
    suite = kiosk.pytest("--fluxrun-dir=runs", **UNREACHABLE)

    assert "reproduced" == suite.case("service.wait").verdict, suite.output


@pytest.mark.parametrize(
    "pool",
    [
        pytest.param(("-P", "prefork", "-c", "2"), id="prefork"),
        pytest.param(("-P", "prefork", "-c", "1", "--max-tasks-per-child", "1"), id="recycled"),
        pytest.param(("-P", "threads", "-c", "2"), id="threads"),
        pytest.param(("-P", "solo"), id="solo"),
        pytest.param(("-P", "gevent", "-c", "4"), id="gevent"),
    ],
)
def test_tasks_of_a_worker_replay_with_no_broker(kiosk: Kiosk, broker: dict[str, str], pool: tuple[str, ...]):
    """A success, a raised error and each attempt of a retry are kept when the worker ends warm, and replay."""
    with upstream_server() as upstream:
        variables = {**broker, "UPSTREAM": upstream.url}
        with running(kiosk, *WORKER, *pool, **variables) as worker:
            worker.wait_for("ready.")
            assert kiosk.python("-c", SEND, **variables).returncode == 0
            worker.wait_for("succeeded in", 2)
            worker.wait_for("raised unexpected: ", 2)
            worker.terminate()
        hits = upstream.hits
        suite = kiosk.replay(**{**UNREACHABLE, "UPSTREAM": upstream.url})

    assert (5, 5) == (hits, upstream.hits)
    with redis.Redis.from_url(broker["BACKEND"]) as client:
        assert 3 == len(_results(client, broker["QUEUE"]))  # the worker wrote as if nothing recorded
    names = kiosk.entries()
    assert ["service.charge"] * 3 + ["service.mail", "service.quote", "service.refund"] == names, worker.output
    verdicts = [case.verdict for case in suite.cases.values()]
    assert ["match"] * 2 + ["reproduced"] * 4 == sorted(verdicts), suite.output
    assert {"passed": 2, "failed": 4} == suite.results
