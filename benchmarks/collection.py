"""What 10,000 runs cost to collect, and one of them to select, beside 10,000 plain test functions.

Run by hand: `python benchmarks/collection.py`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from driving import project
from measuring import heading, print_row
from processes import Took, median, pytest

from pytest_fluxrun.bundle import new_run_id

COUNT, ROUNDS = 10_000, 3
PLUGIN = "pytest_fluxrun.plugin"


def make_runs(directory: Path) -> str:
    """Guards and bundles by name; collection opens none of them. Returns one run's node id."""
    for _ in range(COUNT):
        run = new_run_id()
        name = f"shop-{run}"
        (directory / "runs" / f"{name}.fluxrun").write_bytes(b"")
        (directory / "runs" / f"{name}.guard.toml").write_text(f'run = "{run}"\nsha256 = "{"0" * 64}"\n')
    return f"runs/{name}.fluxrun::replay"


def make_functions(directory: Path) -> None:
    """The same number of test functions, a hundred to a module."""
    for module in range(COUNT // 100):
        functions = "".join(f"def test_{number}():\n    pass\n\n\n" for number in range(100))
        (directory / f"test_module_{module:03}.py").write_text(functions)


def main() -> None:
    """Print the rows."""
    with tempfile.TemporaryDirectory() as name:
        runs, functions = Path(name, "runs-project"), Path(name, "functions")
        runs.mkdir()
        functions.mkdir()
        environment = project(runs)
        node_id = make_runs(runs)
        make_functions(functions)
        commands = {
            "collect": lambda: pytest(
                runs, "--fluxrun-dir=runs", "--collect-only", plugin=PLUGIN, environment=environment
            ),
            "functions": lambda: pytest(functions, "--collect-only", plugin="", environment={}),
            "select": lambda: pytest(
                runs, "--fluxrun-dir=runs", node_id, "--collect-only", plugin=PLUGIN, environment=environment
            ),
            "select-k": lambda: pytest(functions, "-k", "test_module_050 and test_50", plugin="", environment={}),
            "nothing": lambda: pytest(functions, "test_module_000.py::test_0", plugin="", environment={}),
        }
        took: dict[str, list[Took]] = {way: [] for way in commands}
        for turn in range(ROUNDS + 1):
            for way, command in commands.items():
                one = command()
                if turn:
                    took[way].append(one)
    _print({way: median(each) for way, each in took.items()})


def _print(took: dict[str, Took]) -> None:
    def wall(name: str) -> str:
        return f"{took[name].wall_s:.2f} s wall"

    assert str(COUNT) in took["collect"].output
    assert "1 test" in took["select"].output
    heading(f"Collection of {COUNT:,} items: a whole pytest process, CPU time, median of {ROUNDS} in turn")
    print_row("collect guards", took["collect"].cpu_s, "s", 2.0, wall("collect"))
    print_row("collect guards: memory", took["collect"].peak_mib, "MiB", 130)
    print_row("collect test functions", took["functions"].cpu_s, "s", note=wall("functions"))
    print_row("collect test functions: memory", took["functions"].peak_mib, "MiB")
    print_row("select one run by node id", took["select"].cpu_s, "s", 0.5, wall("select"))
    print_row("select one test function with -k", took["select-k"].cpu_s, "s", note=wall("select-k"))
    print_row("pytest with one test, nothing of FluxRun", took["nothing"].cpu_s, "s", note=wall("nothing"))


if __name__ == "__main__":
    main()
