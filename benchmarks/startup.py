"""What importing FluxRun costs: the façade, and the plugin in a pytest that isn't asked for runs.

Run by hand: `python benchmarks/startup.py`. Each figure comes from processes of their own, bytecode cached.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

from measuring import heading, print_row

ROUNDS = 9
_IMPORT = """
import sys, time
before, began = set(sys.modules), time.perf_counter()
import {module}
took = time.perf_counter() - began
print(1000 * took, len([name for name in set(sys.modules) - before if name.startswith("pytest_fluxrun")]))
"""
_INIT = "import {first}\n"


def figures(module: str, first: str = "sys") -> tuple[float, float]:
    """Milliseconds to import a module, and how many of FluxRun's modules that loads; medians."""
    with tempfile.TemporaryDirectory() as bytecode:
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment = {**kept, "PYTHONPYCACHEPREFIX": bytecode}
        code = _INIT.format(first=first) + _IMPORT.format(module=module)
        taken = []
        for _ in range(ROUNDS + 1):
            output = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
            ).stdout
            taken.append(tuple(map(float, output.split())))
    return statistics.median(ms for ms, _ in taken[1:]), statistics.median(count for _, count in taken[1:])


def main() -> None:
    """Print the rows."""
    heading(f"Start-up: wall time in a fresh process, median of {ROUNDS}")
    print_row("import pytest_fluxrun", figures("pytest_fluxrun")[0], "ms", 3)
    took, count = figures("pytest_fluxrun.plugin", first="pytest")
    print_row("the plugin's modules at start, where no runs are asked for", count, "", 10)
    print_row("  importing them, pytest being there", took, "ms")
    print_row("what fluxrun.init imports", figures("pytest_fluxrun.recording.service")[0], "ms")


if __name__ == "__main__":
    main()
