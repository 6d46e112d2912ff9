"""A function in a run of the real recorder, and in a replay of it: for what is recorded as reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytest_fluxrun.context import entered
from pytest_fluxrun.recording.dumping import dump_preamble
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.replaying.answers import Answers
from pytest_fluxrun.replaying.event_loop import call
from pytest_fluxrun.replaying.replayer import Replayer
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from pytest_fluxrun.run import Recording

__all__ = ["record", "replay"]


def record(function: Callable[[], Any]) -> tuple[Any, Recording]:
    """What a function gives in a recorded run, and the recording."""
    recorder = Recorder("job", "function", lambda *_: None)
    with entered(recorder.lane):
        given = function()
    recorder.close()
    return given, dump_preamble(recorder).recording


def replay(function: Callable[[], Any], recording: Recording) -> Any:
    """What it gives at replay."""
    clock = VirtualClock()
    replayer = Replayer(recording, run_id="0" * 26, shared=Answers(None), clock=clock)
    with entered(replayer.lane):
        given = call(function, clock)
    replayer.close()
    clock.close()
    return given
