"""Rows that are kept as their values, by the C extension and without it."""

from __future__ import annotations

import gc
import sys
from datetime import UTC, datetime
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest

from pytest_fluxrun.kinds import rows as rows_module
from pytest_fluxrun.kinds.rows import FlatRows

MANY = [(number, f"name {number}", Decimal(number), datetime.now(UTC), None) for number in range(40)]


@pytest.fixture
def native() -> ModuleType:
    return pytest.importorskip("pytest_fluxrun._rows", reason="the C extension isn't built here")


@pytest.fixture(params=["native", "pure"], autouse=True)
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    native = request.param == "native"
    taken = request.getfixturevalue("native").values_of if native else rows_module._values_of
    monkeypatch.setattr(rows_module, "_taken", taken)


def test_rows_come_back_in_their_order() -> None:
    """However they were added, and as often as they are asked for."""
    rows = FlatRows(5)
    rows.append(MANY[0])
    rows.extend(MANY[1:3])
    rows.extend(MANY[3:30])
    rows.append(MANY[30])
    rows.extend(tuple(MANY[31:]))
    rows.append(MANY[0])

    assert 41 == len(rows)
    assert [*MANY, MANY[0]] == list(rows) == list(rows)


def test_no_rows_are_false() -> None:
    """As of a list."""
    assert (False, 0, []) == (bool(FlatRows(3)), len(FlatRows(3)), list(FlatRows(3)))


@pytest.mark.parametrize("count", [1, 20])
def test_tuples_are_not_kept(count: int) -> None:
    """Their values are, once each."""
    given: list[tuple[Any, ...]] = [(object(), number) for number in range(count)]
    before = sys.getrefcount(given[0]), sys.getrefcount(given[0][0])
    rows = FlatRows(2)
    rows.extend(given)
    kept = sys.getrefcount(given[0]), sys.getrefcount(given[0][0])
    del rows

    assert (before[0], before[1] + 1) == kept
    assert before == (sys.getrefcount(given[0]), sys.getrefcount(given[0][0]))


def test_extension_refuses_what_are_no_rows(native: ModuleType) -> None:
    """Rows of another width, and what isn't a list or tuple of tuples."""
    for rows, width in (([(1, 2), (3,)], 2), ([[1, 2]], 2), ([], 0), ([()], 0)):
        with pytest.raises(ValueError, match=r"row|rows"):
            native.values_of(rows, width)
    for arguments in ((iter([]), 1), ([],), ("ab", 1), ([(1,)], "1")):
        with pytest.raises(TypeError):
            native.values_of(*arguments)
    assert () == native.values_of([], 3)


def test_collector_is_spared_what_cannot_refer(native: ModuleType) -> None:
    """A tuple of such values isn't looked at; one with a list in it is, and since 3.13 one with a Decimal."""
    rows = [(number, name, at, nothing) for number, name, _, at, nothing in MANY]
    plain, mixed = native.values_of(rows, 4), native.values_of([([number],) for number in range(20)], 1)

    assert (False, True) == (gc.is_tracked(plain), gc.is_tracked(mixed))
