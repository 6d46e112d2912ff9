"""`fluxrun gate` on reports, and `fluxrun require`: what fails, what is compared, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner, Result

from pytest_fluxrun.cli import fluxrun
from pytest_fluxrun.judgement.guard_list import read_list, write_list
from pytest_fluxrun.report.document import Report, ReportedGuard, to_json
from tests.cli.conftest import Shop
from tests.report.made import report_of, run_of

_GREEN = {"verdict": "match", "outcome": "passed", "reason": "match", "first_divergence": ""}
_PENDING = {
    "verdict": "reproduced",
    "outcome": "xfailed",
    "guard": ReportedGuard(path="runs/x.guard.toml", expect="fix", pending=True),
}


def _run(shop: Shop, *arguments: str) -> Result:
    del shop  # the working directory is its
    return CliRunner().invoke(fluxrun, list(arguments))


def _written(shop: Shop, name: str, report: Report) -> str:
    (shop.root / name).write_bytes(to_json(report))
    return name


def _gate(shop: Shop, report: Report, *arguments: str) -> tuple[int, str]:
    done = _run(shop, "gate", *arguments, _written(shop, "out.json", report))
    return done.exit_code, done.output


def _compared(shop: Shop, before: Report, now: Report) -> tuple[int, str]:
    return _gate(shop, now, "--baseline", _written(shop, "main.json", before))


def test_green_report(shop: Shop) -> None:
    """Complete, all green, as many as required: 0, with the counts."""
    report = report_of(run_of(1, **_GREEN), run_of(2, **_GREEN), exit_status=0, verdicts={"match": 2})

    assert (0, "gate: green: 2 runs: 2 match; required: 2\n") == _gate(shop, report, "--require", "2")


@pytest.mark.parametrize(
    ("runs", "session", "said"),
    [
        ([run_of(1)], {}, "not green: orders.create-01jd3k00000000000000000001 is regressed: response.status"),
        ([], {"exit_status": 0}, "0 runs were replayed, 1 are required"),
        ([run_of(1, outcome="skipped", verdict="locked")], {"exit_status": 0}, "1 are required (1 locked)"),
        ([run_of(1, outcome="xfailed")], {"exit_status": 0}, "not green: "),
        ([run_of(1, outcome="passed")], {"exit_status": 0}, "not green: "),
        ([run_of(1, **_PENDING)], {"exit_status": 0}, "1 of them pending"),
        ([run_of(1, **_GREEN)], {"exit_status": 0, "gate": "3 runs are required"}, "3 runs are required"),
        ([run_of(1, **_GREEN)], {"exit_status": 1}, "something else than a run failed"),
    ],
    ids=["red", "none", "locked", "xfailed", "rewritten", "pending", "gate", "own-test"],
)
def test_report_that_is_not_green(shop: Shop, runs: list[Any], session: dict[str, Any], said: str) -> None:
    """Exit code 1 and the reason, whatever the report's own exit status."""
    code, output = _gate(shop, report_of(*runs, **session))

    assert (1, True) == (code, said in output), output


def test_incomplete_report_is_refused(shop: Shop) -> None:
    """A session that was stopped proves nothing, as report or as baseline."""
    whole = report_of(run_of(1, **_GREEN))
    part = report_of(run_of(1, **_GREEN), complete=False, incomplete_because="stopping after 1 failures")

    assert (2, True) == _refused(_gate(shop, part), "is incomplete: stopping after 1 failures")
    assert (2, True) == _refused(_compared(shop, part, whole), "the report main.json is incomplete")
    assert (2, True) == _refused(_compared(shop, report_of(narrowed=True), whole), "a part of the runs")


def _refused(done: tuple[int, str], said: str) -> tuple[int, bool]:
    return done[0], said in done[1]


def test_known_failures_pass_beside_a_baseline(shop: Shop) -> None:
    """What is red on the main branch already, what got green, and what is new and green don't fail."""
    before = report_of(run_of(1), run_of(2), run_of(3, **_GREEN))
    now = report_of(run_of(1), run_of(2, **_GREEN), run_of(3, **_GREEN), run_of(4, **_GREEN), run_of(5, **_PENDING))

    code, output = _compared(shop, before, now)

    assert (0, True) == (code, "green: 5 runs: none; compared with main.json" in output), output


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ([run_of(1)], "was match: orders.create-01jd3k00000000000000000001 is regressed"),
        ([], "gone: orders.create-01jd3k00000000000000000001 was match in the baseline"),
        ([run_of(1, **_GREEN), run_of(2)], "new and not green: orders.create-01jd3k00000000000000000002"),
        (
            [run_of(1, outcome="skipped", verdict="locked")],
            "was match: orders.create-01jd3k00000000000000000001 is locked",
        ),
        ([run_of(1, outcome="skipped", verdict="")], "is skipped"),
    ],
    ids=["red", "gone", "new-red", "locked", "skipped"],
)
def test_new_regressions_fail(shop: Shop, now: list[Any], said: str) -> None:
    """What was green and isn't any more, or isn't there, or is new and red."""
    code, output = _compared(shop, report_of(run_of(1, **_GREEN)), report_of(*now))

    assert (1, True) == (code, said in output), output


def test_many_regressions_stay_readable(shop: Shop) -> None:
    """The first few, how many more, and the last line."""
    code, output = _gate(shop, report_of(*map(run_of, range(1000))))

    assert (1, 22) == (code, len(output.splitlines()))
    assert "… and 980 more" in output


def test_baseline_of_a_command_is_refused(shop: Shop) -> None:
    """A command's own tests aren't in a report: compare files."""
    done = _run(shop, "gate", "--baseline", "main.json", "--", "pytest")

    assert 2 == done.exit_code
    assert "--baseline compares two reports: 'pytest' is a command" in done.output


def test_every_guard_of_a_list(shop: Shop) -> None:
    """A directory with guards.txt requires all of it without being told; one that is gone is named."""
    run = run_of(1, **_GREEN)
    runs = shop.root / "runs"
    runs.mkdir(exist_ok=True)
    (runs / f"{run.name}.guard.toml").write_text("")
    write_list(runs, [run.name])

    green = _gate(shop, report_of(run, exit_status=0))
    write_list(runs, [run.name, run_of(2).name])
    gone = _gate(shop, report_of(run, exit_status=0))

    assert (0, True) == (green[0], "required: all" in green[1]), green[1]
    assert (1, True) == (gone[0], f"are not there: {run_of(2).name}" in gone[1])


def test_require_writes_the_list(shop: Shop) -> None:
    """The names of the guards that are there, sorted; what came and what went is shown."""
    runs = shop.root / "runs"
    runs.mkdir(exist_ok=True)
    names = [run_of(number).name for number in (2, 1)]
    for name in names:
        (runs / f"{name}.guard.toml").write_text("")

    first = _run(shop, "require")
    (runs / f"{names[0]}.guard.toml").unlink()
    second = _run(shop, "require")

    assert (0, 0) == (first.exit_code, second.exit_code)
    assert [f"  + {names[1]}", f"  + {names[0]}"] == first.output.splitlines()[1:3]
    assert f"  - {names[0]}" == second.output.splitlines()[1]
    assert frozenset({names[1]}) == read_list(runs)


def test_list_that_cannot_be_used(shop: Shop) -> None:
    """A line that is no run's name is an error that shows it."""
    (shop.root / "runs").mkdir(exist_ok=True)
    (shop.root / "runs" / "guards.txt").write_text("orders\n")

    code, output = _gate(shop, report_of(run_of(1, **_GREEN)))

    assert (2, True) == (code, "guards.txt' can't be used: 'orders' is no run's name" in output), output


def test_guards_are_checked_without_a_key(shop: Shop) -> None:
    """A guard that can't be used, one under another run's name, and a list that disagrees: each a line, exit code 1."""
    runs = shop.root / "runs"
    one, other = (run_of(number).name for number in (1, 2))
    good = f'run = "{one[-26:]}"\nsha256 = "{"0" * 64}"\n'
    (runs / f"{one}.guard.toml").write_text(good)
    write_list(runs, [one])

    clean = _run(shop, "guards")
    (runs / f"{other}.guard.toml").write_text(good)
    (runs / f"{one}.guard.toml").write_text("runs = 1\n")
    broken = _run(shop, "guards", f"runs/{one}.guard.toml", f"runs/{other}.guard.toml")

    assert (0, "1 guard read, 0 problems\n") == (clean.exit_code, clean.output)
    assert (1, "2 guards read, 3 problems") == (broken.exit_code, broken.output.splitlines()[-1])
    assert "its name ends with another run's id" in broken.output
    assert f"runs/guards.txt lists no {other}.guard.toml" in broken.output
