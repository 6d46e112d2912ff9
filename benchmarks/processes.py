"""pytest in a process of its own, and what it took: time, memory. Bytecode is cached outside the tree."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Took", "median", "pytest"]


@dataclass(frozen=True, slots=True)
class Took:
    """One process: seconds of wall and CPU time, MiB at its largest, and what it printed."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    output: str


def pytest(directory: Path, *arguments: str, plugin: str, environment: dict[str, str], fails: bool = False) -> Took:
    """Run pytest with one plugin and no other that happens to be installed.

    Args:
        plugin: its module, or "" for none.
        fails: whether it must not end with 0.
    """
    own = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPYCACHEPREFIX": str(directory / "bytecode"), **environment}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    options = ["-p", plugin] if plugin else []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, *arguments]
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=directory, env=kept | own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - began
    assert fails == bool(process.returncode), output[-3000:]
    return Took(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


def median(took: Sequence[Took]) -> Took:
    """Each figure's median."""
    return Took(
        statistics.median(one.wall_s for one in took),
        statistics.median(one.cpu_s for one in took),
        statistics.median(one.peak_mib for one in took),
        took[-1].output,
    )
