"""Notices and notifications that come along with an answer: kept with it, and told again before it at replay."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from pytest_fluxrun.boundaries.libpq.answer import Answer, diagnosed
from pytest_fluxrun.boundaries.libpq.side import SIDE

__all__ = ["wrap_notice", "wrap_notify"]


def wrap_notice(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """`BaseConnection._notice_handler`. The result is libpq's only for the length of the call."""

    @functools.wraps(original)
    def _notice_handler(wself: Any, result: Any) -> None:
        answer = _under_way(wself)
        if answer is not None:
            answer.notices = (*answer.notices, diagnosed(result))
        original(wself, result)

    return _notice_handler


def wrap_notify(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """`BaseConnection._notify_handler`."""

    @functools.wraps(original)
    def _notify_handler(wself: Any, notify: Any) -> None:
        answer = _under_way(wself)
        if answer is not None:
            answer.notifies = (*answer.notifies, (notify.relname, notify.extra, notify.be_pid))
        original(wself, notify)

    return _notify_handler


def _under_way(wself: Any) -> Answer | None:
    """The answer that comes now on a connection, where a run sees it."""
    connection = wself()
    side = None if connection is None else connection.__dict__.get(SIDE)
    return None if side is None else side.answer
