"""What replaying costs an item, in a session of 1,000 runs; beside it vcrpy, pytest-recording and an empty test.

Run by hand: `python benchmarks/replay.py`. A run is 1 httpx and 3 sqlite3 calls under an ASGI app. The others replay
the same HTTP call and nothing else: they record no database, clock or entropy, and judge only what the test asserts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from driving import project
from measuring import heading, print_row
from processes import Took, median, pytest
from upstream import upstream_server

RUNS, SHARED, FRESH, ROUNDS = 1000, 300, 60, 3
PLUGIN = "pytest_fluxrun.plugin"

_CASE = """\
import httpx, os, pytest
{head}
URL = os.environ["BENCH_UPSTREAM"] + "/charge"
shared = httpx.Client()

{marks}
@pytest.mark.parametrize("number", range({count}))
def test_charge(number):
    {body}
"""
_SHARED = 'assert shared.post(URL, json={"amount": number}).json()["status"] == "paid"'
_FRESH = 'assert httpx.post(URL, json={"amount": number}).json()["status"] == "paid"'


def case(count: int, body: str, *, head: str = "", marks: str = "") -> str:
    """A module of parametrized tests."""
    return _CASE.format(count=count, body=body, head=head, marks=marks)


def write_modules(directory: Path) -> None:
    """One module for each way."""
    within = "with recorder.use_cassette(f'cassettes/{number}.yaml'):\n        "
    recorder = 'import vcr\nrecorder = vcr.VCR(record_mode=os.environ["MODE"], match_on=["method", "uri", "body"])'
    marks = '@pytest.mark.vcr(match_on=["method", "uri", "body"])'
    (directory / "test_empty.py").write_text(case(RUNS, "pass"))
    (directory / "test_vcrpy_shared.py").write_text(case(SHARED, within + _SHARED, head=recorder))
    (directory / "test_vcrpy_fresh.py").write_text(case(FRESH, within + _FRESH, head=recorder))
    (directory / "test_recording_shared.py").write_text(case(SHARED, _SHARED, marks=marks))
    (directory / "test_recording_fresh.py").write_text(case(FRESH, _FRESH, marks=marks))


def main() -> None:
    """Record for all, stop the server, replay."""
    with tempfile.TemporaryDirectory() as name:
        runs, tests = Path(name, "runs-project"), Path(name, "tests")
        runs.mkdir()
        tests.mkdir()
        write_modules(tests)
        environment = project(runs)
        with upstream_server() as url:
            environment["BENCH_UPSTREAM"] = url
            recording = {**os.environ, **environment, "FLUXRUN_STORE": "runs"}
            recorder = Path(__file__).with_name("record_runs.py")
            subprocess.run([sys.executable, recorder, str(RUNS)], cwd=runs, env=recording, check=True)
            for module in ("vcrpy_shared", "vcrpy_fresh", "recording_shared", "recording_fresh"):
                _others(tests, module, url, "once")
        assert len(list((runs / "runs").glob("*.fluxrun"))) == RUNS
        some = min(path.name for path in (runs / "runs").iterdir())
        ways: dict[str, Callable[[], Took]] = {
            "fluxrun": lambda: pytest(runs, "--fluxrun-dir=runs", plugin=PLUGIN, environment=environment),
            "fluxrun, 1": lambda: pytest(
                runs, "--fluxrun-dir=runs", f"runs/{some}::replay", plugin=PLUGIN, environment=environment
            ),
            "empty": lambda: pytest(tests, "test_empty.py", plugin="", environment={"BENCH_UPSTREAM": url}),
            "empty, 1": lambda: _one(tests, "empty", url),
        }
        for module in ("vcrpy_shared", "vcrpy_fresh", "recording_shared", "recording_fresh"):
            ways[module] = lambda module=module: _others(tests, module, url, "none")  # type: ignore[misc]
            ways[f"{module}, 1"] = lambda module=module: _one(tests, module, url)  # type: ignore[misc]
        took: dict[str, list[Took]] = {name: [] for name in ways}
        for turn in range(ROUNDS + 1):
            for way, run in ways.items():
                one = run()
                if turn:
                    took[way].append(one)
    assert f"{RUNS} match" in took["fluxrun"][0].output
    _print({way: median(each) for way, each in took.items()})


def _others(directory: Path, module: str, url: str, mode: str, *selected: str) -> Took:
    plugin = "pytest_recording.plugin" if module.startswith("recording") else ""
    options = [f"--record-mode={mode}"] if plugin else []
    environment = {"BENCH_UPSTREAM": url, "MODE": mode}
    return pytest(directory, *(selected or (f"test_{module}.py",)), *options, plugin=plugin, environment=environment)


def _one(directory: Path, module: str, url: str) -> Took:
    return _others(directory, module, url, "none", f"test_{module}.py::test_charge[0]")


def _print(took: dict[str, Took]) -> None:
    def item(way: str, count: int) -> tuple[float, str]:
        """Milliseconds of CPU for one item above a session of one, and the same in wall time."""
        many, one = took[way], took[f"{way}, 1"]
        cpu, wall = many.cpu_s - one.cpu_s, many.wall_s - one.wall_s
        return 1000 * cpu / (count - 1), f"{1000 * wall / (count - 1):.2f} ms wall"

    heading(f"Replay, ms of CPU for an item: (session of N - session of 1) / (N - 1), median of {ROUNDS} in turn")
    value, note = item("fluxrun", RUNS)
    print_row(f"FluxRun, {RUNS} runs of 1 httpx + 3 sqlite3 calls", value, "ms", 2.5, note)
    whole = took["fluxrun"]
    print_row("the same with start-up: whole session / N", whole.cpu_s, "ms", None, f"{whole.wall_s:.2f} ms wall")
    value, note = item("empty", RUNS)
    print_row("pytest's own empty test", value, "ms", None, note)
    for module, what, count in (
        ("vcrpy_shared", "vcrpy, shared client", SHARED),
        ("recording_shared", "pytest-recording, shared client", SHARED),
        ("vcrpy_fresh", "vcrpy, fresh clients", FRESH),
        ("recording_fresh", "pytest-recording, fresh clients", FRESH),
    ):
        value, note = item(module, count)
        print_row(f"{what} (the HTTP call only)", value, "ms", None, note)


if __name__ == "__main__":
    main()
