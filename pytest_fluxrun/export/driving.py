"""How an exported test invokes the app, and what it asserts of what came out. Pure but for reading live annotations."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from pytest_fluxrun.entries.calling import live_arguments, live_result
from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.export.exchanges import Answer, Request, incoming, response_of, sent_header
from pytest_fluxrun.export.literals import arguments, called, comment
from pytest_fluxrun.export.made_anew import MadeAnew
from pytest_fluxrun.export.parts import Part
from pytest_fluxrun.export.program import Program
from pytest_fluxrun.export.raised import class_of
from pytest_fluxrun.judgement.comparison import body_of, joined_headers
from pytest_fluxrun.run import Run
from pytest_fluxrun.values import plain

__all__ = ["drive_of"]

_CLIENTS_OWN: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})
_COMPARED_HEADERS: Final = ("content-type", "location")
_LONGEST_TEXT: Final = 4_000


def drive_of(run: Run, program: Program) -> Part:
    """The part that imports and invokes the entry; `inside` ends with the invocation.

    Raises:
        FluxRunError: a plain test can't invoke this kind of entry so.
    """
    drivers: dict[str, Callable[[Run, Program], Part]] = {"asgi": _asgi, "wsgi": _wsgi, "function": _function}
    driver = drivers.get(run.entry_kind)
    if driver is None:
        raise FluxRunError(
            f"run {run.id} can't be exported as a plain test",
            why=f"its entry is {run.entry_kind}; a plain test drives {', '.join(drivers)}",
            next_step="keep the run as a guard instead: `fluxrun expect RUN`",
        )
    return driver(run, program)


# -- requests


def _asgi(run: Run, program: Program) -> Part:
    request = _answered_request(run)
    scope = plain(run.input)["scope"]
    client = scope.get("client")
    given = f", client={tuple(client)!r}" if client else ""
    given += f", root_path={scope['root_path']!r}" if scope.get("root_path") else ""
    drive = (
        "async def drive() -> httpx.Response:",
        f"    transport = httpx.ASGITransport(noting(app, raised), raise_app_exceptions={_raises(run)}{given})",
        "    async with httpx.AsyncClient(transport=transport) as client:",
        f"        return await client.request({request.method!r}, {request.url!r}, headers=HEADERS, content=BODY)",
        "",
    )
    part = Part("the request", {"asyncio", "httpx"}, _NOTING_ASGI, _request_text(request))
    part.before = [_imported(program), "", "raised: list[Exception] = []", "", *drive]
    return _with_outcome(part, run, "asyncio.run(drive())")


def _wsgi(run: Run, program: Program) -> Part:
    request, answer = _answered_request(run), response_of(run)
    if answer is not None and not all(value.isascii() for _, value in answer.headers):
        raise FluxRunError(
            f"run {run.id} can't be exported as a plain test",
            why="its answer has a header beyond ASCII, which httpx's transport for WSGI doesn't take",
            next_step="keep the run as a guard instead: `fluxrun expect RUN`",
        )
    drive = (
        "def drive() -> httpx.Response:",
        f"    transport = httpx.WSGITransport(noting(app, raised), raise_app_exceptions={_raises(run)})",
        "    with httpx.Client(transport=transport) as client:",
        f"        return client.request({request.method!r}, {request.url!r}, headers=HEADERS, content=BODY)",
        "",
    )
    beyond = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers if not value.isascii()}
    ascii_only = replace(request, headers=tuple(pair for pair in request.headers if pair[1].isascii()))
    data = f"{_request_text(ascii_only)}BEYOND_ASCII = {called(beyond, set())}\n"
    part = Part("the request", {"httpx"}, _NOTING_WSGI, data)
    part.before = [_imported(program), "", "raised: list[Exception] = []", "", *drive]
    return _with_outcome(part, run, "drive()")


def _imported(program: Program) -> str:
    renamed = "" if program.entry.name == "app" else " as app"
    return f"from {program.entry.module} import {program.entry.name}{renamed}"


def _answered_request(run: Run) -> Request:
    request, outcome = incoming(run), plain(run.outcome)
    response = outcome.get("response")
    if outcome.get("disconnected") or (response and not response.get("complete", True)):
        raise FluxRunError(
            f"run {run.id} can't be exported as a plain test",
            why="its client left, or the answer was cut short, which a test's client doesn't do",
            next_step="keep the run as a guard instead: `fluxrun expect RUN`",
        )
    return request


def _raises(run: Run) -> bool:
    return not run.outcome.get("response")


def _request_text(request: Request) -> str:
    imports: set[str] = set()
    headers = [sent_header(*pair) for pair in request.headers if pair[0].lower() not in _CLIENTS_OWN]
    try:
        body: str | bytes = request.body.decode()
    except UnicodeDecodeError:
        body = request.body
    return f"HEADERS = {called(headers, imports)}\nBODY = {called(body, imports)}\n"


_NOTING_ASGI = '''\
def noting(app, raised: list[Exception]):
    """The app, and what it lets out to its server."""

    async def noted(scope, receive, send) -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:
            raised.append(error)
            raise

    return noted
'''
_NOTING_WSGI = '''\
def noting(app, raised: list[Exception]):
    """The app, and what it lets out to its server."""

    def noted(environ, start_response):
        environ.update(BEYOND_ASCII)
        try:
            return app(environ, start_response)
        except Exception as error:
            raised.append(error)
            raise

    return noted
'''


def _with_outcome(part: Part, run: Run, drive: str) -> Part:
    outcome, made = run.outcome, MadeAnew(run)
    error = outcome.get("error")
    answer = response_of(run)
    if answer is None:
        if not error:
            raise FluxRunError(f"run {run.id} can't be exported as a plain test", why="it has no outcome to assert")
        _expect_error(part, error, made, drive)
        return part
    part.inside.append(f"response = {drive}")
    part.asserts += _response(answer, outcome["response"], made, part.imports)
    if not any(
        "response.json()" in line or "response.content" in line or "response.text" in line for line in part.asserts
    ):
        part.left.append("the body: the clock, randomness or a redacted secret is in it")
    if error:
        name = str(error["type"]).rpartition(":")[2].rpartition(".")[2]
        part.asserts.append(
            f"assert [type(error).__name__ for error in raised] in ([], [{name!r}])  # []: the framework keeps it"
        )
    return part


def _response(answer: Answer, response: Any, made: MadeAnew, imports: set[str]) -> list[str]:
    asserts = [f"assert response.status_code == {answer.status}"]
    headers = joined_headers(response)
    told = [name for name in _COMPARED_HEADERS if name in headers and not made.is_made(headers[name])]
    asserts += (_header_assert(name, headers[name]) for name in told)
    return [*asserts, *_body(body_of(response), made, imports)]


def _header_assert(name: str, value: str) -> str:
    if value.isascii():
        return f"assert response.headers[{name!r}] == {value!r}"
    pair = tuple(part.encode("latin-1", "surrogateescape") for part in (name, value))
    return f"assert {pair!r} in [(name.lower(), value) for name, value in response.headers.raw]"


def _body(body: Any, made: MadeAnew, imports: set[str]) -> list[str]:
    if isinstance(body, dict | list) or body is None or isinstance(body, bool | int | float):
        masked = made.masked(body)
        note = "" if masked == body else "  # ANY: made of the clock, of randomness or of a redacted secret"
        return [f"assert response.json() == {_placed(called(masked, imports), imports)}{note}"]
    if made.is_made(body):
        return []
    if len(body) > _LONGEST_TEXT:
        data = body.encode() if isinstance(body, str) else body
        imports.add("hashlib")
        return [f"assert hashlib.sha256(response.content).hexdigest() == {hashlib.sha256(data).hexdigest()!r}"]
    what = "text" if isinstance(body, str) else "content"
    return [f"assert response.{what} == {_placed(called(body, imports), imports)}"]


def _placed(expression: str, imports: set[str]) -> str:
    """An expression of several lines as it stands in a function; `ANY` is imported where it is used."""
    if "ANY" in expression:
        imports.add("unittest.mock:ANY")
    if "\n" not in expression:
        return expression
    lines = expression.splitlines()
    return "(\n    " + "\n    ".join(lines) + "\n)"


# -- functions


def _function(run: Run, program: Program) -> Part:
    recorded: Any = run.input
    if "context" in recorded or not {"args", "kwargs"} <= recorded.keys():
        raise FluxRunError(
            f"run {run.id} can't be exported as a plain test",
            why="its function was called by something that a test doesn't have (AWS Lambda, a time limit)",
            next_step="keep the run as a guard instead: `fluxrun expect RUN`",
        )
    made = MadeAnew(run)
    function = program.target.__wrapped__
    args, kwargs = live_arguments(function, recorded)
    part = Part("the call")
    part.before = [f"from {program.entry.module} import {program.entry.name}", ""]
    call = f"{program.entry.name}({arguments(args, kwargs, part.imports)})"
    if hasattr(function, "__code__") and function.__code__.co_flags & 0x80:
        part.imports.add("asyncio")
        call = f"asyncio.run({call})"
    error = run.outcome.get("error")
    if error:
        _expect_error(part, error, made, call)
        return part
    part.inside.append(f"returned = {call}")
    _assert_returned(part, run, made, function)
    return part


def _assert_returned(part: Part, run: Run, made: MadeAnew, function: Callable[..., Any]) -> None:
    """Add what is asserted of what it returned, or why nothing is."""
    try:
        needed: set[str] = set()
        expression = called(made.masked(live_result(function, run.outcome["returned"])), needed)
    except FluxRunError as error:
        part.left.append(f"what it returned: {comment(error.what)}")
        return
    said = plain(run.outcome["returned"])
    is_typed = not {name.partition(".")[0].partition(":")[0] for name in needed} <= sys.stdlib_module_names
    if is_typed and made.masked(said) != said:
        part.left.append(
            "what it returned: an object that holds something of the clock, of randomness or a redacted secret"
        )
        return
    part.imports |= needed
    part.asserts.append(f"assert returned == {_placed(expression, part.imports)}")


def _expect_error(part: Part, error: Any, made: MadeAnew, call: str) -> None:
    """Add the call, in a block that expects the recorded error.

    Raises:
        FluxRunError: no module of the live program holds the error's class.
    """
    module, name = class_of(error)
    expected = name
    if module != "builtins":
        expected = f"{module}.{name}"
        part.imports.add(module)
    message, match = plain(error).get("message"), ""
    if message and not made.is_made(message):
        is_plain = re.escape(message) == message
        match = f", match={message!r}" if is_plain else f", match=re.escape({message!r})"
        part.imports |= set() if is_plain else {"re"}
    part.inside += [f"with pytest.raises({expected}{match}):", f"    {call}"]
