"""What `fluxrun check` finds about this machine: clock, versions, the C extension, the hash seed, boundaries."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from pytest_fluxrun import __version__
from pytest_fluxrun.bundle import read_index
from pytest_fluxrun.cli.findings import Finding, fail, ok, warn
from pytest_fluxrun.cli.project import Project
from pytest_fluxrun.errors import BundleError
from pytest_fluxrun.judgement.corpus import scan
from pytest_fluxrun.registry import declared_boundaries, declared_versions

__all__ = ["check_machine"]

_NOT_BEFORE: Final = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
_SKEW_S: Final = 300.0
_RECORDING: Final = ("pydantic", "orjson", "cryptography", "wrapt", "click", "rich")
_REPLAYING: Final = ("pytest", "respx", "time-machine")


def check_machine(project: Project) -> Iterator[Finding]:
    """Everything that doesn't depend on the app."""
    yield _clock(project)
    yield from _versions()
    yield _extension(project)
    yield _hash_seed()
    yield from _boundaries()
    yield from _drivers()


def _clock(project: Project) -> Finding:
    """Whether the wall clock is plausible: not before this FluxRun, and not behind the runs that are here."""
    now = time.time()
    shown = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if now < _NOT_BEFORE:
        return fail("clock", f"it says {shown}, which is before FluxRun was made", "set the clock (NTP)")
    newest = max(_started(project), default=0.0)
    if newest > now + _SKEW_S:
        ahead = f"a run in the run directory began {newest - now:.0f} s after now ({shown})"
        return warn("clock", ahead, "compare this clock with that of the machine that records")
    return ok("clock", shown)


def _started(project: Project) -> Iterator[float]:
    for directory in filter(Path.is_dir, project.directories):
        for placed in scan(directory)[-50:]:
            try:
                yield read_index(placed.bundle).started_at_unix_ns / 1e9
            except BundleError:
                continue


def _versions() -> Iterator[Finding]:
    found = ", ".join(f"{name} {_version(name) or 'missing'}" for name in _RECORDING)
    yield ok("versions", f"fluxrun {__version__}, python {platform.python_version()}, {found}")
    missing = [name for name in _REPLAYING if not _version(name)]
    if missing:
        yield warn(
            "versions",
            f"{', '.join(missing)} not installed: this environment records and doesn't replay",
            "fine where the app runs; elsewhere `pip install pytest-fluxrun`",
        )
    else:
        yield ok("versions", ", ".join(f"{name} {_version(name)}" for name in _REPLAYING))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _extension(project: Project) -> Finding:
    if project.settings.pure:
        return warn(
            "reads",
            "the setting pure keeps the C extension out: reads through copies (`from time import time`) may be missed",
            "unset FLUXRUN_PURE",
        )
    if find_spec("pytest_fluxrun._ambient") is None:
        return warn(
            "reads",
            "the C extension isn't built: reads through copies such as `from time import time` may be missed",
            "install a C compiler and reinstall pytest-fluxrun",
        )
    return ok("reads", "the C extension is there")


def _hash_seed() -> Finding:
    seed = os.environ.get("PYTHONHASHSEED", "")
    if seed.isdecimal():
        return ok("hash seed", f"PYTHONHASHSEED={seed}; use the same where the app runs")
    return warn(
        "hash seed",
        "PYTHONHASHSEED isn't set: an answer that depends on the order of a set may differ between processes",
        "set PYTHONHASHSEED=0 where the app runs and where its runs are replayed",
    )


def _boundaries() -> Iterator[Finding]:
    """Which boundaries FluxRun has, by whether their library is installed here."""
    present: list[str] = []
    absent: list[str] = []
    for name, modules in declared_boundaries().items():
        (present if not modules or any(map(_importable, modules)) else absent).append(name)
    left_out = f"; library not installed: {', '.join(absent)}" if absent else ""
    yield ok("boundaries", f"{', '.join(present)}{left_out}")


def _drivers() -> Iterator[Finding]:
    """Versions of the libraries in whose insides boundaries reach, and which of them FluxRun wasn't tested with."""
    tested = []
    for distribution, here, untested in declared_versions():
        if untested:
            step = f"prove a run with it (`fluxrun expect RUN`), or install a tested {distribution}"
            yield warn("drivers", untested, step)
        else:
            tested.append(f"{distribution} {here}")
    if tested:
        yield ok("drivers", ", ".join(tested))


def _importable(module: str) -> bool:
    try:
        return find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False
