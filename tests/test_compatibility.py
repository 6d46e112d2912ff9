"""The compatibility table: two versions of a library never pass for one, and what failed in a run is never hidden."""

from __future__ import annotations

from importlib.metadata import version

from tests.compatibility import cells_in, in_one_version, page_of, pins


def run_of(number: str, library: str = "lib", **cells: str) -> dict[str, object]:
    """What a run showed of one subject."""
    shown = {"library": library, "version": number, "group": "boundaries"}
    return {"cells": {"Lib": {behaviour: {"cell": cell, **shown} for behaviour, cell in cells.items()}}}


def test_each_version_has_a_column_the_oldest_first() -> None:
    """By number, not by text; and what one of them lacks is told."""
    page = page_of([run_of("3.14.5", get="yes", tls="yes"), run_of("3.9.5", get="yes")])

    assert "| | Lib 3.9.5 | Lib 3.14.5 |" in page
    assert {
        ("Lib", "3.9.5", "get", "✓"),
        ("Lib", "newest", "get", "✓"),
        ("Lib", "newest", "tls", "✓"),
    } == cells_in(page)


def test_newest_version_may_change_and_the_oldest_may_not() -> None:
    """The oldest one is pinned; a newer release is no difference."""
    oldest = run_of("1.0", get="yes")

    written = cells_in(page_of([oldest, run_of("2.0", get="yes")]))

    assert written == cells_in(page_of([oldest, run_of("2.1", get="yes")]))
    assert written != cells_in(page_of([run_of("1.1", get="yes"), run_of("2.0", get="yes")]))


def test_failure_in_either_run_of_a_version_is_shown() -> None:
    """Whichever comes last."""
    failed, passed = run_of("1.0", get="no"), run_of("1.0", get="yes")

    assert page_of([failed, passed]) == page_of([passed, failed])
    assert {("Lib", "newest", "get", "✗")} == cells_in(page_of([failed, passed]))


def test_library_that_was_run_in_one_version_is_named() -> None:
    """But Python and FluxRun have no oldest version."""
    assert ["Lib"] == in_one_version([run_of("1.0", get="yes"), run_of("1.0", get="yes")])
    assert [] == in_one_version([run_of("1.0", get="yes"), run_of("2.0", get="yes")])
    assert [] == in_one_version([run_of("3.11", "python", get="yes")])


def test_every_pin_names_a_distribution_that_the_tests_have() -> None:
    """A name that is written wrongly would pin nothing."""
    assert all(version(name) and number for name, number in pins().items())
