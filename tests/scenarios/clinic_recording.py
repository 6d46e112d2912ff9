"""The clinic, recorded: a database of its own, a web server, a worker, and proxies between them and every server."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import celery
import psycopg
import redis

from tests.boundaries.forwarded import Forwarded
from tests.entries.workers import redis_database
from tests.scenarios import clinic_outside, clinic_traffic
from tests.scenarios.service import Project, server

_HERE = Path(__file__).parent
_REDIS_DATABASE = 9
_DEVELOPMENT_DATABASE = 11
_STOP_S = 30
_PATIENCE_S = 30
_ROUNDS = 4
"""A chord's body comes after its header, which comes after the task that starts it; a task may be tried again."""
_GUNICORN = (
    "gunicorn", "{application}", "--bind", "127.0.0.1:{port}", "--threads", "4", "--worker-class", "gthread",
    "--log-level", "warning", "--worker-tmp-dir", "/dev/shm",
)  # fmt: skip
_WORKER = (
    "celery", "-A", "config", "worker", "--pool", "solo", "--loglevel", "warning", "--without-gossip",
    "--without-mingle", "--without-heartbeat",
)  # fmt: skip
_SETTINGS = """\
[tool.fluxrun]
project = "clinic"
modules = ["config.wsgi", "config.celery"]
store = "runs"
"""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the clinic finds what it needs, as its environment says it."""

    name: str
    postgres: int
    redis: int
    rabbitmq: int
    smtp: int
    upstream: str

    @property
    def variables(self) -> dict[str, str]:
        return {
            "CLINIC_DB_NAME": self.name,
            "CLINIC_DB_PORT": str(self.postgres),
            "CLINIC_REDIS_URL": f"redis://127.0.0.1:{self.redis}/{_REDIS_DATABASE}",
            "CLINIC_KEY_PREFIX": self.name,
            "CLINIC_AMQP_URL": f"amqp://guest:guest@127.0.0.1:{self.rabbitmq}//",
            "CLINIC_QUEUE": self.name,
            "CLINIC_SMTP_PORT": str(self.smtp),
            "CLINIC_BLOB_URL": f"{self.upstream}/blobs",
            "CLINIC_SECRET_KEY": "django-key-3f8Kq0Zt7YwB1nR5",
        }


def make_project(root: Path) -> Project:
    """A copy of the clinic with keys of its own."""
    shutil.copytree(_HERE / "clinic", root, ignore=shutil.ignore_patterns("__pycache__", "ruff.toml"))
    (root / "pyproject.toml").write_text(_SETTINGS)
    project = Project(root)
    project.fluxrun("init", "--yes")
    return project


def record_clinic(root: Path, *, postgres: int, redis: int, rabbitmq: int, **variables: str) -> None:
    """Drive all of the traffic through a clinic in `root`, which keeps every run.

    Args:
        root: the directory to make.
        postgres: the port of the server, as of the others.
        variables: of the clinic's environment.
    """
    project = make_project(root)
    settings = {"FLUXRUN_STORE": "runs", "FLUXRUN_SAMPLE": "1", "FLUXRUN_KEEP_4XX": "1"}
    settings["FLUXRUN_TOKEN"] = project.fluxrun("token").strip()
    with ExitStack() as stack:
        name = stack.enter_context(_names(postgres, redis, rabbitmq))
        upstream = stack.enter_context(clinic_outside.upstream())
        mails, smtp = stack.enter_context(clinic_outside.mail_server())
        proxies = [stack.enter_context(closing(Forwarded(port))) for port in (postgres, redis, rabbitmq, smtp)]
        at = Addresses(name, *(proxy.port for proxy in proxies), upstream.url)
        environment = settings | at.variables | variables
        _prepare(project, at.variables, upstream.url)
        stack.enter_context(_worker(project, environment))
        url = stack.enter_context(server(project, "config.wsgi:application", command=_GUNICORN, **environment))
        traffic = clinic_traffic.Traffic(url, _settling(at), lambda: mails.mails)
        clinic_traffic.drive(traffic)
    assert traffic.surprises == [], "\n".join(traffic.surprises)
    (root / "addresses.json").write_text(json.dumps({"variables": at.variables, "upstream": upstream.url}))
    (root / "live.json").write_text(json.dumps({"requests": traffic.sent, "mails": len(mails.mails)}))


@contextmanager
def development(project: Project, *, postgres: int, redis: int) -> Iterator[dict[str, str]]:
    """Variables of a development environment, for `fluxrun extend`: what is seeded, and an upstream of its own."""
    url = f"postgresql://postgres@127.0.0.1:{postgres}"
    with ExitStack() as stack:
        upstream = stack.enter_context(clinic_outside.upstream())
        name = f"clinic_dev_{secrets.token_hex(4)}"
        stack.enter_context(_database(postgres, name))
        cache = stack.enter_context(redis_database(redis, _DEVELOPMENT_DATABASE))
        addresses = Addresses(name, postgres, redis, rabbitmq=0, smtp=0, upstream=upstream.url)
        _prepare(project, addresses.variables | {"CLINIC_REDIS_URL": cache}, upstream.url)
        yield {"DEV_POSTGRES": f"{url}/{name}", "DEV_REDIS": cache, "DEV_HTTP": upstream.url}


def _prepare(project: Project, variables: dict[str, str], upstream: str) -> None:
    seed = ("seed", "--upstream", upstream, "--password", clinic_traffic.PASSWORD, "--key", clinic_traffic.KEY)
    for command in (("migrate", "--verbosity", "0"), (*seed, "--secret", clinic_traffic.SECRET)):
        done = project.python("manage.py", *command, FLUXRUN_DISABLED="1", **variables)
        assert done.returncode == 0, done.stdout


@contextmanager
def _names(postgres: int, redis_port: int, rabbitmq: int) -> Iterator[str]:
    """A name for a database, a queue and a prefix of keys; what bears it is gone after the block."""
    name = f"clinic_{secrets.token_hex(4)}"
    with _database(postgres, name):
        try:
            yield name
        finally:
            with redis.Redis(port=redis_port, db=_REDIS_DATABASE) as client:
                for key in client.scan_iter(f"{name}:*", count=1000):
                    client.delete(key)
            with celery.Celery(broker=f"amqp://guest:guest@127.0.0.1:{rabbitmq}//").connection() as broker:
                broker.default_channel.queue_delete(name)


@contextmanager
def _database(postgres: int, name: str) -> Iterator[None]:
    with psycopg.connect(f"host=127.0.0.1 port={postgres} user=postgres dbname=postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _worker(project: Project, environment: dict[str, str]) -> Iterator[None]:
    log = project.root / "worker.log"
    with log.open("w") as log_file:
        process = subprocess.Popen(
            [sys.executable, "-m", *_WORKER, "--queues", environment["CLINIC_QUEUE"]],
            cwd=project.root,
            env=project.environment(**environment),
            stdout=log_file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _settling(at: Addresses) -> Callable[..., None]:
    """Waits until the one worker has done these tasks, and what is in its queue."""
    variables = at.variables
    client: Any = celery.Celery(
        "driver", broker=variables["CLINIC_AMQP_URL"], backend=variables["CLINIC_REDIS_URL"], set_as_current=False
    )

    def settle(*tasks: str) -> None:
        for task in tasks:
            client.AsyncResult(task).get(timeout=_PATIENCE_S, propagate=False)
        for number in range(_ROUNDS):
            result = client.send_task("booking.tasks.ping", (number,), queue=at.name)
            assert number == result.get(timeout=_PATIENCE_S)

    return settle
