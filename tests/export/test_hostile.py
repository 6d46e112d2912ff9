"""Runs whose every text is an attack: what is exported of them holds it as data, or there is no export."""

from __future__ import annotations

import ast
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.export.plain_test import plain_test
from pytest_fluxrun.export.program import HostClass, Place, Program
from pytest_fluxrun.run import Interaction, Run
from pytest_fluxrun.values import Value, dump_error, encode
from tests.export.conftest import answer, call, request_run

CODE = "__import__('os').system('id')"
QUOTES = f'"""\n{CODE}\n"\'\\'


def _price(*_args: object, **_kwargs: object) -> None: ...


class _Captured:
    __wrapped__ = staticmethod(_price)


def _program(target: object = None) -> Program:
    return Program(Place("till", "app"), target, {"rates": HostClass(Place("till", "Rates"), frozenset())})


def _run(*calls: Interaction, **outcome: Any) -> Run:
    run = replace(request_run(calls=calls), entry_kind="wsgi")
    return replace(run, outcome={**run.outcome, **outcome})


def _error(type_name: str) -> Value:
    return {**dump_error(ValueError(CODE)), "type": type_name}


def _call(kind: str, request: dict[str, Any], given: Any = None, error: Value = None) -> Interaction:
    boundary = "sqlite3" if kind == "sql" else kind
    return Interaction(
        boundary=boundary, kind=kind, schema=1, lane=0, started_ns=0, ended_ns=1, request=encode(request),
        answer=given, error=error, failed=error is not None,
    )  # fmt: skip


def _sql(statement: str = "SELECT 1", given: Any = None, error: Value = None) -> Interaction:
    asked = {"database": "d", "sql": statement, "binds": [QUOTES], "many": False}
    return _call("sql", asked, encode(given), error)


def _host(method: str = "get", **given: Any) -> Interaction:
    return _call("host", {"target": "rates", "method": method, "args": [QUOTES], "kwargs": {QUOTES: 1}}, **given)


def _function(arguments: dict[str, Any], **outcome: Any) -> Run:
    return replace(_run(), entry_kind="function", input={"args": [], **arguments}, outcome=outcome)


_ROWS = {"columns": [QUOTES], "rows": [[QUOTES]], "rowcount": -1, "lastrowid": None}
_WRITTEN: dict[str, Callable[[], Run]] = {
    "request": lambda: replace(
        request_run(f"GET{QUOTES}", f"/{QUOTES}", query=QUOTES, headers=((QUOTES, QUOTES),), body=QUOTES),
        entry=QUOTES, tokens=(QUOTES,),
    ),
    "answer": lambda: _run(call({"url": QUOTES, "method": QUOTES}, answer(200, QUOTES, ((QUOTES, QUOTES),)))),
    "error of httpx": lambda: _run(replace(call({"url": "/"}, error=httpx.ReadTimeout(QUOTES)))),
    "error of another name": lambda: _run(
        replace(call({"url": "/"}, error=httpx.ReadTimeout("")), error=_error("httpx:Client"))
    ),
    "rows": lambda: _run(_sql(f"SELECT '{QUOTES}'", _ROWS)),
    "error of sqlite3": lambda: _run(_sql(error=dump_error(sqlite3.IntegrityError(QUOTES)))),
    "code for an error of sqlite3": lambda: _run(_sql(error=_error(f"sqlite3:Error({CODE}) or Error"))),
    "function for an error": lambda: _run(_host(error=_error("builtins:eval"))),
    "method": lambda: _run(_host(f'get", {CODE}, "', given={"value": encode(1)})),
    "arguments": lambda: _run(_host(given={"value": encode(QUOTES)})),
    "keywords": lambda: _function({"kwargs": encode({f"a=1) or {CODE} #": 1})}, returned=encode(QUOTES)),
    "what a function returned": lambda: _function({"kwargs": {}}, returned={"$decimal": f"x\n    {CODE}"}),
    "environment": lambda: replace(
        _run(), recording=replace(_run().recording, reads={"environment": {QUOTES: [QUOTES]}})
    ),
}  # fmt: skip
_REFUSED: dict[str, Callable[[], Run]] = {
    "module of the error": lambda: _run(response=None, error=_error(f"os\n{CODE}:Error")),
    "name of the error": lambda: _run(response=None, error=_error(f"builtins:ValueError if {CODE} else ValueError")),
    "function as the error": lambda: _run(response=None, error=_error("builtins:exec")),
    "module that isn't imported": lambda: _run(response=None, error=_error("antigravity:Error")),
    "status": lambda: _run(response={**_run().outcome["response"], "status": f"200\n    {CODE}"}),
    "status of a call": lambda: _run(call({"url": "/"}, {**answer(), "status": CODE})),
}


@pytest.mark.parametrize("name", _WRITTEN)
def test_nothing_of_a_run_becomes_code(name: str) -> None:
    """The file compiles, and what looks like code in the run is in strings and comments alone."""
    run = _WRITTEN[name]()

    source = plain_test(run, _program(_Captured())).source

    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    assert set() == names & {"__import__", "eval", "exec"}


@pytest.mark.parametrize("name", _REFUSED)
def test_what_could_only_be_code_is_refused(name: str) -> None:
    """Names that the live program doesn't have, and statuses that are no numbers."""
    with pytest.raises(FluxRunError):
        plain_test(_REFUSED[name](), _program())


def test_calls_that_could_not_be_recorded_and_empty_statements_are_left_to_the_reader() -> None:
    """They are listed, and stop no export."""
    lost = _call("sql", {"undumpable": "a cursor"})

    exported = plain_test(_run(lost, _sql(" ", {"columns": None, "rows": [], "rowcount": -1})), _program())

    assert 2 == exported.by_hand
    assert "call 1, sqlite3: it could not be recorded: a cursor" in exported.source


def test_an_error_comes_again_with_its_arguments_and_attributes() -> None:
    """Not only its text: an app asks an OSError for its number, SQLite's for its code."""
    denied = dump_error(PermissionError(13, "denied", "/rates"))
    unique = sqlite3.IntegrityError("UNIQUE")
    unique.sqlite_errorcode = 2067

    exported = plain_test(_run(_host(error=denied), _sql(error=dump_error(unique))), _program())

    assert 0 == exported.by_hand
    assert "having(PermissionError(13, 'denied'), {'filename': '/rates'})" in exported.source
    assert "having(sqlite3.IntegrityError('UNIQUE'), {'sqlite_errorcode': 2067})" in exported.source
    assert "def having(" in exported.source
