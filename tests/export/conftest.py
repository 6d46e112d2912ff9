"""Runs as entries record them, made up in memory: what is exported needs no key and no file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_fluxrun.run import Interaction, LaneSpec, Recording, Run
from pytest_fluxrun.values import dump_error, encode

STARTED_NS = 1_760_000_000_000_000_000


def call(
    request: dict[str, Any], answer: Any = None, *, error: BaseException | None = None, **given: Any
) -> Interaction:
    """An interaction over HTTP, of 2 ms."""
    asked = {"method": "GET", "headers": [], "body": "", "streamed": False} | request
    return Interaction(
        **{"boundary": "httpx", "kind": "http", "schema": 1, "lane": 0} | given,
        started_ns=1_000_000,
        ended_ns=3_000_000,
        request=encode(asked),
        answer=encode(answer),
        error=None if error is None else dump_error(error),
        failed=error is not None,
    )


def answer(status: int = 200, body: str | bytes = "", headers: tuple[tuple[str, str], ...] = ()) -> dict[str, Any]:
    """A recorded HTTP answer."""
    return {"status": status, "headers": [list(pair) for pair in headers], "http_version": "HTTP/1.1", "reason": "OK",
            "chunks": [body], "times_ns": [0], "end": "eof", "ended_ns": 0, "error": None}  # fmt: skip


def request_run(
    method: str = "POST",
    path: str = "/orders",
    *,
    query: str = "",
    headers: tuple[tuple[str, str], ...] = (("host", "shop.example"),),
    body: str | bytes = "",
    calls: tuple[Interaction, ...] = (),
) -> Run:
    """A request that got a 201."""
    scope = {"type": "http", "http_version": "1.1", "scheme": "https", "method": method, "path": path, "raw_path": path,
             "query_string": query, "headers": [list(pair) for pair in headers]}  # fmt: skip
    response = {"status": 201, "headers": [["content-type", "application/json"]], "body": '{"id": 7}', "complete": True}
    return Run(
        id="01m8hc5f5se5fr9nq9bw56v0g7",
        project="shop",
        entry="shop",
        entry_kind="asgi",
        input=encode({"scope": scope, "events": [[0, "http.request", body, False]]}),
        outcome={"response": response, "error": None, "disconnected": False},
        recording=Recording(STARTED_NS, 0, 0, 5_000_000, lanes=(LaneSpec((), ()),), interactions=calls),
    )


@pytest.fixture
def websocket_run() -> Run:
    """What no request invoked."""
    run = request_run()
    scope = {**run.input["scope"], "type": "websocket", "method": None}
    return replace(run, input={**run.input, "scope": scope})
