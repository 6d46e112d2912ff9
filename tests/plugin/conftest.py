"""The kiosk: recorded once for real in a session, copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.plugin.forking import Forking
from tests.plugin.kiosk import RECORD, SERVICE, Kiosk, Upstream, upstream_server
from tests.plugin.orders import copied, recorded_orders
from tests.plugin.recorded import new_kiosk


@pytest.fixture(scope="session")
def recorded_kiosk(tmp_path_factory: pytest.TempPathFactory) -> Kiosk:
    """The project as it was recorded; tests take a copy."""
    kiosk = new_kiosk(tmp_path_factory.mktemp("recorded"), service=SERVICE)
    with upstream_server() as upstream:
        done = kiosk.python("-c", RECORD, UPSTREAM=upstream.url, **kiosk.recording)
    assert done.returncode == 0, done.stdout
    (kiosk.root / "kiosk.db").unlink()
    assert len(kiosk.bundles()) == 5, done.stdout
    return replace(kiosk, port=upstream.server.server_port)


@pytest.fixture(scope="session")
def forking(recorded_kiosk: Kiosk) -> Iterator[Forking]:
    """Sessions of pytest for the price of a fork."""
    with Forking(recorded_kiosk) as process:
        yield process


@pytest.fixture
def kiosk(recorded_kiosk: Kiosk, forking: Forking, tmp_path: Path) -> Kiosk:
    """A copy of the recorded project, whose sessions of pytest cost a fork."""
    shutil.copytree(recorded_kiosk.root.parent, tmp_path / "home")
    return replace(recorded_kiosk, root=tmp_path / "home" / "kiosk", sessions=forking.session)


@pytest.fixture
def upstream(recorded_kiosk: Kiosk) -> Iterator[Upstream]:
    """The upstream server, live at the recorded address; a replay must never reach it."""
    with upstream_server(recorded_kiosk.port) as server:
        yield server


@pytest.fixture(scope="session")
def guarded_orders(tmp_path_factory: pytest.TempPathFactory) -> Kiosk:
    """The service of orders as it was recorded, a guard beside each run; tests take a copy."""
    return recorded_orders(tmp_path_factory.mktemp("recorded"), guarded=True)


@pytest.fixture
def orders(guarded_orders: Kiosk, tmp_path: Path) -> Kiosk:
    """A copy of the recorded project."""
    return copied(guarded_orders, tmp_path)
