"""What the freight desk needs around it, for one recording: a database, Redis, a broker, mails, each behind a port."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import kombu
import psycopg
import redis
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from argon2 import PasswordHasher
from psycopg import sql

from tests.boundaries.forwarded import Forwarded
from tests.entries.workers import redis_database
from tests.scenarios.freight_traffic import named
from tests.scenarios.service import Project, free_port

__all__ = ["PASSWORD", "Mailbox", "services", "unreachable", "worker"]

PASSWORD = "lighthouse-4711"
"""Of every user."""
_REDIS_DATABASE = 13
_WAIT_S = 60
_WORKER = ("-m", "celery", "-A", "freight.tasks", "worker", "-P", "solo", "-l", "INFO")


class Mailbox(Message):
    """Keeps what was mailed."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[tuple[str, str]] = []

    def handle_message(self, message: object) -> None:
        self.mails.append((message["To"], message["Subject"]))  # type: ignore[index]


@contextmanager
def services(project: Project, upstream: str) -> Iterator[tuple[dict[str, str], Mailbox, list[int]]]:
    """Gives the desk's variables, the mails, and the ports; at the end nothing of it is left."""
    name = f"freight_{secrets.token_hex(5)}"
    with ExitStack() as stack:
        stack.enter_context(_database(project, name, upstream))
        url = stack.enter_context(redis_database(6379, _REDIS_DATABASE))
        _remember(url, name)
        stack.enter_context(_queue(name))
        mailbox = Mailbox()
        smtp = Controller(mailbox, hostname="127.0.0.1", port=free_port())
        smtp.start()
        stack.callback(smtp.stop, no_assert=True)
        behind = [Forwarded(port) for port in (5432, 6379, 5672, smtp.port)]
        for one in behind:
            stack.callback(one.take_away)
        postgres, cache, broker, mail = (one.port for one in behind)
        yield (
            {
                "FREIGHT_DATABASE_PORT": str(postgres),
                "FREIGHT_DATABASE_NAME": name,
                "FREIGHT_DATABASE_PASSWORD": "never-checked-but-secret",
                "FREIGHT_REDIS_URL": f"redis://127.0.0.1:{cache}/{_REDIS_DATABASE}",
                "FREIGHT_REDIS_PREFIX": name,
                "FREIGHT_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{broker}//",
                "FREIGHT_TASK_QUEUE": name,
                "FREIGHT_SMTP_PORT": str(mail),
                "FREIGHT_CARRIER_URL": upstream,
                "FREIGHT_COOKIE_SECRET": "c3f1a9-cookie-signing-5b7d",
                "FREIGHT_WEBHOOK_SECRET": "whsec_9d41c0a7-carriers",
            },
            mailbox,
            [one.port for one in behind],
        )


def unreachable() -> dict[str, str]:
    """The same addresses where nobody listens, and other secrets."""
    return {
        "FREIGHT_DATABASE_PORT": str(free_port()),
        "FREIGHT_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "FREIGHT_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{free_port()}//",
        "FREIGHT_SMTP_PORT": str(free_port()),
        "FREIGHT_CARRIER_URL": f"http://127.0.0.1:{free_port()}",
        "FREIGHT_COOKIE_SECRET": "another",
        "FREIGHT_WEBHOOK_SECRET": "another",
    }


@contextmanager
def worker(project: Project, **variables: str) -> Iterator[Worker]:
    """A Celery worker of the project, which ends warm."""
    started = Worker(project, variables)
    try:
        started.wait_for("ready.")
        yield started
        started.process.send_signal(signal.SIGTERM)
        started.process.wait(_WAIT_S)
    finally:
        if started.process.poll() is None:
            os.killpg(started.process.pid, signal.SIGKILL)
            started.process.wait(_WAIT_S)


class Worker:
    """Its process, its output in a file."""

    def __init__(self, project: Project, variables: dict[str, str]) -> None:
        self.log = project.root / "worker.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *_WORKER, "--without-gossip", "--without-mingle", "--without-heartbeat"],
                cwd=project.root,
                env=project.environment(**variables),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, text: str, count: int = 1) -> None:
        """Until its output holds a text so many times."""
        end = time.monotonic() + _WAIT_S
        while (output := self.log.read_text(errors="replace")).count(text) < count:
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{text!r} didn't come {count} times:\n{output}")
            time.sleep(0.02)


@contextmanager
def _database(project: Project, name: str, upstream: str) -> Iterator[None]:
    """A database of the project's migrations and seed, dropped at the end."""
    administrator = "host=127.0.0.1 user=postgres dbname=postgres"
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        with psycopg.connect(f"host=127.0.0.1 user=postgres dbname={name}", autocommit=True) as connection:
            for path in sorted((project.root / "migrations").glob("*.sql")):
                connection.execute(path.read_bytes())
            seed = (project.root / "seed.sql").read_text()
            connection.execute(seed.replace("$PASSWORD", _hash()).replace("$HOOKS", upstream).encode())
        yield
    finally:
        with psycopg.connect(administrator, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _hash() -> str:
    return PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)


def _remember(url: str, prefix: str) -> None:
    """What an older release of the desk left in the cache: preferences without units."""
    with redis.Redis.from_url(url) as client:
        client.set(f"{prefix}:preferences:{named('clara@desk.example')}", '{"language": "en", "digest": true}')


@contextmanager
def _queue(name: str) -> Iterator[None]:
    yield
    with kombu.Connection("amqp://guest:guest@127.0.0.1:5672//") as connection:
        connection.channel().queue_delete(name)
        connection.channel().exchange_delete(name)


@contextmanager
def development(project: Project, upstream: str) -> Iterator[dict[str, str]]:
    """Variables of a development environment, for `fluxrun extend`: the seed's data in a database of its own."""
    name = f"freight_{secrets.token_hex(5)}"
    with _database(project, name, upstream), redis_database(6379, _REDIS_DATABASE) as cache:
        yield {"DEV_POSTGRES": f"postgresql://postgres@127.0.0.1:5432/{name}", "DEV_REDIS": cache, "DEV_HTTP": upstream}
