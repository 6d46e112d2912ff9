"""time.sleep is virtual in a replayed run only."""

from __future__ import annotations

import time

import pytest

from pytest_fluxrun import ambient
from pytest_fluxrun.context import entered


def _real_s() -> float:
    return ambient.monotonic_ns() / 1e9


def test_sleep_while_recording_is_real(recorded_lane):
    """A recorded run waits as it would without FluxRun."""
    began_s = _real_s()

    with entered(recorded_lane):
        time.sleep(0.02)

    assert _real_s() - began_s >= 0.02


def test_sleep_of_a_replay_is_virtual(replay):
    """Ten minutes at once."""
    began_s = _real_s()

    replay.call(lambda: time.sleep(600))

    assert 600 == replay.now_s
    assert _real_s() - began_s < 600 / 10


def test_sleep_after_a_replay_is_real(replay):
    """Code that is left of a run whose clock is closed."""
    replay.finish()
    began_s = _real_s()

    with entered(replay.lane):
        time.sleep(0.02)

    assert _real_s() - began_s >= 0.02


@pytest.mark.parametrize("wrong", [-1, "1", None])
def test_wrong_lengths_are_refused_alike(replay, wrong):
    """The same type of error as the real one's, recorded or replayed."""
    with pytest.raises((TypeError, ValueError)) as real:
        time.sleep(wrong)
    with pytest.raises(real.type):
        replay.call(lambda: time.sleep(wrong))
