"""Where two outcomes differ, by path. Pure. Nothing is masked but what a guard ignores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from pytest_fluxrun.judgement.comparison.content import Content, content_of
from pytest_fluxrun.judgement.comparison.difference import ABSENT, OutcomeDifference, differing, matches_path
from pytest_fluxrun.judgement.comparison.errors import error_differences
from pytest_fluxrun.judgement.comparison.headers import header_differences
from pytest_fluxrun.judgement.comparison.trees import trees, values

__all__ = ["compare_outcomes", "is_failure"]

_FIRST_SERVER_ERROR: Final = 500


def compare_outcomes(recorded: Any, replayed: Any, ignored: Iterable[str] = ()) -> list[OutcomeDifference]:
    """Differences between two outcomes, in the order: response, return value, error, state.

    Args:
        ignored: paths of the guard; each also covers what lies beneath it. `[*]` stands for any index.
    """
    ignored = tuple(ignored)
    found = [
        *_responses(recorded.get("response"), replayed.get("response")),
        *values("returned", recorded.get("returned"), replayed.get("returned")),
        *error_differences(recorded.get("error"), replayed.get("error")),
        *values("state", recorded.get("state", ABSENT), replayed.get("state", ABSENT)),
    ]
    return [difference for difference in found if not any(_covers(rule, difference.path) for rule in ignored)]


def is_failure(outcome: Any) -> bool:
    """Whether an outcome is a failure: a raised error, a 5xx, an answer cut short, or none where one was due."""
    if outcome.get("error") is not None or outcome.get("disconnected"):
        return True
    if "response" not in outcome:
        return False
    response = outcome["response"]
    return response is None or response["status"] >= _FIRST_SERVER_ERROR or not response["complete"]


def _covers(rule: str, path: str) -> bool:
    """Whether a rule covers a place; one for the header covers the cookies that it sets."""
    return matches_path(path, rule) or (
        path.startswith("response.cookies") and matches_path("response.headers.set-cookie", rule)
    )


def _responses(recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    if recorded is None or replayed is None:
        if recorded is not replayed:
            yield differing("response", _summary(recorded), _summary(replayed))
        return
    if recorded["status"] != replayed["status"]:
        yield differing("response.status", recorded["status"], replayed["status"])
    elif recorded.get("reason") != replayed.get("reason"):
        yield differing("response.reason", recorded.get("reason", ABSENT), replayed.get("reason", ABSENT))
    yield from _bodies(recorded, replayed)
    yield from header_differences(recorded, replayed)
    yield from values("response.messages", recorded.get("messages", []), replayed.get("messages", []))
    if recorded["complete"] != replayed["complete"]:
        yield differing("response.complete", recorded["complete"], replayed["complete"])


def _bodies(recorded: Any, replayed: Any) -> Iterator[OutcomeDifference]:
    """Two bodies: by place where both are of one form that has places, else as wholes."""
    if recorded["body"] == replayed["body"]:
        return
    before, after = content_of(recorded), content_of(replayed)
    found = _by_place(before, after) if before.form == after.form else None
    if found is not None:
        yield from found
    elif before.raw != after.raw:
        yield differing("response.body", before.raw, after.raw)


def _by_place(before: Content, after: Content) -> list[OutcomeDifference] | None:
    """Where two bodies of one form differ; None where they are nested too deep for that."""
    try:
        return list(trees("response.body", before.value, after.value))
    except RecursionError:
        return None


def _summary(response: Any) -> Any:
    return ABSENT if response is None else f"status {response['status']}"
