"""Dramatiq under its real worker: recorded, sealed, and replayed by pytest with no Redis in reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.entries.workers import redis_database, running
from tests.plugin.kiosk import Kiosk, upstream_server
from tests.plugin.recorded import new_kiosk

pytestmark = pytest.mark.service

SERVICE = '''\
"""Actors: one that works, one that fails, one that is retried until it gives up, one that takes too long."""

import datetime
import os
import time
import uuid

import dramatiq
import httpx
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, CurrentMessage, Retries, TimeLimit, TimeLimitExceeded

import pytest_fluxrun as fluxrun

fluxrun.init(project="kiosk")
broker = fluxrun.instrument(
    RedisBroker(
        url=os.environ.get("BROKER", "redis://127.0.0.1:1"),
        middleware=[AsyncIO(), CurrentMessage(), Retries(min_backoff=10, max_backoff=10), TimeLimit(interval=100)],
    )
)
dramatiq.set_broker(broker)


def rate():
    """Ask the upstream server for the rate."""
    return httpx.get(os.environ["UPSTREAM"] + "/rate").json()["rate"]


@dramatiq.actor
def quote(amount):
    """Give a price."""
    message = CurrentMessage.get_current_message()
    at = datetime.datetime.now().isoformat()
    return {"price": amount * rate(), "id": uuid.uuid4().hex, "at": at, "message": message.message_id}


@dramatiq.actor(max_retries=0)
async def refund(amount):
    """Fail for seven."""
    async with httpx.AsyncClient() as client:
        current = (await client.get(os.environ["UPSTREAM"] + "/rate")).json()["rate"]
    if amount == 7:
        raise ValueError(f"can't refund {amount} at {current}")


@dramatiq.actor(max_retries=2)
def charge(amount):
    """Fail as often as it is tried."""
    raise ConnectionError(f"try {CurrentMessage.get_current_message().options.get('retries', 0)} at {rate()}")


@dramatiq.actor(time_limit=500, max_retries=0)
def wait(amount):
    """Take longer than it may, and say how it ended."""
    try:
        for _ in range(600):
            time.sleep(0.05)
    except TimeLimitExceeded:
        print("given up", flush=True)
        return f"{amount} given up"
'''
SEND = "import service; service.quote.send(3); service.refund.send(7); service.charge.send(1); service.wait.send(1)"


@pytest.fixture
def broker(redis_port: int) -> Iterator[str]:
    """A database of its own."""
    with redis_database(redis_port, 12) as url:
        yield url


@pytest.fixture
def kiosk(tmp_path: Path) -> Kiosk:
    return new_kiosk(tmp_path, service=SERVICE)


def test_messages_of_a_worker_replay_with_no_redis(kiosk: Kiosk, broker: str):
    """A success, a raised error, each attempt of a retry and a time limit are kept when the worker ends, and replay."""
    with upstream_server() as upstream:
        variables = {"BROKER": broker, "UPSTREAM": upstream.url}
        command = ("-m", "dramatiq", "service", "--processes", "1", "--threads", "2")
        with running(kiosk, *command, **variables) as worker:
            assert kiosk.python("-c", SEND, **variables).returncode == 0
            worker.wait_for("Retries exceeded for message", 2)
            worker.wait_for("given up")
            worker.wait_for("Actor 'quote' returned a value")
            worker.terminate()
        hits = upstream.hits
        suite = kiosk.replay(UPSTREAM=upstream.url)

    assert (5, 5) == (hits, upstream.hits)
    assert ["charge"] * 3 + ["quote", "refund", "wait"] == kiosk.entries(), worker.output
    verdicts = [case.verdict for case in suite.cases.values()]
    assert ["match"] * 2 + ["reproduced"] * 4 == sorted(verdicts), suite.output
