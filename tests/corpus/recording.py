"""Records each service's runs for real, once. Judges nothing."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from tests.corpus import shop_traffic
from tests.scenarios.service import Project, load, recording_server, server

__all__ = ["RECORD"]

_HERE = Path(__file__).parent
_SHOP = _HERE.parents[1] / "examples" / "shop"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.db*", "runs", ".*")


def record_shop(root: Path) -> None:
    """Record the shop, its bug fixed, under uvicorn."""
    shutil.copytree(_SHOP, root, ignore=_LEFT_OUT)
    project = Project(root)
    project.fluxrun("init", "--yes")
    load(root / "fix.py").apply(root)
    with (
        server(project, "payments:app") as payments,
        recording_server(project, "shop.main:app", SHOP_PAYMENTS_URL=payments) as url,
    ):
        surprises = asyncio.run(shop_traffic.drive(url, load(root / "traffic.py")))
    assert surprises == [], "\n".join(surprises)
    _finish(project)


def record_cinema(root: Path) -> None:
    """Record the cinema in a process that is server and client at once."""
    shutil.copytree(_HERE / "cinema", root, ignore=_LEFT_OUT)
    project = Project(root)
    project.fluxrun("init", "--yes")
    settings = {
        "FLUXRUN_STORE": "runs",
        "FLUXRUN_SAMPLE": "1",
        "FLUXRUN_KEEP_4XX": "1",
        "FLUXRUN_TOKEN": project.fluxrun("token").strip(),
    }
    seeded = project.python("traffic.py", "seed", FLUXRUN_DISABLED="1")
    assert seeded.returncode == 0, seeded.stdout
    with server(project, "outside:app") as outside:
        done = project.python("traffic.py", CINEMA_PROVIDER_URL=outside, **settings)
    assert done.returncode == 0, done.stdout
    _finish(project)


RECORD = {"shop": record_shop, "cinema": record_cinema}


def _finish(project: Project) -> None:
    """Delete the database, and guard each run as it was recorded."""
    for database in project.root.glob("*.db*"):
        database.unlink()
    for placed in project.placed():
        project.guard(placed)
