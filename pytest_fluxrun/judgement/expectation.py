"""What a guard expects of a replay, and where it isn't so: the fix's outcome, and how often calls are made. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_fluxrun.execution.evidence import Evidence
from pytest_fluxrun.judgement.comparison import (
    ABSENT,
    OutcomeDifference,
    body_of,
    contains,
    content_of,
    differing,
    is_failure,
    joined_headers,
    readable,
)
from pytest_fluxrun.judgement.comparison.difference import beneath
from pytest_fluxrun.judgement.guard import Fix, Guard
from pytest_fluxrun.judgement.schemas import schema_differences

__all__ = ["from_calls", "from_expected"]


def from_expected(fix: Fix | None, outcome: Any) -> list[OutcomeDifference]:
    """Where an outcome isn't the fixed one; without a stated one, where it is a failure."""
    if fix is None:
        return _still_failing(outcome)
    found = [*_from_fixed_error(fix, outcome.get("error")), *_from_fixed_response(fix, outcome.get("response"))]
    if fix.returns is not None:
        found += contains(fix.returns, readable(outcome.get("returned")), "returned")
    if fix.schema_ is not None:
        found += schema_differences(fix, *_schema_subject(outcome))
    if fix.status is None and not fix.raises:
        found += _still_failing(outcome) if not found else []
    return found


def _from_fixed_error(fix: Fix, error: Any) -> Iterator[OutcomeDifference]:
    if fix.raises:
        name = "" if error is None else error["type"].replace(":", ".")
        if name != fix.raises and not name.endswith("." + fix.raises):
            yield differing("error.type", fix.raises, name or ABSENT)
    elif error is not None:
        yield differing("error", ABSENT, f"{error['type']}: {error['message']}")


def _from_fixed_response(fix: Fix, response: Any) -> Iterator[OutcomeDifference]:
    if fix.status is not None:
        if response is None or not _has_status(fix.status, response["status"]):
            yield differing("response.status", _stated(fix.status), ABSENT if response is None else response["status"])
        if response is not None and not response["complete"]:
            yield differing("response.complete", expected=True, got=False)
    if fix.body is not None:
        yield from contains(fix.body, ABSENT if response is None else _body_for(fix.body, response), "response.body")
    headers = {} if response is None else joined_headers(response)
    for name, value in joined_headers({"headers": fix.headers.items()}).items():
        yield from contains(value, headers.get(name, ABSENT), f"response.headers.{name}")


def _body_for(expected: Any, response: Any) -> Any:
    """The body in the form in which the guard states it: as a text, or by place."""
    parsed = body_of(response)
    if not isinstance(parsed, str | bytes):
        return parsed
    content = content_of(response)
    return content.raw if isinstance(expected, str) and content.form != "json" else content.value


def _has_status(expected: int | str | tuple[int | str, ...], got: int) -> bool:
    if isinstance(expected, tuple):
        return any(_has_status(one, got) for one in expected)
    return expected == (f"{got // 100}xx" if isinstance(expected, str) else got)


def _stated(status: int | str | tuple[int | str, ...]) -> Any:
    return list(status) if isinstance(status, tuple) else status


def _schema_subject(outcome: Any) -> tuple[Any, str]:
    """What a schema is of, and its path."""
    if "response" not in outcome:
        return readable(outcome.get("returned")), "returned"
    response = outcome["response"]
    return None if response is None else _body_for(None, response), "response.body"


def _still_failing(outcome: Any) -> list[OutcomeDifference]:
    if not is_failure(outcome):
        return []
    error, response = outcome.get("error"), outcome.get("response")
    got = (
        f"{error['type']}: {error['message']}" if error else f"status {response['status']}" if response else "no answer"
    )
    return [OutcomeDifference("outcome", "no error and no 5xx", got)]


def from_calls(evidence: Evidence, guard: Guard | None, *, ended_early: bool = False) -> Iterator[OutcomeDifference]:
    """Calls that were made more or less often than the guard says.

    Args:
        ended_early: the replay might have made more of them.
    """
    for rule in guard.calls if guard else ():
        made = sum(name.fits(rule.call) for name in evidence.calls)
        least = rule.count if rule.at_least is None else rule.at_least
        most = rule.count if rule.at_most is None else rule.at_most
        if (least is not None and made < least and not ended_early) or (most is not None and made > most):
            yield differing(beneath("calls", [rule.call]), _bounds(least, most), made)


def _bounds(least: int | None, most: int | None) -> int | str:
    if least == most and least is not None:
        return least
    return " and ".join(f"at {side} {bound}" for side, bound in (("least", least), ("most", most)) if bound is not None)
