"""Which recorded values an exported test asserts, and which it can't come to again."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pytest_fluxrun.export.made_anew import ANY, MadeAnew
from tests.export.conftest import STARTED_NS, answer, call, request_run

NOW = datetime.fromtimestamp(STARTED_NS / 1e9, UTC)
DRAWN, GIVEN = str(uuid.UUID(int=7**40)), str(uuid.UUID(int=5**50))


@pytest.fixture
def made() -> MadeAnew:
    read = call({"url": "https://shop.example/"}, answer(body=f'{{"id": "{GIVEN}"}}'))
    return MadeAnew(replace(request_run(calls=(read,)), tokens=("fluxrun-secret-1",)))


@pytest.mark.parametrize(
    "value",
    [DRAWN, f"order {DRAWN}", "9f86d081884c7d65", NOW.isoformat(), NOW, NOW.timestamp(), int(NOW.timestamp() * 1000),
     uuid.UUID(DRAWN), "key fluxrun-secret-1", "Tr0ub4dor-and-3-more-words"],
)  # fmt: skip
def test_what_is_drawn_or_told_by_the_clock_is_made_anew(made: MadeAnew, value: object) -> None:
    assert made.is_made(value)


@pytest.mark.parametrize(
    "value",
    [GIVEN, f"order {GIVEN}", uuid.UUID(GIVEN), "coupon_expired", "Green tea, 100 g", 500, 12.5, True, None,
     NOW - timedelta(days=2), "application/json; charset=utf-8", "2026-10-29", b"\x00\xff"],
)  # fmt: skip
def test_what_was_given_or_looks_like_neither_comes_again(made: MadeAnew, value: object) -> None:
    assert not made.is_made(value)


def test_masking_keeps_the_rest_of_a_structure(made: MadeAnew) -> None:
    """Only leaves are masked."""
    told = {"id": DRAWN, "items": [{"sku": "mug", "at": NOW.isoformat()}], "of": GIVEN}
    assert {"id": ANY, "items": [{"sku": "mug", "at": ANY}], "of": GIVEN} == made.masked(told)
