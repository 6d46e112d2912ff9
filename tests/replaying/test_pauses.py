"""Which pauses count as changed: lengths, whatever their number, order and place."""

from __future__ import annotations

import pytest

from pytest_fluxrun.drift import DriftKind
from pytest_fluxrun.replaying.pauses import Pause, changed_pauses

BACK_OFF = "send|time.sleep(pause_s)|time.sleep(pause_s)"
MOVED = "send_once|time.sleep(wait)|time.sleep(wait)"


def changes(recorded: list[float], made: list[float], *, where: str = BACK_OFF) -> list[str]:
    """The texts of what changed, where the recorded pauses lie in `send` and the others at `where`."""
    drifts = changed_pauses(
        [Pause("time.sleep", BACK_OFF, seconds) for seconds in recorded],
        [Pause("time.sleep", where, seconds) for seconds in made],
    )
    return [drift.text for drift in drifts if drift.kind is DriftKind.CHANGED_PAUSE]


@pytest.mark.parametrize(
    ("recorded", "made"),
    [
        ([], []),
        ([1, 2], [2, 1]),
        ([0.1], [0.1, 0.1, 0.1]),
        ([0.1, 0.1, 0.1], [0.1]),
        ([10.0], [10.4]),
        ([10.0], [9.6]),
        ([0.002], [0.0029]),
        ([1], [1, 5]),
        ([], [5]),
    ],
)
def test_what_is_no_change(recorded: list[float], made: list[float]) -> None:
    """Other numbers and orders of equal lengths, a remainder of a time limit, pauses that are new."""
    assert [] == changes(recorded, made)
    assert [] == changes(recorded, made, where=MOVED)


@pytest.mark.parametrize(
    ("recorded", "made", "told"),
    [
        ([2], [], "2 s → none"),
        ([2], [0.2], "2 s → 0.2 s"),
        ([0.02, 0.04], [0.03, 0.06], "0.02 s, 0.04 s → 0.03 s, 0.06 s"),
        ([0.02, 0.04], [0.02], "0.04 s → none"),
        ([0.01], [0.0125], "0.01 s → 0.0125 s"),
        ([1, 2, 3, 4, 5], [1], "2 s, 3 s, 4 s and 1 more → none"),
        ([10], [10.6], "10 s → 10.6 s"),
    ],
)
def test_what_is_a_change(recorded: list[float], made: list[float], told: str) -> None:
    """One drift for the place, with what the same function pauses for now."""
    assert [f"time.sleep() in send: time.sleep(pause_s): {told}"] == changes(recorded, made)


def test_pause_of_another_function_is_not_told_as_its_successor() -> None:
    """It may have nothing to do with it."""
    assert ["time.sleep() in send: time.sleep(pause_s): 2 s → none"] == changes([2], [0.2], where=MOVED)
