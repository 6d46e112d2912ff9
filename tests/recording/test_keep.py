"""The keep rules, as a table."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pytest_fluxrun.config import Settings
from pytest_fluxrun.entry import Ending
from pytest_fluxrun.recording.keep import keep_reason


@pytest.mark.parametrize(
    ("ending", "settings", "others", "reason"),
    [
        ({"status": 200}, {}, {}, ""),
        ({"status": 404}, {}, {}, ""),
        ({"status": None}, {}, {}, ""),
        ({"status": 500}, {}, {}, "5xx"),
        ({"status": 599}, {}, {}, "5xx"),
        ({"status": 499}, {}, {}, ""),
        ({"error": ValueError()}, {}, {}, "raised"),
        ({"status": 500, "error": ValueError()}, {}, {}, "raised"),
        ({"error": asyncio.CancelledError(), "timed_out": True}, {}, {}, "timed-out"),
        ({"status": 200, "disconnected": True}, {}, {}, "disconnected"),
        ({"status": 200, "disconnected": True, "cut_short": True}, {}, {}, "disconnected"),
        ({"status": None, "cut_short": True}, {}, {}, "cut-short"),
        ({"status": 404}, {"keep_4xx": True}, {}, "4xx"),
        ({"status": 399}, {"keep_4xx": True}, {}, ""),
        ({"status": 500}, {"keep_4xx": True}, {}, "5xx"),
        ({"status": 200}, {}, {"by_hand": True}, "by-hand"),
        ({"status": 200}, {"slow_s": 1.0}, {"duration_ns": 10**9}, "slow"),
        ({"status": 200}, {"slow_s": 1.0}, {"duration_ns": 10**9 - 1}, ""),
        ({"status": 200}, {}, {"duration_ns": 10**12}, ""),
        ({"status": 200}, {"sample": 0.0}, {"draw": 0.0}, ""),
        ({"status": 200}, {"sample": 0.5}, {"draw": 0.49}, "sample"),
        ({"status": 200}, {"sample": 0.5}, {"draw": 0.5}, ""),
        ({"status": 200}, {"sample": 1.0}, {"draw": 0.999}, "sample"),
        ({"status": 404}, {"sample": 1.0}, {}, "sample"),
    ],
)
def test_run_is_kept_for_the_first_reason_that_holds(ending: Any, settings: Any, others: Any, reason: str):
    """Failures always; the rest by setting, by hand or by draw."""
    chosen = {"duration_ns": 1, "by_hand": False, "draw": 0.5, **others}
    assert reason == keep_reason(Ending(dump=lambda: ({}, {}), **ending), Settings(**settings), **chosen)
