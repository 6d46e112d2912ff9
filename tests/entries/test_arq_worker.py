"""arq under its real worker: recorded, sealed, and replayed by pytest with no Redis in reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.entries.workers import redis_database, running
from tests.plugin.kiosk import Kiosk, upstream_server
from tests.plugin.recorded import new_kiosk

pytestmark = pytest.mark.service

SERVICE = '''\
"""Jobs: one that works, one that fails, one that is retried until it gives up, one that takes too long, a cron job."""

import asyncio
import datetime
import os
import uuid

import arq
import httpx
from arq.connections import RedisSettings

import pytest_fluxrun as fluxrun

fluxrun.init(project="kiosk")


async def start(ctx):
    ctx["client"] = httpx.AsyncClient(base_url=os.environ["UPSTREAM"])


async def stop(ctx):
    await ctx["client"].aclose()


async def begin(ctx):
    ctx["rate"] = (await ctx["client"].get("/rate")).json()["rate"]


async def quote(ctx, amount):
    """Give a price."""
    at = datetime.datetime.now().isoformat()
    return {"price": amount * ctx["rate"], "id": uuid.uuid4().hex, "at": at, "job": ctx["job_id"]}


async def refund(ctx, amount):
    """Fail for seven."""
    if amount == 7:
        raise ValueError(f"can't refund {amount} at {ctx['rate']}")


async def charge(ctx, amount):
    """Fail as often as it is tried."""
    if ctx["job_try"] < 3:
        raise arq.Retry(defer=0)
    raise ConnectionError(f"try {ctx['job_try']} at {ctx['rate']}")


async def wait(ctx, amount):
    """Take longer than it may."""
    await asyncio.sleep(30)


async def nightly(ctx):
    """Run by the clock."""
    return ctx["enqueue_time"].isoformat()


@fluxrun.instrument
class WorkerSettings:
    functions = [quote, refund, charge, arq.func(wait, timeout=0.5)]
    cron_jobs = [arq.cron(nightly, run_at_startup=True, hour=3)]
    redis_settings = RedisSettings.from_dsn(os.environ.get("BROKER", "redis://127.0.0.1:1"))
    on_startup = start
    on_shutdown = stop
    on_job_start = begin
    poll_delay = 0.05
'''
SEND = """\
import asyncio, arq, service
async def send():
    queue = await arq.create_pool(service.WorkerSettings.redis_settings)
    await queue.enqueue_job("quote", 3)
    await queue.enqueue_job("refund", amount=7)
    await queue.enqueue_job("charge", 1)
    await queue.enqueue_job("wait", 1)
    await queue.aclose()
asyncio.run(send())
"""


@pytest.fixture
def broker(redis_port: int) -> Iterator[str]:
    """A database of its own."""
    with redis_database(redis_port, 13) as url:
        yield url


@pytest.fixture
def kiosk(tmp_path: Path) -> Kiosk:
    return new_kiosk(tmp_path, service=SERVICE)


def test_jobs_of_a_worker_replay_with_no_redis(kiosk: Kiosk, broker: str):
    """A success, an error, each attempt of a retry, a time-out and a cron job are kept at the end, and replay."""
    with upstream_server() as upstream:
        variables = {"BROKER": broker, "UPSTREAM": upstream.url}
        done = kiosk.python("-c", SEND, **variables)
        assert done.returncode == 0, done.stdout
        with running(kiosk, "-m", "arq", "service.WorkerSettings", **variables) as worker:
            worker.wait_for(" failed, ", 3)
            worker.wait_for("cron:nightly ●")
            worker.wait_for(":quote ●")
            worker.terminate()
        hits = upstream.hits
        suite = kiosk.replay(UPSTREAM=upstream.url)

    assert (7, 7) == (hits, upstream.hits)
    assert ["charge"] * 3 + ["cron_nightly", "quote", "refund", "wait"] == kiosk.entries(), worker.output
    verdicts = [case.verdict for case in suite.cases.values()]
    assert ["match"] * 2 + ["reproduced"] * 5 == sorted(verdicts), suite.output
