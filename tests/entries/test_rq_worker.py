"""RQ under its real workers: recorded, sealed, and replayed by pytest with no Redis in reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.entries.workers import redis_database, running
from tests.plugin.kiosk import Kiosk, upstream_server
from tests.plugin.recorded import new_kiosk

pytestmark = pytest.mark.service

SERVICE = '''\
"""Jobs: one that works, one that fails, one that is retried until it gives up, one that nobody captured."""

import datetime
import os
import time
import uuid

import httpx
import rq

import pytest_fluxrun as fluxrun

fluxrun.init(project="kiosk")


@fluxrun.instrument
class Worker(rq.Worker):
    """Forks for each job."""


@fluxrun.instrument
class Spawning(rq.worker.SpawnWorker):
    """Starts a new interpreter for each job."""


@fluxrun.instrument
class InProcess(rq.SimpleWorker):
    """Doesn't."""


def rate():
    """Ask the upstream server for the rate."""
    return httpx.get(os.environ["UPSTREAM"] + "/rate").json()["rate"]


@fluxrun.capture("quote")
def quote(amount):
    """Give a price."""
    job = rq.get_current_job()
    at = datetime.datetime.now().isoformat()
    return {"price": amount * rate(), "id": uuid.uuid4().hex, "at": at, "job": job.id, "meta": job.meta["why"]}


@fluxrun.capture("refund")
async def refund(amount):
    """Fail for seven."""
    current = rate()
    if amount == 7:
        raise ValueError(f"can't refund {amount} at {current}")


@fluxrun.capture("charge")
def charge(amount):
    """Fail as often as it is tried."""
    raise ConnectionError(f"{rq.get_current_job().retries_left} left, at {rate()}")


@fluxrun.capture("wait")
def wait(amount):
    """Take longer than it may, twice."""
    try:
        time.sleep(30)
    except rq.timeouts.JobTimeoutException as error:
        return f"{amount}: {error}"


def plain():
    """Nobody captured it."""
'''
SEND = """\
import os, redis, rq, service
queue = rq.Queue(connection=redis.Redis.from_url(os.environ["BROKER"]))
queue.enqueue(service.quote, 3, meta={"why": "test"})
queue.enqueue(service.refund, amount=7)
queue.enqueue(service.charge, 1, retry=rq.Retry(max=2))
queue.enqueue(service.wait, 1, job_timeout=1)
queue.enqueue(service.plain)
"""


@pytest.fixture
def broker(redis_port: int) -> Iterator[str]:
    """A database of its own."""
    with redis_database(redis_port, 11) as url:
        yield url


@pytest.fixture
def kiosk(tmp_path: Path) -> Kiosk:
    return new_kiosk(tmp_path, service=SERVICE)


@pytest.mark.parametrize(("worker_class", "burst"), [("Worker", False), ("Spawning", True), ("InProcess", True)])
def test_jobs_of_a_worker_replay_with_no_redis(kiosk: Kiosk, broker: str, worker_class: str, burst: bool):
    """A success, a raised error, each attempt of a retry and a time-out are kept and replay; a bare job is named."""
    command = ("-m", "rq.cli", "worker", "-w", f"service.{worker_class}", "-u", broker, *(["--burst"] if burst else []))
    with upstream_server() as upstream:
        variables = {"BROKER": broker, "UPSTREAM": upstream.url}
        assert kiosk.python("-c", SEND, **variables).returncode == 0
        with running(kiosk, *command, **variables) as worker:
            if burst:
                worker.wait()
            else:
                worker.wait_for("Job OK", 3)
                worker.wait_for("ConnectionError: 0 left")
                worker.terminate()
        hits = upstream.hits
        suite = kiosk.replay(UPSTREAM=upstream.url)

    assert (5, 5) == (hits, upstream.hits)
    assert ["charge"] * 3 + ["quote", "refund", "wait"] == kiosk.entries(), worker.output
    assert 1 == worker.output.count("FluxRun doesn't record the job service.plain")
    verdicts = [case.verdict for case in suite.cases.values()]
    assert ["match"] * 2 + ["reproduced"] * 4 == sorted(verdicts), suite.output
