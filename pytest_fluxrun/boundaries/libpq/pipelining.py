"""Pipelines: each statement crosses when its result is handed out."""

# ruff: noqa: SLF001 - the seams lie in what psycopg keeps to itself
from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Final

from psycopg import pq

from pytest_fluxrun.boundaries.libpq.answer import Answer, Failed, PlayedResult
from pytest_fluxrun.boundaries.libpq.driving import Crossing
from pytest_fluxrun.boundaries.libpq.exchanging import Exchanges, results_of
from pytest_fluxrun.boundaries.libpq.local import local_answer
from pytest_fluxrun.boundaries.libpq.played import PlayedConnection
from pytest_fluxrun.boundaries.libpq.side import Side, side_of
from pytest_fluxrun.boundaries.libpq.statement import Asked
from pytest_fluxrun.boundary import Call
from pytest_fluxrun.context import crossing

__all__ = ["Pipelining"]

_ASKED: Final = "_fluxrun_asked"
"""The attribute of a pipeline that holds what is in flight: an Asked, or the name of what libpq alone was asked."""
_PREPARED: Final = "_fluxrun_prepared"
"""The attribute of a connection that holds what its pipelines have prepared: name → (SQL, types)."""
_PIPELINE_ABORTED: Final = pq.PipelineStatus.ABORTED
_SYNC: Final = int(pq.ExecStatus.PIPELINE_SYNC)
_COMMAND_OK: Final = int(pq.ExecStatus.COMMAND_OK)
_ABORTED: Final = int(pq.ExecStatus.PIPELINE_ABORTED)


class Pipelining:
    """The seams around pipelines."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges
        self._boundary = exchanges.boundary

    def wrap_communicate(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`BasePipeline._communicate_gen`: sends what is queued, and hands out the results that have come by then."""

        @functools.wraps(original)
        def _communicate_gen(pipeline: Any) -> Any:
            session = crossing()
            return original(pipeline) if session is None else self._communicate(session, pipeline, original)

        return _communicate_gen

    def _communicate(self, session: Any, pipeline: Any, original: Callable[..., Any]) -> Any:
        side = side_of(pipeline._conn, session)
        in_flight = self._in_flight(pipeline)
        commands = pipeline.command_queue
        in_flight.extend([""] * (len(pipeline.result_queue) - len(commands) - len(in_flight)))  # sent before the run
        in_flight.extend(_asked(pipeline._conn, session, side, command) for command in commands)
        if type(pipeline.pgconn) is PlayedConnection:
            pipeline.pgconn.come = session.read("psycopg", "pipelined", lambda: 0)
            yield from original(pipeline)
            return
        before = len(in_flight)
        if side.answer is None:  # what comes along belongs to the next statement whose result is handed out
            side.answer = Answer()
        try:
            yield from original(pipeline)
        finally:
            came = before - len(in_flight)
            session.read("psycopg", "pipelined", lambda: came)

    def _in_flight(self, pipeline: Any) -> deque[Any]:
        in_flight: deque[Any] | None = pipeline.__dict__.get(_ASKED)
        if in_flight is None:
            in_flight = pipeline.__dict__[_ASKED] = deque()
            if type(pipeline.pgconn) is PlayedConnection:
                pipeline.pgconn.in_flight = in_flight
        return in_flight

    def wrap_process(self, original: Callable[..., None]) -> Callable[..., None]:
        """`BasePipeline._process_results`."""

        @functools.wraps(original)
        def _process_results(pipeline: Any, queued: Any, results: list[Any]) -> None:
            in_flight = pipeline.__dict__.get(_ASKED)
            if in_flight and type(pipeline.pgconn) is not PlayedConnection:
                asked = in_flight.popleft()
                if not isinstance(asked, str) and crossing() is asked.session:
                    self._tell(asked, results)
            original(pipeline, queued, results)

        return _process_results

    def _tell(self, asked: Asked, results: list[Any]) -> None:
        """Cross with results that are there. The transaction's state is told by no result, but by what was asked."""
        answer = Answer(list(results))
        if asked.side.answer is not None:
            answer.notices, asked.side.answer.notices = asked.side.answer.notices, ()
            answer.notifies, asked.side.answer.notifies = asked.side.answer.notifies, ()

        def live() -> Answer:
            if answer.failed():
                raise Failed(answer)
            return answer

        with suppress(Failed):
            asked.session.call(self._boundary, Call(asked.form), live)

    def wrap_pipeline_communicate(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`generators.pipeline_communicate`."""

        @functools.wraps(original)
        def pipeline_communicate(pgconn: Any, commands: deque[Any]) -> Any:
            return (_play if type(pgconn) is PlayedConnection else original)(pgconn, commands)

        return pipeline_communicate

    def wrap_fetch_many(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`generators.fetch_many`, which pipelines alone use."""

        @functools.wraps(original)
        def fetch_many(pgconn: Any) -> Any:
            return (_play_next if type(pgconn) is PlayedConnection else original)(pgconn)

        return fetch_many


def _asked(connection: Any, session: Any, side: Side, command: Any) -> Asked | str:
    """What a queued command sends; the name of what libpq alone is asked."""
    sends = getattr(command, "func", command)
    name = str(sends.__name__)
    prepared = connection.__dict__.setdefault(_PREPARED, {})
    if name == "send_prepare":
        statement, sql = command.args
        prepared[statement] = sql, command.keywords.get("param_types") or ()
    if name not in ("send_query_params", "send_query_prepared"):
        return name
    sent, params = command.args
    formats, types = command.keywords.get("param_formats"), command.keywords.get("param_types") or ()
    if name == "send_query_prepared":
        sent, types = prepared.get(sent) or _known(connection, sent)
    asked = Asked(session, side, sent)
    asked.bind_to(params, types, formats)
    return asked


def _known(connection: Any, statement: bytes) -> tuple[bytes, Any]:
    """A statement that was prepared before the run, from psycopg's own memory of it."""
    return next((key for key, name in connection._prepared._names.items() if name == statement), (statement, ()))


def _play(pgconn: PlayedConnection, commands: deque[Any]) -> Generator[Any, Any, list[list[Any]]]:
    while commands:
        commands.popleft()()
    results = []
    for _ in range(min(pgconn.come, len(pgconn.in_flight))):
        results.append((yield from _play_next(pgconn)))  # noqa: PERF401 - no comprehension may yield
    return results


def _play_next(pgconn: PlayedConnection) -> Generator[Any, Any, list[Any]]:
    if not pgconn.in_flight:
        return []
    asked = pgconn.in_flight.popleft()
    if asked == "pipeline_sync":
        pgconn.end_abort()
        return [PlayedResult(_SYNC)]
    if isinstance(asked, str):
        return [PlayedResult(_ABORTED if pgconn.pipeline_status == _PIPELINE_ABORTED else _COMMAND_OK)]
    local = local_answer(pgconn, asked.sql)
    try:
        answer: Answer = yield Crossing(asked.session, Call(asked.form, local))
    except Failed as failed:
        answer = failed.answer
    if local is not None and not answer.failed() and answer.results[-1].status != _ABORTED:
        follows = local()
        answer.before, answer.after = follows.before, follows.after
    pgconn.take(answer)
    if answer.failed():
        pgconn.pipeline_status = _PIPELINE_ABORTED
    return results_of(answer)
