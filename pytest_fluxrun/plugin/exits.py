"""`os._exit(0)` of an app that is replayed ends pytest without a word, and green. While runs are replayed it isn't 0.

Holds for pytest's own process and every thread in it; children of it exit as they like.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, NoReturn

__all__ = ["watch_exits"]

_STATUS: Final = 1


def watch_exits(before: Callable[[], None]) -> Callable[[], None]:
    """Begin. What is returned ends it; the function stays in its place, since seams may have been put around it.

    Args:
        before: called before the message is written; lifts pytest's capturing.
    """
    original: Callable[[int], NoReturn] = os._exit
    process = os.getpid()
    watching = True

    def exit_seen(status: int) -> NoReturn:
        if watching and status == 0 and os.getpid() == process:
            before()
            os.write(
                2,
                b"\nfluxrun gate: os._exit(0) was called while runs were replayed, so that the session has no result; "
                b"the exit code is 1\n  next:    find the call in the app, or replay its runs with --fluxrun-isolate\n",
            )
            status = _STATUS
        original(status)

    def end() -> None:
        nonlocal watching
        watching = False

    os._exit = exit_seen
    return end
