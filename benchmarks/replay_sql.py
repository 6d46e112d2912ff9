"""What replaying a run of 50 SQL statements costs an item, by driver: the session of N minus the session of one.

Run by hand, with a PostgreSQL on this machine: `python benchmarks/replay_sql.py [DRIVER ...]`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from driving import project
from measuring import heading, print_row
from processes import Took, median, pytest

RUNS, ROUNDS, BAR_MS = 100, 5, 10.0
ADDRESS = "postgresql://postgres@127.0.0.1:5432/test"
GONE = "postgresql://postgres@127.0.0.1:1/test"
PLUGIN = "pytest_fluxrun.plugin"
_RECORD = """\
import sys
import pytest_fluxrun as fluxrun
fluxrun.init(project="bench", sample=1.0, max_pending_runs=100_000, max_pending_bytes=1 << 30)
import statements_app
for number in range(int(sys.argv[1])):
    statements_app.listed(number)
assert fluxrun.flush(120)
"""


def main(drivers: list[str]) -> None:
    """Record, and replay with nothing at the database's address."""
    heading(
        f"Replay of 50 statements of 10 rows, ms of CPU for an item: (session of N - one) / (N - 1), {ROUNDS} in turn"
    )
    for driver in drivers:
        with tempfile.TemporaryDirectory() as name:
            _measure(driver, Path(name))


def _measure(driver: str, directory: Path) -> None:
    environment = {**project(directory), "BENCH_DRIVER": driver}
    settings = directory / "pyproject.toml"
    settings.write_text(settings.read_text().replace("shop_front", "statements_app"))
    recording = {**os.environ, **environment, "BENCH_DATABASE": ADDRESS, "FLUXRUN_STORE": "runs"}
    subprocess.run([sys.executable, "-c", _RECORD, str(RUNS)], cwd=directory, env=recording, check=True)
    some = min(path.name for path in (directory / "runs").iterdir())
    environment["BENCH_DATABASE"] = GONE
    many: list[Took] = []
    one: list[Took] = []
    picked = f"runs/{some}::replay"
    pytest(directory, "--fluxrun-dir=runs", picked, plugin=PLUGIN, environment=environment)  # compiles what is imported
    for _ in range(ROUNDS):
        many.append(pytest(directory, "--fluxrun-dir=runs", plugin=PLUGIN, environment=environment))
        one.append(pytest(directory, "--fluxrun-dir=runs", picked, plugin=PLUGIN, environment=environment))
    assert f"{RUNS} match" in many[0].output, many[0].output[-2000:]
    whole, single = median(many), median(one)
    cpu, wall = whole.cpu_s - single.cpu_s, whole.wall_s - single.wall_s
    note = f"{1000 * wall / (RUNS - 1):.2f} ms wall"
    print_row(f"{driver}, {RUNS} runs", 1000 * cpu / (RUNS - 1), "ms", BAR_MS, note)


if __name__ == "__main__":
    main(sys.argv[1:] or ["psycopg", "asyncpg"])
