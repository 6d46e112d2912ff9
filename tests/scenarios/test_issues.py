"""Two real orders that met one bug, with other coupons and other data, are one issue."""

from __future__ import annotations

from tests.scenarios.service import Project


def test_runs_of_one_bug_are_one_issue_named_by_its_place(failed_shop: Project) -> None:
    """The app's innermost frame is the bug's."""
    header, line, summary = failed_shop.fluxrun("list", "--issues").splitlines()

    assert header.startswith("ISSUE")
    assert "2" == line.split()[1]
    assert "  TypeError in shop.coupons:redeem: can't compare offset-naive and offset-aware datetimes  -" in line
    assert "1 issue in runs: 2 of 3 runs failed" == summary
