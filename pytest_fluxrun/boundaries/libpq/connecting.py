"""Connecting across the boundary: at replay a played connection, and in its waits no socket."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from pytest_fluxrun.boundaries.libpq.answer import Answer, Failed
from pytest_fluxrun.boundaries.libpq.driving import Crossing, Driven, aplay, play, thrown_away
from pytest_fluxrun.boundaries.libpq.exchanging import results_of
from pytest_fluxrun.boundaries.libpq.played import PlayedConnection
from pytest_fluxrun.boundaries.libpq.side import facts_of
from pytest_fluxrun.boundaries.libpq.statement import Asked
from pytest_fluxrun.boundary import Boundary, Call, Patch, Uncovered
from pytest_fluxrun.context import beneath, crossing

__all__ = ["Connecting"]


class _Replication(Uncovered):
    """Connections that stream the server's log."""

    name = "psycopg with replication"
    modules = ("psycopg",)
    instead = "call what reads the replication stream through fluxrun.host"

    def patches(self, module: Any) -> Iterable[Patch]:
        """It has no seams of its own."""
        del module
        return ()


_REPLICATION: Final = _Replication()
_UNTOLD: Final = frozenset({"password", "sslpassword", "sslkey", "passfile"})


class Connecting:
    """The seams around connecting, and around the waits of what is connected."""

    def __init__(self, boundary: Boundary[Answer]) -> None:
        self._boundary = boundary

    def wrap_connect(self, original: Callable[[str], Any]) -> Callable[[str], Any]:
        """`generators.connect`."""

        @functools.wraps(original)
        def connect(conninfo: str, *how: Any, **named: Any) -> Any:
            session = crossing()
            if session is None or (session.closed and not session.answers):
                return original(conninfo, *how, **named)
            options = conninfo_to_dict(conninfo)
            if options.get("replication"):
                session.uncovered(_REPLICATION)
            asked = Asked(session, str(options.get("dbname") or ""), b"CONNECT")
            if session.answers:
                return self._played(session, asked, options)
            return self._recorded(session, asked, functools.partial(original, conninfo, *how, **named))

        return connect

    def _recorded(self, session: Any, asked: Asked, original: Callable[[], Any]) -> Any:
        opened: list[Any] = []
        answer = Answer()

        async def live() -> Answer:
            try:
                opened.append(await Driven(original()))
                answer.facts = facts_of(opened[0], whole=True)
            except errors.Error as error:
                answer.failure = error
                raise Failed(answer) from None
            return answer

        with suppress(Failed):
            yield from session.acall(self._boundary, Call(asked.form), live).__await__()
        results_of(answer)
        return opened[0]

    def _played(self, session: Any, asked: Asked, options: dict[str, Any]) -> Any:
        call = Call(asked.form, Answer)
        facts = None
        if not session.closed:
            try:
                answer = yield Crossing(session, call)
            except Failed as failed:
                answer = failed.answer
            results_of(answer)
            facts = answer.facts
        given = {name: str(value).encode() for name, value in options.items() if value is not None}
        return PlayedConnection(session, facts, given)

    def wrap_wait(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`Connection.wait` and `AsyncConnection.wait`: of a live connection, a crossing ends with the wait for it."""
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def await_answer(connection: Any, gen: Any, *how: Any, **named: Any) -> Any:
                if type(connection.pgconn) is PlayedConnection:
                    return await aplay(self._boundary, gen)
                try:
                    return await original(connection, gen, *how, **named)
                except BaseException as error:
                    thrown_away(gen, error)
                    raise

            return await_answer

        @functools.wraps(original)
        def wait(connection: Any, gen: Any, *how: Any, **named: Any) -> Any:
            if type(connection.pgconn) is PlayedConnection:
                return play(self._boundary, gen)
            try:
                return original(connection, gen, *how, **named)
            except BaseException as error:
                thrown_away(gen, error)
                raise

        return wait

    def wrap_wait_conn(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`waiting.wait_conn` and `wait_conn_async`."""
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def await_connecting(gen: Any, *how: Any, **named: Any) -> Any:
                session = crossing()
                if session is not None and session.answers:
                    return await aplay(self._boundary, gen)
                try:
                    return await original(gen, *how, **named)
                except BaseException as error:
                    thrown_away(gen, error)
                    raise

            return await_connecting

        @functools.wraps(original)
        def wait_conn(gen: Any, *how: Any, **named: Any) -> Any:
            session = crossing()
            if session is not None and session.answers:
                return play(self._boundary, gen)
            try:
                return original(gen, *how, **named)
            except BaseException as error:
                thrown_away(gen, error)
                raise

        return wait_conn

    def wrap_attempts(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`conninfo_attempts` and `conninfo_attempts_async`: which hosts there are is asked of nobody at replay."""
        if inspect.iscoroutinefunction(original):

            @functools.wraps(original)
            async def aattempts(params: Any) -> Any:
                session = crossing()
                if session is None:
                    return await original(params)
                if session.answers:
                    return _attempts(session, params, lambda: [{}])
                with beneath():
                    found = await original(params)
                return _attempts(session, params, lambda: _differing(params, found))

            return aattempts

        @functools.wraps(original)
        def attempts(params: Any) -> Any:
            session = crossing()
            if session is None:
                return original(params)
            if session.answers:
                return _attempts(session, params, lambda: [{}])
            with beneath():
                found = original(params)
            return _attempts(session, params, lambda: _differing(params, found))

        return attempts


def _differing(params: dict[str, Any], attempts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each attempt has otherwise than what was asked for: an address; never how it proves who it is."""
    return [
        {name: value for name, value in one.items() if name not in _UNTOLD and params.get(name) != value}
        for one in attempts
    ]


def _attempts(session: Any, params: dict[str, Any], live: Callable[[], Any]) -> list[dict[str, Any]]:
    return [{**params, **differing} for differing in session.read("psycopg", "attempts", live)]
