"""Projects that were recorded under uvicorn: once for all workers of a test session, then only copied."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.scenarios import corner_traffic
from tests.scenarios.service import Project, free_port, load, recording_server, server

_HERE = Path(__file__).parent
_SHOP = _HERE.parents[1] / "examples" / "shop"
_SEED = 1
_CORNER_SETTINGS = """\
[tool.fluxrun]
project = "corner"
modules = ["corner_app"]
store = "runs"
"""


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str, Callable[[Path], None]], Path]:
    """Makes a directory once, whichever worker comes first; the others wait for it."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent

    def once(name: str, make: Callable[[Path], None]) -> Path:
        made = shared / name
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                making = shared / f"{name}.making"
                shutil.rmtree(making, ignore_errors=True)
                make(making)
                making.rename(made)
        return made

    return once


@pytest.fixture(scope="session")
def shop(once: Callable[[str, Callable[[Path], None]], Path]) -> Project:
    """The shop after its whole traffic: servers stopped, database deleted, a guard for each run."""
    return Project(once("shop", record_shop))


@pytest.fixture(scope="session")
def failed_shop(once: Callable[[str, Callable[[Path], None]], Path]) -> Project:
    """The shop after two orders that met the bug of old coupons, and a request that went well. No guards."""
    return Project(once("failed_shop", _record_failures))


def _record_failures(root: Path) -> None:
    record_shop(root, "use_old_coupons")
    for guard in (root / "runs").glob("*.guard.toml"):
        guard.unlink()


@pytest.fixture(scope="session")
def corner(once: Callable[[str, Callable[[Path], None]], Path]) -> Project:
    """The corner app, likewise."""
    return Project(once("corner", record_corner))


@pytest.fixture(scope="session")
def traffic() -> ModuleType:
    """The shop's traffic.py."""
    return load(_SHOP / "traffic.py")


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Project], Project]:
    """Copies a project for a test to change."""

    def copied(project: Project) -> Project:
        return Project(Path(shutil.copytree(project.root, tmp_path / project.root.name)))

    return copied


def record_shop(root: Path, *steps: str, **variables: str) -> None:
    """Record the shop in a copy of the example.

    Args:
        root: the directory to make.
        steps: functions of traffic.py; all of them where none is named.
        variables: of the shop's environment.
    """
    shutil.copytree(_SHOP, root, ignore=shutil.ignore_patterns("__pycache__", "*.db*", "runs", ".*"))
    project = Project(root)
    project.fluxrun("init", "--yes")
    drive = load(root / "traffic.py")
    chosen = [getattr(drive, step) for step in steps] or [*drive.EVERYDAY, *drive.FAILING]
    with (
        server(project, "payments:app") as payments,
        recording_server(project, "shop.main:app", SHOP_PAYMENTS_URL=payments, **variables) as url,
    ):
        sent = asyncio.run(drive.drive(url, _SEED, chosen))
    assert sent.surprises == []
    (root / "payments.url").write_text(payments)
    _take_away(project)


def record_corner(root: Path) -> None:
    """Record the corner app."""
    root.mkdir()
    for name in ("app", "calls", "rows", "streams", "upstream"):
        shutil.copy(_HERE / f"corner_{name}.py", root)
    (root / "pyproject.toml").write_text(_CORNER_SETTINGS)
    project = Project(root)
    project.fluxrun("init", "--yes")
    nobody = f"http://127.0.0.1:{free_port()}"
    with (
        server(project, "corner_upstream:app") as upstream,
        recording_server(project, "corner_app:app", UPSTREAM=upstream, NOBODY=nobody) as url,
    ):
        surprises = asyncio.run(corner_traffic.drive(url))
    assert surprises == []
    (root / "upstream.url").write_text(upstream)
    _take_away(project)


def _take_away(project: Project) -> None:
    for database in project.root.glob("*.db*"):
        database.unlink()
    for placed in project.placed():
        project.guard(placed)
