"""Routes of respx that answer calls which a run lacks: what the fixture `fluxrun_respx` gives is asked between replays.

A replay ends at its first miss; where a route matches that call, its response becomes an answer in words, given once,
and the run is replayed again. So routes also answer runs that are replayed in a process of their own.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.run import HandAnswer, Run
from pytest_fluxrun.values import decode

if TYPE_CHECKING:
    import httpx
    from respx.router import Router

    from pytest_fluxrun.execution.stage import Shown

__all__ = ["replayed_with_routes"]

_MOST: Final = 100
_OF_THE_BODY: Final = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that say how a body was sent, which a route's never was."""


def replayed_with_routes(run: Run, router: Router | None, replay: Callable[[Run], Shown]) -> tuple[Run, Shown]:
    """A replay for which routes answer what the run lacks, and the run with their answers.

    Raises:
        FluxRunError: a route fails, passes a request through, or more than 100 calls are lacking.
    """
    shown = replay(run)
    for _ in range(_MOST):
        answer = None if router is None or shown.evidence.lacked is None else _answer(shown.evidence.lacked, router)
        if answer is None:
            return run, shown
        run = replace(run, answers=(*run.answers, answer))
        shown = replay(run)
    raise FluxRunError(
        f"routes of fluxrun_respx answered {_MOST} calls, and run {run.id[:10]} asks for more",
        why="each is asked between two replays of the run",
        next_step="record the changed behaviour as a run of its own",
    )


def _answer(lacked: Mapping[str, Any], router: Router) -> HandAnswer | None:
    """What a route says to a call that was missed; None where no route matches, or the call is none of HTTP's."""
    import httpx
    from respx.models import AllMockedAssertionError, PassThrough

    if lacked["kind"] != "http":
        return None
    asked = decode(lacked["request"])
    body = asked["body"]
    request = httpx.Request(
        asked["method"],
        asked["url"],
        headers=[(name, value) for name, value in asked["headers"]],
        content=body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body),
    )
    try:
        response = router.handler(request)
    except AllMockedAssertionError:
        return None
    except (PassThrough, httpx.HTTPError) as error:
        raise FluxRunError(
            f"a route of fluxrun_respx has no answer to {lacked['call']}",
            why=f"it raises {type(error).__name__}: {error}",
            next_step="let it respond: nothing gets out of a replay, and an error that a run lacks can't be made up",
        ) from error
    return HandAnswer(lacked["call"], _words(response), once=True)


def _words(response: httpx.Response) -> dict[str, Any]:
    headers: dict[str, list[str]] = {}
    for name, value in response.headers.multi_items():
        if name not in _OF_THE_BODY:
            headers.setdefault(name, []).append(value)
    return {
        "status": response.status_code,
        "headers": headers,
        "base64": base64.b64encode(response.read()).decode(),
    }
