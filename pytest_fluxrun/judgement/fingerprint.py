"""Which failed runs are of one issue: a fingerprint of the failure, without what differs from run to run. Pure.

Of a raised error: the types in its chain, the app's frames, and the call that failed beneath it. Of another failure:
how the request ended, its entry and route. Values, line numbers and messages are no part of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.judgement.comparison import is_failure
from pytest_fluxrun.registry import built_in_kind
from pytest_fluxrun.run import Interaction, Run
from pytest_fluxrun.values import plain

__all__ = ["Fingerprint", "fingerprint"]

_ID_LENGTH: Final = 10
_LONGEST_CHAIN: Final = 16
_FIRST_ERROR: Final = 400
_WORD: Final = re.compile(r"'[^']*'|[\w-]+")
_LIST: Final = re.compile(r"(\?|%s|\{\})(?:,\s*\1)+")
_ID: Final = re.compile(r"\d[\w-]*|(?=[a-f-]*\d)[0-9a-f-]{8,}|(?=\D*\d)[\w-]{16,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What an issue is told by.

    Attributes:
        id: ten hex digits.
        text: the failure on one line, of the run that it was taken from.
    """

    id: str
    text: str


def fingerprint(run: Run, *, route: str = "") -> Fingerprint | None:
    """The fingerprint of a failed run; None of one that went well.

    Runs that were recorded before frames were kept are told by entry and route in their place, and so are errors that
    no code of the app let through.

    Args:
        route: method and template, as the index holds it; "" where that isn't known.
    """
    outcome = plain(run.outcome)
    if not is_failure(run.outcome):
        return None
    error = outcome.get("error")
    where = [run.entry, route or _path(run)]
    call = _failing_call(run)
    if not error:
        ending = _ending(outcome)
        return _made(["ended", ending, *where, call], f"{ending}{f' after {call}' if call else ''}")
    frames = [name for name, _ in groupby(error.get("frames", ()))]
    told = [*_chain(error), *(["frames", *frames] if frames else ["at", *where]), call]
    place = f" in {frames[-1]}" if frames else ""
    name = _short(error["type"])
    message = " ".join(str(error.get("message", "")).split())
    return _made(["raised", *told], f"{name}{place}{f': {message}' if message else ''}")


def _made(parts: list[str], text: str) -> Fingerprint:
    return Fingerprint(hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_ID_LENGTH], text)


def _ending(outcome: Any) -> str:
    response = outcome.get("response")
    if outcome.get("disconnected"):
        return "the client left"
    if not response:
        return "no answer"
    return str(response["status"]) if response.get("complete", True) else f"{response['status']}, cut short"


def _chain(error: Any) -> Iterator[str]:
    """The types of an error, of what it was raised from, and of the members of a group, each once."""
    waiting, told = [error], list[str]()
    while waiting and len(told) < _LONGEST_CHAIN:
        one = waiting.pop(0)
        if one["type"] not in told:
            told.append(one["type"])
        below = one.get("cause") or (None if one.get("suppress") else one.get("context"))
        waiting += [each for each in (below, *one.get("group", ())) if isinstance(each, dict)]
    yield from told


def _short(name: str) -> str:
    return name.rpartition(":")[2].rpartition(".")[2]


def _failing_call(run: Run) -> str:
    """The shape of the last call, where that failed: `httpx POST https://pay.example/charges/{}`; else ""."""
    made = run.recording.interactions
    last = max(made, key=lambda one: one.ended_ns, default=None)
    if last is None or not (last.failed or _status(last) >= _FIRST_ERROR):
        return ""
    kind = built_in_kind(last.kind)
    if kind is None:
        return last.boundary
    try:
        return f"{last.boundary} {_normalised(kind.operation(plain(last.request)))}"
    except (FluxRunError, LookupError, TypeError, ValueError, AttributeError):  # a form that its kind no longer reads
        return last.boundary


def _status(one: Interaction) -> int:
    answer = one.answer
    status = answer.get("status") if isinstance(answer, dict) else None
    return status if isinstance(status, int) else 0


def _path(run: Run) -> str:
    """Method and path of the request, what looks like an id as `{}`; "" where there is none."""
    invoked = plain(run.input)
    scope = invoked.get("scope") if isinstance(invoked, dict) else None
    return _normalised(f"{scope.get('method', '')} {scope.get('path', '')}") if isinstance(scope, dict) else ""


def _normalised(target: str) -> str:
    """A call's target without its values: ids, numbers and quoted texts as `{}`, a list of binds as one."""
    bare = _WORD.sub(lambda found: "{}" if found[0][0] == "'" or _ID.fullmatch(found[0]) else found[0], target)
    return _LIST.sub(r"\1", bare)
