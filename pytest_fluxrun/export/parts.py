"""The outgoing calls of a run as parts of an exported test: which library stands in for them, and with what. Pure."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.export.exchanges import Outgoing, Request, outgoing, sent_header
from pytest_fluxrun.export.literals import Source, called, is_name
from pytest_fluxrun.export.made_anew import ANY, MadeAnew
from pytest_fluxrun.export.program import Program
from pytest_fluxrun.export.raised import raised_anew
from pytest_fluxrun.export.templates import BY_HAND, HOSTS, RESPX, SQLITE
from pytest_fluxrun.registry import text_of
from pytest_fluxrun.run import Interaction, Run
from pytest_fluxrun.values import decode, plain

__all__ = ["Part", "parts_of"]

_OF_THE_CONNECTION: Final = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
_TRANSACTION: Final = ("BEGIN", "CLOSE", "COMMIT", "CONNECT", "END", "RELEASE", "ROLLBACK", "SAVEPOINT")


@dataclass(slots=True)
class Part:
    """What one library's calls add to the file.

    Args:
        carried: for the file's docstring.
        imports: dotted modules.
        machinery: module-level source that is the same in every file.
        data: module-level source of what was recorded.
        before: lines ahead of the run.
        around: context managers for the run.
        inside: lines in it.
        closing: its last lines.
        by_hand: how many calls it leaves to the reader.
        asserts: lines after it.
        left: what of the outcome isn't asserted, for the file's docstring and the command.
    """

    carried: str
    imports: set[str] = field(default_factory=set)
    machinery: str = ""
    data: str = ""
    before: list[str] = field(default_factory=list)
    around: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    closing: list[str] = field(default_factory=list)
    asserts: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    by_hand: int = 0


def parts_of(run: Run, program: Program) -> list[Part]:
    """A part for each library whose calls can be answered, and one for all that can't."""
    made = MadeAnew(run)
    left = dict(enumerate(run.recording.interactions, start=1))
    parts = [_http(run, made, left), _sqlite(made, left), _hosts(program, left), _by_hand(left)]
    return [part for part in parts if part is not None]


# -- HTTP


def _http(run: Run, made: MadeAnew, left: dict[int, Interaction]) -> Part | None:
    """Httpx's calls; respx answers no other library."""
    calls = [call for call in outgoing(run) if call.interaction.boundary == "httpx" and _can_answer(call)]
    if not calls:
        return None
    for call in calls:
        del left[call.number]
    by_target: dict[tuple[str, str], list[Outgoing]] = {}
    for call in calls:
        by_target.setdefault((call.request.method, call.request.url), []).append(call)
    routes = [_route(made, *target, each) for target, each in by_target.items()]
    data = (
        'def answer_http(router: respx.MockRouter) -> None:\n    """The recorded answers by URL."""\n'
        + "".join(routes)
        + '    router.route().mock(side_effect=lambda request: unrecorded(f"{request.method} {request.url}"))\n'
    )
    part = Part(f"{_count(calls, 'HTTP answer')}, by respx", {"httpx", "json", "respx"}, RESPX, data)
    part.around.append("respx.mock(assert_all_called=False) as router")
    part.inside.append("answer_http(router)")
    effects = [call.request for call in calls if call.interaction.effect]
    if effects:
        part.closing.append("sent = [said(call.request) for call in router.calls]")
        told = called([_said(made, one) for one in effects], set())
        methods = called(sorted({one.method for one in effects}), set())
        part.asserts.append(f"assert {told} == [call for call in sent if call[0] in {methods}]")
    return part


def _said(made: MadeAnew, request: Request) -> tuple[str, Any, Any]:
    """What the function `said` of the file gives of a request, with ANY for what is made anew."""
    body: Any = _text_or_bytes(request.body)
    with suppress(ValueError):
        body = json.loads(request.body)
    return request.method, ANY if made.is_made(request.url) else request.url, made.masked(body)


def _can_answer(call: Outgoing) -> bool:
    if call.answer is not None:
        return not call.answer.error
    try:
        _raised(call)
    except FluxRunError:
        return False
    return True


def _raised(call: Outgoing) -> str:
    return raised_anew(call.interaction.error, httpx.RequestError, set())


def _route(made: MadeAnew, method: str, url: str, calls: Sequence[Outgoing]) -> str:
    answers = textwrap.indent("".join(f"{_answer(call)},\n" for call in calls), " " * 12)
    target = f"url={url!r}" if not made.is_made(url) else f"url__regex={_loosened(made, url)!r}"
    route = f"router.route(method={method!r}, {target})"
    return f"    {route}.mock(\n        side_effect=in_turn(\n{answers}        )\n    )\n"


def _loosened(made: MadeAnew, url: str) -> str:
    """A pattern of a URL with anything in the places that are made anew."""
    pieces = re.split(r"([/?&=])", url)
    return "^" + "".join("[^/?&]+" if made.is_made(piece) else re.escape(piece) for piece in pieces) + "$"


def _answer(call: Outgoing) -> str:
    answer = call.answer
    if answer is None:
        return _raised(call)
    headers = [sent_header(*pair) for pair in answer.headers if pair[0].lower() not in _OF_THE_CONNECTION]
    content = called(_text_or_bytes(answer.body), set())
    return _invoked("httpx.Response", [str(answer.status), f"headers={called(headers, set())}", f"content={content}"])


def _text_or_bytes(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


# -- SQLite


def _sqlite(made: MadeAnew, left: dict[int, Interaction]) -> Part | None:
    numbers = [number for number, one in left.items() if one.boundary == "sqlite3" and _words(one)]
    imports: set[str] = {"itertools", "sqlite3", "typing"}
    rows = []
    for number in numbers:
        one = left[number]
        if _is_transaction(one):
            if not one.failed:  # one that failed is for the reader: the stub's connection has nothing that could fail
                del left[number]
            continue
        try:
            rows.append(textwrap.indent(f"# call {number}\n{_statement(one, made, imports)},\n", "    "))
        except FluxRunError:
            continue  # it stays among those that are answered by hand
        del left[number]
    if not rows:
        return None
    part = Part(f"{_count(rows, 'SQL answer')}, by a stub of sqlite3", imports, SQLITE, f"SQL = [\n{''.join(rows)}]\n")
    part.around += [f'mock.patch("{name}", recorded_connect)' for name in ("sqlite3.connect", "sqlite3.dbapi2.connect")]
    part.inside.append("GIVEN.clear()")
    if any("effect=True" in row for row in rows):
        part.asserts.append("assert not_made() == []")
    return part


def _is_transaction(one: Interaction) -> bool:
    words = _words(one)
    return words[0].rstrip(";").upper() in _TRANSACTION and ";" not in " ".join(words).rstrip("; ")


def _words(one: Interaction) -> list[str]:
    """Of a statement; none where it is empty, or could not be recorded."""
    asked = plain(one.request)
    return str(asked.get("sql", "")).split() if isinstance(asked, dict) else []


def _statement(one: Interaction, made: MadeAnew, imports: set[str]) -> str:
    asked = decode(one.request)
    binds = made.masked(asked["binds"] or ())
    if asked["many"]:
        binds = [row if isinstance(row, dict) else tuple(row) for row in binds]
    elif not isinstance(binds, dict):
        binds = tuple(binds)
    parts = [repr(" ".join(asked["sql"].split())), _plain_source(binds, imports)]
    ending = ["effect=True"] if one.effect else []
    if one.failed:
        return _invoked("Sql", [*parts, f"error={raised_anew(one.error, sqlite3.Error, imports)}", *ending])
    answer = decode({key: value for key, value in one.answer.items() if key != "failure"})
    if one.answer.get("failure"):
        raise FluxRunError("its rows broke off")
    if answer["columns"]:
        rows = _plain_source([tuple(row) for row in answer["rows"]], imports)
        parts += [f"columns={tuple(answer['columns'])!r}", f"rows={rows}"]
    else:
        parts += [f"{name}={answer[name]!r}" for name in ("rowcount", "lastrowid") if answer[name] not in (None, -1)]
    return _invoked("Sql", [*parts, *ending])


# -- objects wrapped by fluxrun.host


def _hosts(program: Program, left: dict[int, Interaction]) -> Part | None:
    imports: set[str] = set()
    methods: dict[str, list[Any]] = {}
    around, effects = [], set()
    for number, one in list(left.items()):
        asked = plain(one.request)
        if one.kind != "host" or not isinstance(asked, dict) or not is_name(asked.get("method")):
            continue
        found = program.hosts.get(asked["target"])
        if found is None or "step" in asked or asked["method"].startswith("_"):
            continue
        try:
            answer = Source(_plain_source(_host_answer(one, imports), imports))
            call = (tuple(asked["args"]), asked["kwargs"], answer)
            _plain_source(call, imports)
        except FluxRunError:
            continue
        del left[number]
        name = f"{asked['target']}.{asked['method']}"
        if name not in methods:
            awaited = ", awaited=True" if asked["method"] in found.awaited else ""
            where = f"{found.place.module}.{found.place.name}.{asked['method']}"
            around.append(f"mock.patch({where!r}, answered({name!r}{awaited}))")
        methods.setdefault(name, []).append(call)
        effects |= {name} if one.effect else set()
    if not methods:
        return None
    count = sum(map(len, methods.values()))
    table = called(methods, imports)
    carried = f"{count} answer{'' if count == 1 else 's'} of {', '.join(methods)}, by patches of its class"
    part = Part(carried, imports, HOSTS, f"METHODS = {table}\n")
    part.around = around
    part.asserts += [f"assert LEFT[{name!r}] == []" for name in sorted(effects)]
    return part


def _host_answer(one: Interaction, imports: set[str]) -> Any:
    """The answer as a value.

    Raises:
        FluxRunError: it is the object itself, the end of a generator, or can't be told.
    """
    if one.failed:
        return Source(raised_anew(one.error, Exception, imports))
    if "value" not in one.answer:
        raise FluxRunError("no value")
    return decode(one.answer["value"])


# -- all else


def _by_hand(left: dict[int, Interaction]) -> Part | None:
    """Calls that nothing in the file answers, with all that is known of them."""
    if not left:
        return None
    rows = []
    for number, one in left.items():
        asked, told = plain(one.request), plain(one.error if one.failed else one.answer)
        where = f"call {number}, {one.boundary}: {_text(one, asked)}"
        rows.append(
            {
                "call": where,
                "asked": Source(_shown(asked)),
                "raised" if one.failed else "answered": Source(_shown(told)),
            }
        )
    table = called(rows, set())
    return Part("", machinery=BY_HAND, data=f"BY_HAND = {table}\n", by_hand=len(rows))


def _text(one: Interaction, asked: Any) -> str:
    if isinstance(asked, dict) and "undumpable" in asked:
        return f"it could not be recorded: {asked['undumpable']}"
    return text_of(one, asked)


def _shown(value: Any) -> str:
    """A value for people, as source: what has no form as such is text."""
    try:
        return called(value, set())
    except FluxRunError:
        return repr(str(value))


def _invoked(name: str, arguments: Sequence[str]) -> str:
    """A call, an argument to a line."""
    return f"{name}(\n{textwrap.indent(''.join(f'{argument},' + chr(10) for argument in arguments), '    ')})"


def _plain_source(value: Any, imports: set[str]) -> str:
    """A value as source at module level, where the app isn't imported yet.

    Raises:
        FluxRunError: it is of one of the app's classes.
    """
    needed: set[str] = set()
    source = called(value, needed)
    if not {name.partition(".")[0] for name in needed} <= sys.stdlib_module_names:
        raise FluxRunError("a value of a class that isn't Python's own")
    imports |= needed
    return source


def _count(items: Sequence[Any], noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"
