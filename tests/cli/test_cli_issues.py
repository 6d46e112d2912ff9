"""`fluxrun list --issues` and `fluxrun minimize`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from pytest_fluxrun.bundle import Algorithm, ProjectKey
from pytest_fluxrun.judgement.guard import Guard, digest, write_guard
from pytest_fluxrun.values import dump_error, encode

LARGER = -(10**300)
STARTED_NS = 1_000_000_000


def guarded(bundle: Path, **fields: Any) -> None:
    """Write a guard beside a bundle."""
    name = bundle.name.removesuffix(".fluxrun")
    guard = Guard(run=name[-26:], sha256=digest(bundle.read_bytes()), expect="fix", **fields)
    write_guard(bundle.with_name(f"{name}.guard.toml"), guard)


def lines_of(output: str) -> list[str]:
    """The lines below the header."""
    return output.splitlines()[1:]


def minimized(shop: Any, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `fluxrun minimize`; replays patch their process, so it has its own."""
    command = [sys.executable, "-m", "pytest_fluxrun", "minimize", *options]
    done = subprocess.run(command, cwd=shop.root, capture_output=True, text=True, check=False, timeout=60)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done


def names(shop: Any) -> set[str]:
    """The bundles that are there."""
    return {path.name for path in (shop.root / "runs").glob("*.fluxrun")}


def test_runs_of_one_failure_are_one_line(shop: Any) -> None:
    """With their number, first and last start, entry, failure, guard; what went well isn't in it."""
    first, last = (shop.function_run(started_ns=number * STARTED_NS) for number in (1, 3))
    shop.store(last)
    guarded(shop.store(first), pending=True)
    other = {"returned": None, "error": dump_error(KeyError("x"))}
    shop.store(shop.function_run(started_ns=2 * STARTED_NS, outcome=other))
    shop.store(shop.function_run(3, outcome={"returned": encode(1), "error": None}))

    result = shop.fluxrun("list", "--issues")
    alone, both = lines_of(result.stdout)

    expected = ["1", "1970-01-01", "00:00:02", "1970-01-01", "00:00:02", "orders.price", "KeyError:", "'x'", "-"]
    assert expected == alone.split()[1:]
    assert both.split()[1:] == [
        "2", "1970-01-01", "00:00:01", "1970-01-01", "00:00:03", "orders.price", "ValueError:", "negative", "amount",
        "-1", "fix,", "pending",
    ]  # fmt: skip
    assert "2 issues in runs: 3 of 4 runs failed" in result.stderr


def test_locked_runs_count_by_their_index(shop: Any) -> None:
    """Under an id of their own, which says so."""
    stranger = ProjectKey.generate(Algorithm.X25519)
    for _ in range(2):
        run = shop.function_run()
        shop.store_bytes(
            run, shop.bundle(run, recipient=stranger, error_type="builtins.ValueError", fingerprint="ab" * 16)
        )

    (line,) = lines_of(shop.fluxrun("list", "--issues").stdout)

    assert ("~", "2", True) == (line[0], line.split()[1], "ValueError (locked: by its index alone)" in line)


def test_a_damaged_bundle_is_named_and_makes_the_exit_code_1(shop: Any) -> None:
    """The others are grouped as ever."""
    shop.store(shop.function_run())
    damaged = shop.store(shop.function_run())
    damaged.write_bytes(damaged.read_bytes()[:-9])

    result = shop.fluxrun("list", "--issues", code=1)

    assert ["1"] == [line.split()[1] for line in lines_of(result.stdout)]
    assert f"left out: {damaged.name.removesuffix('.fluxrun')}" in result.stderr


def test_filters_choose_the_runs_that_are_grouped(shop: Any) -> None:
    """--entry among them; a store can't be opened so."""
    shop.store(shop.function_run())

    assert "0 issues in runs: 0 of 0 runs failed" in shop.fluxrun("list", "--issues", "--entry=other").stderr
    assert "fluxrun pull" in shop.fluxrun("list", "--issues", "--store=runs", code=2).stderr


def test_minimize_keeps_the_smallest_that_shows_the_failure(shop: Any) -> None:
    """A smaller run that comes to another outcome isn't it; nothing goes without --yes, and guards never."""
    misled = shop.store(shop.function_run(3, outcome=shop.function_run(-1).outcome))
    smallest = shop.store(shop.function_run(-(10**60)))
    larger = shop.store(shop.function_run(LARGER))
    before = names(shop)

    asked = minimized(shop)
    assert before == names(shop)
    minimized(shop, "--yes")

    rows = {line.split()[1]: line for line in asked.stdout.splitlines() if line.startswith("  ")}
    told = [rows[one.name.removesuffix(".fluxrun")] for one in (misled, smallest, larger)]
    assert ["spare", "keep", "spare"] == [line.split()[0] for line in told]
    assert "doesn't show the failure" in told[0]
    assert "the smallest that shows the failure" in told[1]
    assert "2 spare runs" in asked.stderr
    assert {smallest.name} == names(shop)


def test_minimize_never_touches_guarded_runs(shop: Any) -> None:
    """One with a proven guard stands for the issue, even where the code is fixed already."""
    proven, pending = shop.store(shop.function_run(LARGER)), shop.store(shop.function_run(-2))
    guarded(proven, proven="r41")
    guarded(pending)
    shop.store(shop.function_run(-3))
    application = shop.root / "pricing.py"
    application.write_text(application.read_text().replace("if amount < 0:", "if False:"))

    minimized(shop, "--yes")

    assert {proven.name, pending.name} == names(shop)


def test_minimize_keeps_everything_where_nothing_shows_the_failure(shop: Any) -> None:
    """It can't know which would."""
    for amount in (-1, -2):
        shop.store(shop.function_run(amount))
    application = shop.root / "pricing.py"
    application.write_text(application.read_text().replace("if amount < 0:", "if False:"))

    done = minimized(shop, "--yes")

    assert 2 == len(names(shop)) == done.stdout.count("doesn't show the failure")
    assert "0 spare runs" in done.stderr
