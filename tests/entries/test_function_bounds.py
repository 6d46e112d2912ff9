"""What `@capture` copies on the caller's thread is bounded."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_fluxrun.values import is_large

CYCLE: list[Any] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("value", "large"),
    [
        ([0] * 99_999, False),
        ([0] * 100_001, True),
        ({"rows": [[1, 2, 3]] * 20_000}, False),
        ({"rows": [[1, 2, 3]] * 40_000}, True),
        ("x" * 1_000_000, False),
        (b"x" * 10_000_000, True),
        (CYCLE, True),
        (object(), False),
    ],
)
def test_size_decides_before_anything_is_copied(value: object, large: bool) -> None:
    """Items of containers count, and long texts."""
    assert large is is_large(value)
