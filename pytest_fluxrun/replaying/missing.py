"""What is said of a call that a run doesn't hold: the call, the nearest recorded one, what that lacks, what to do."""

from __future__ import annotations

from typing import Any

from pytest_fluxrun.boundary import Boundary, Request
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.naming import CallName
from pytest_fluxrun.replaying.matching import Matcher

__all__ = ["call_name", "call_text", "unrecorded"]

_MOST_PATHS = 8


def unrecorded(
    boundary: Boundary[Any], request: Request, matcher: Matcher, *, what: str, run_id: str
) -> UnrecordedCall:
    """The error for a call that nothing answers.

    Args:
        what: one clause that says what happened.
    """
    kind = boundary.kind
    nearest = lacking = ""
    differs: tuple[str, ...] = ()
    index = matcher.nearest(kind, request)
    if index is None:
        index = matcher.alike(kind, request)
    if index is not None:
        recorded = matcher.request(index)
        nearest = call_text(boundary, recorded)
        lacking = kind.lacking(recorded, request)
        differs = tuple(difference.path for difference in kind.differences(recorded, request)[:_MOST_PATHS])
    return UnrecordedCall(
        what,
        asked=call_text(boundary, request),
        nearest=nearest,
        differs=differs,
        lacking=lacking,
        next_step=_next_step(run_id[:10], effect=kind.is_effect(request)),
    )


def call_text(boundary: Boundary[Any], request: Request) -> str:
    """A call on one line, with its boundary's name."""
    return f"{boundary.name} {boundary.kind.text(request)}"


def call_name(boundary: Boundary[Any], request: Request) -> CallName:
    """A call as a guard names it."""
    return CallName(boundary.name, boundary.kind.name, " ".join(boundary.kind.operation(request).split()))


def _next_step(run: str, *, effect: bool) -> str:
    if effect:
        return (
            f"it changes the outside and was never made: if it belongs to the fix, `fluxrun extend {run} --effects` "
            f"makes an answer up and writes it into the guard, for you to review; `fluxrun why {run}` shows every call"
        )
    return (
        f"if the new code is to read this, `fluxrun extend {run} --live` asks it once of the development environment "
        f"in [tool.fluxrun.live] and keeps the answer beside the run; `fluxrun why {run}` shows every call"
    )
