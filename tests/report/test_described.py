"""What a report may say of a value without saying it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pytest_fluxrun.judgement.comparison import ABSENT
from pytest_fluxrun.report.described import LONGEST, bare_path, described


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("secret", "string of 6 characters"),
        (b"s", "bytes of 1 byte"),
        (4242, "integer"),
        (True, "boolean"),
        (1.5, "number"),
        (None, "null"),
        ([1, 2], "array of 2 items"),
        ({"key": "secret"}, "object of 1 key"),
        (Decimal("9.90"), "Decimal"),
        (ABSENT, "absent"),
    ],
)
def test_value_is_its_type_and_size(value: Any, said: str):
    """And nothing of it."""
    assert said == described(value, values=False).text


def test_value_on_request_is_printable_and_bounded():
    """What steers a terminal is escaped, what is long is cut and says how long it was."""
    shown = described("\x1b[31m" + "x" * 9_000, values=True)

    assert shown.text.startswith("'\\x1b[31m")
    assert shown.text.endswith("x… (9,010 characters)")
    assert len(shown.text) < LONGEST + 40


@pytest.mark.parametrize(
    ("path", "bare"),
    [
        ("response.body.items[3].total", "response.body.items[3].total"),
        ("response.headers.x-request-id", "response.headers.x-request-id"),
        ("call[3].request.body.amount: 1000 → 1200", "call[3].request.body.amount"),
        ("call[3].request.binds[1] (orders.total): 1 → 2", "call[3].request.binds[1]"),
        ("response.body.ann@example.org", "response.body.*"),
        ('response.body["ann.lee"].total', "response.body.*"),
        ("response.body.4242424242424242", "response.body.*"),
        ("response.body.Ann Lee.total", "response.body.*"),
        (f"response.body.{'k' * 41}.total", "response.body.*"),
        ("call[1].request.body.ann@example.org: 1 → 2", "call[1].request.body.*"),
        ("", ""),
    ],
)
def test_path_keeps_plain_names_alone(path: str, bare: str):
    """A key that may be a value, and all that follows it, is `*`."""
    assert bare == bare_path(path)
