"""Test-wide fixtures: no test sees the developer's own keys, settings or environment."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_fluxrun.testing.live_hits import LIVE_HITS
from tests.report.browser import Browser, chromium, missing_programs

pytest_plugins = ["pytester", "tests.compatibility"]

_IN_CI = bool(os.environ.get("CI"))
"""As it was before any test: `_own_environment` takes the variable away."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How often the replays of all tests reached a server or a file that stood there to count them."""
    reports = (report for some in terminalreporter.stats.values() for report in some)
    hits = [
        value
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == LIVE_HITS
    ]
    if hits:
        terminalreporter.write_line(f"live hits: {sum(hits)} in {len(hits)} counted replays")


def require_server(name: str, port: int) -> None:
    """Skip the test where a server isn't running on this machine; in CI that is a failure."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError as error:
        message = f"needs {name} on 127.0.0.1:{port}: {error}"
        if _IN_CI:
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="session")
def redis_port() -> int:
    """Of a Redis on this machine; use a database or key prefix of your own."""
    require_server("Redis", 6379)
    return 6379


@pytest.fixture(scope="session")
def rabbitmq_port() -> int:
    """Of a RabbitMQ on this machine, guest/guest; use queue names of your own."""
    require_server("RabbitMQ", 5672)
    return 5672


POSTGRES_DATABASE = f"fluxrun_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
"""Of each worker of a parallel test run its own: fixed names of tables don't get in each other's way."""


@pytest.fixture(scope="session")
def postgres_port() -> int:
    """Of a PostgreSQL on this machine, user postgres without a password, with a database POSTGRES_DATABASE."""
    import psycopg

    require_server("PostgreSQL", 5432)
    with psycopg.connect("postgresql://postgres@127.0.0.1:5432/postgres", autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (POSTGRES_DATABASE,)).fetchone()
        if known is None:
            connection.execute(f"CREATE DATABASE {POSTGRES_DATABASE} TEMPLATE template0")
    return 5432


@pytest.fixture(scope="session")
def mariadb_port() -> int:
    """Of a MariaDB on this machine, root without a password; database test, use table names of your own."""
    require_server("MariaDB", 3306)
    return 3306


@pytest.fixture(scope="session")
def nats_port() -> int:
    """Of a NATS with JetStream on this machine; use subjects of your own."""
    require_server("NATS", 4222)
    return 4222


@pytest.fixture(scope="session")
def mosquitto_port() -> int:
    """Of a Mosquitto on this machine; use topics of your own."""
    require_server("Mosquitto", 1883)
    return 1883


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium on this machine; in CI it is there."""
    missing = missing_programs()
    if missing:
        message = f"needs {' and '.join(missing)} (Debian: apt-get install chromium chromium-driver)"
        if _IN_CI:
            pytest.fail(message)
        pytest.skip(message)
    with chromium() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A configuration directory of its own, and no FLUXRUN_* variable, for every test.

    Nor CI, where pytest prints whole texts in its summary: tests read what a developer sees.
    """
    home: Path = tmp_path_factory.getbasetemp() / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    for name in [name for name in os.environ if name.startswith("FLUXRUN_") and name != "FLUXRUN_PURE"]:
        monkeypatch.delenv(name)
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
