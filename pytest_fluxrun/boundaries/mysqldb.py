"""mysqlclient (MySQLdb): statements of its connections, and the rows of their results as its C library converted them.

Nothing beneath Python can be seen here, and a replay has no C connection: the methods that the class inherits from it
answer from the recording there. Converters given by `conv` have done their work when rows are recorded.
"""

# ruff: noqa: SLF001 - the seams' own attributes bear the prefix _fx
from __future__ import annotations

import contextlib
import functools
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.abandoned.reading_on import ReadingOn
from pytest_fluxrun.boundaries.mysql.by_hand import Words, asked_anew, made_up, place_of
from pytest_fluxrun.boundaries.mysql.given import Given
from pytest_fluxrun.boundaries.mysql.replies import Part, PlayedResult, Reply, TappedResult
from pytest_fluxrun.boundaries.mysql.served import CLIENT_TRANSACTIONS, FACTS, Served
from pytest_fluxrun.boundaries.mysql.statements import Asked, form, is_local
from pytest_fluxrun.boundary import Boundary, Call, Patch, Request, Uncovered
from pytest_fluxrun.context import LANE, beneath, crossing
from pytest_fluxrun.kinds.sql import SQL, folded
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["MySQLdbBoundary", "boundary"]

_UNSENT: Final = ("change_user", "shutdown", "dump_debug_info", "send_query", "read_query_result", "set_server_option")


class MySQLdbBoundary(Boundary[Any]):
    """Connections of mysqlclient."""

    name: ClassVar[str] = "mysqldb"
    modules = ("MySQLdb.connections",)
    kind = SQL
    distribution = "mysqlclient"
    tested = ("2.1.1", "2.3.2")

    def patches(self, module: Any) -> Iterable[Patch]:
        """The class that applications get, whose methods are C ones, inherited; of cursors, what knows the binds."""
        connection = module.Connection
        yield Patch(connection, "__init__", functools.partial(_init, module))
        for name, wrap in _SEAMS.items():
            if hasattr(connection, name):  # more_results is of 2.3
                yield Patch(connection, name, wrap)
        yield Patch(connection, "set_character_set", functools.partial(_set_character_set, module))
        for name in FACTS:
            yield Patch(connection, name, functools.partial(_fact, name))
        for name in filter(functools.partial(hasattr, connection), _UNSENT):
            yield Patch(connection, name, _UNCOVERED.refuse)
        for name in ("open", "server_capabilities", "client_flag"):
            yield Patch(connection, name, functools.partial(_member, name))
        cursor = module.cursors.BaseCursor
        yield Patch(cursor, "execute", _GIVEN.execute)
        yield Patch(cursor, "executemany", _GIVEN.executemany)
        yield Patch(cursor, "callproc", _GIVEN.callproc)

    def dump(self, result: Any) -> Value:
        """The results; of a CONNECT, what the connection knows."""
        return result.dump() if isinstance(result, Reply) else {"columns": None, "server": encode(result)}

    def load(self, value: Value, call: Call) -> Any:
        """What `dump` saw."""
        del call
        return decode(value["server"]) if "server" in value else Reply.load(value)

    def weigh(self, result: Any) -> int:
        """About the bytes of the rows."""
        return result.weigh() if isinstance(result, Reply) else 0

    def ask(self, request: Request, environment: Mapping[str, Any]) -> Value:
        """What a read gives in the database that the environment's `mysql` names."""
        place = place_of(environment, request["database"])
        if place["database"] is None:
            del place["database"]
        reply: Reply = asked_anew(request, import_module("MySQLdb").connect, place)
        reply.autocommit = None
        return reply.dump()

    def answer(self, request: Request, reply: Mapping[str, Any]) -> Value:
        """See `Words.of`."""
        return Reply.written(Words.of(reply, self.name, request)).dump()

    def sketch(self, request: Request, number: int) -> Mapping[str, Any] | None:
        """See `by_hand.made_up`."""
        return made_up(request, number)


class _Commands(Uncovered):
    """What is asked of a server other than by statements."""

    name = "a command of mysqlclient's that is no statement"
    modules = ()
    instead = f"don't use {', '.join(_UNSENT)} of a connection in a run"

    def patches(self, module: Any) -> Iterable[Patch]:
        """None: they are methods of the connection."""
        del module
        return ()


boundary = MySQLdbBoundary()
_UNCOVERED: Final = _Commands()


def _spelled(procname: Any, count: int) -> list[str]:
    name = procname.decode() if isinstance(procname, bytes) else procname
    return ["SET " + ",".join(f"@`_{name}_{index}`=%s" for index in range(count))]


_GIVEN: Final = Given("connection", _spelled, literal="literal")


# -- what a connection is in a replay


def _served(connection: Any) -> Served | None:
    """The state of a connection that is used in a replay now, told what it knew; None outside of replays."""
    lane = LANE.get()
    if lane is None or not getattr(lane.session, "answers", False):
        return None
    session: Any = lane.session
    served: Served | None = getattr(connection, "_fx_served", None)
    if served is None or served.session() is not session:
        facts = session.read(boundary.name, "connection", dict)
        served = connection._fx_served = Served(session, facts)
    return served


def _c_class() -> Any:
    """The class that the C library's connections are of, with its own methods."""
    return sys.modules["MySQLdb._mysql"].connection


def _known(connection: Any) -> dict[str, Any]:
    """What a live connection knows."""
    facts = {name: getattr(connection, name)() for name in FACTS}
    return {**facts, "server_capabilities": connection.server_capabilities}


def _init(module: Any, original: Any) -> Callable[..., None]:
    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        session = crossing()
        if session is None:
            original(self, *args, **kwargs)
            return

        def live() -> dict[str, Any]:
            original(self, *args, **kwargs)
            return _known(self)

        def otherwise() -> dict[str, Any]:
            autocommit = kwargs.get("autocommit", False)
            told: dict[str, Any] = {"character_set_name": kwargs.get("charset") or FACTS["character_set_name"]}
            told = {**told, "get_autocommit": True if autocommit is None else bool(autocommit)}
            return {**told, **session.read(boundary.name, "connection", dict)}

        name = kwargs.get("database", kwargs.get("db", args[3] if len(args) > 3 else None))
        told = session.call(
            boundary, Call(functools.partial(form, boundary.name, name, Asked("CONNECT")), otherwise), live
        )
        self._fx_session = weakref.ref(session)
        if session.answers:
            served = self._fx_served = Served(session, told)
            with beneath():
                _init_without_c(module, original, self, served)(self, *args, **kwargs)
            served.facts = {**served.facts, **told}

    return init


def _init_without_c(module: Any, original: Any, connection: Any, served: Served) -> Callable[..., None]:
    """The driver's own constructor, in which that of the C class beneath connects to nothing."""

    def connect_to_nothing(*args: Any, **kwargs: Any) -> None:
        del args
        with contextlib.suppress(module.NotSupportedError):
            _c_class().__init__(connection, ssl_mode="of a replay")  # fails before it connects, with its lock made
        connection.converter = kwargs.get("conv", {})
        served.facts["client_flag"] = kwargs.get("client_flag", 0)

    beneath_it = types.SimpleNamespace(__init__=connect_to_nothing)
    names = {**vars(module), "super": lambda *_: beneath_it}
    return types.FunctionType(original.__code__, names, original.__name__, original.__defaults__, original.__closure__)


def _fact(name: str, original: Any) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def fact(self: Any) -> Any:
        served = _served(self)
        return original(self) if served is None else served.facts[name]

    return fact


def _member(name: str, original: Any) -> property:
    def member(self: Any) -> Any:
        served = _served(self)
        if served is None:
            return original.__get__(self)
        return served.open if name == "open" else served.facts.get(name, CLIENT_TRANSACTIONS)

    return property(member)


def _set_character_set(module: Any, original: Any) -> Callable[..., None]:
    @functools.wraps(original)
    def set_character_set(self: Any, charset: str, *args: Any, **kwargs: Any) -> None:
        collation = args[0] if args else kwargs.get("collation")  # of 2.2
        sql = f"SET NAMES {charset} COLLATE {collation}" if collation else f"SET NAMES {charset}"
        _run(self, Asked(sql), lambda: original(self, charset, *args, **kwargs))
        served = _served(self)
        if served is not None:
            served.facts["character_set_name"] = charset
            self.encoding = module._charset_to_encoding.get(charset, charset)

    return set_character_set


# -- statements


def _query(original: Any) -> Callable[..., None]:
    @functools.wraps(original)
    def query(self: Any, query: Any) -> None:
        given = getattr(self, "_fx_asked", None)
        asked = given.pop() if given else Asked(query, encoding=getattr(self, "encoding", "utf-8"))
        _run(self, asked, lambda: original(self, query))

    return query


def _commanded(spell: Callable[..., str]) -> Callable[[Any], Callable[..., Any]]:
    """A method that is a statement of its own."""

    def wrap(original: Any) -> Callable[..., Any]:
        @functools.wraps(original)
        def command(self: Any, *args: Any) -> Any:
            return _run(self, Asked(spell(*args)), lambda: original(self, *args))

        return command

    return wrap


def _autocommit(original: Any) -> Callable[..., Any]:
    @functools.wraps(original)
    def autocommit(self: Any, on: Any) -> Any:
        if self.get_autocommit() != bool(on):
            return _run(self, Asked(f"SET AUTOCOMMIT = {int(bool(on))}"), lambda: original(self, on))
        return None

    return autocommit


def _run(connection: Any, asked: Asked, live: Callable[[], Any]) -> Any:
    """Execute a statement: live, recorded, or answered; beneath the crossing of a CONNECT, answered locally."""
    session = crossing()
    served = _served(connection)
    if session is None and served is None:
        connection._fx_reply = None
        return live()
    call = Call(functools.partial(form, boundary.name, getattr(connection, "database", None), asked))
    if served is not None:
        if not served.open:
            raise _gone()
        return _answer(served, session, call)
    noted = getattr(connection, "_fx_session", None)
    if noted is None or noted() is not session:
        connection._fx_session = weakref.ref(session)
        session.read(boundary.name, "connection", functools.partial(_known, connection))
    returned: list[Any] = []

    def send() -> Reply:
        reply = Reply(session, asked)
        returned.append(live())
        connection._fx_reply = weakref.ref(reply)
        reply.parts.append(_part_of(connection))
        reply.autocommit = _c_class().get_autocommit(connection)
        return reply

    session.call(boundary, call, send)
    return returned[0]


def _answer(served: Served, session: Any, call: Call) -> None:
    statement = folded(call.form()["sql"])

    if is_local(statement):
        call.otherwise = functools.partial(served.local_reply, statement)
    reply = served.local_reply(statement) if session is None else session.call(boundary, call, _nothing_live)
    served.answered(reply, call)


def _part_of(connection: Any) -> Part:
    base = _c_class()
    return Part(base.affected_rows(connection), base.insert_id(connection), base.warning_count(connection))


# -- results


def _reply_of(connection: Any) -> Reply | None:
    """What is recorded of the statement that the connection is at."""
    kept = getattr(connection, "_fx_reply", None)
    reply = None if kept is None else kept()
    return reply if reply is not None and reply.keeps() else None


def _result(original: Any) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def result(self: Any) -> Any:
        served = _served(self)
        if served is not None:
            return _played(served)
        reply = _reply_of(self)
        if reply is None:
            return original(self)
        try:
            found = original(self)
        except Exception as error:
            reply.parts[-1].failure = error
            raise
        if found is None:
            return None
        part = reply.parts[-1] = _part_of(self)  # only a stored result tells how many rows there are
        part.described, part.flags, part.count = found.describe(), found.field_flags(), found.num_rows()
        return TappedResult(found, reply, part)

    return result


def _played(served: Served) -> PlayedResult | None:
    part = served.part
    if part.described is None:
        if part.failure is not None:
            raise boundary.load_error(part.failure, Call(served.form))
        return None
    reading_on = ReadingOn(boundary, served.session(), served.form, of="row")
    return PlayedResult(part, reading_on.refuse, has_next=served.more())


def _next_result(original: Any) -> Callable[[Any], int]:
    @functools.wraps(original)
    def next_result(self: Any) -> int:
        served = _served(self)
        if served is not None:
            return _play_next(served)
        reply = _reply_of(self)
        if reply is None:
            return int(original(self))
        try:
            found = int(original(self))
        except Exception as error:
            reply.parts.append(Part())
            reply.parts[-1].failure = error
            raise
        if not found:
            reply.parts.append(_part_of(self))
        return found

    return next_result


def _play_next(served: Served) -> int:
    if not served.more():
        return -1
    served.index += 1
    if served.part.described is None and served.part.failure is not None:
        raise boundary.load_error(served.part.failure, Call(served.form))
    return 0


def _told_by_part(read: Callable[[Served], Any], keep: Callable[[Part, Any], None] | None = None) -> Any:
    """A method that tells something of the result that the connection is at."""

    def wrap(original: Any) -> Callable[[Any], Any]:
        @functools.wraps(original)
        def told(self: Any) -> Any:
            served = _served(self)
            if served is not None:
                return read(served)
            found = original(self)
            if keep is not None and (reply := _reply_of(self)) is not None:
                keep(reply.parts[-1], found)
            return found

        return told

    return wrap


def _close(original: Any) -> Callable[[Any], None]:
    @functools.wraps(original)
    def close(self: Any) -> None:
        served = _served(self)
        if served is None:
            original(self)
        elif served.open:
            served.open = 0
        else:
            raise _gone()

    return close


def _gone() -> Exception:
    """What the C library says of a connection that is closed."""
    error: Exception = sys.modules["MySQLdb"].OperationalError(2006, "")
    return error


def _spelling(original: Any) -> Callable[..., Any]:
    """`string_literal` and its kin: those of the module, which need no connection, in a replay."""

    @functools.wraps(original)
    def spelled(self: Any, *args: Any) -> Any:
        if _served(self) is None:
            return original(self, *args)
        if original.__name__ == "escape" and len(args) == 1:
            args = (*args, self.converter)
        return getattr(sys.modules["MySQLdb._mysql"], original.__name__)(*args)

    return spelled


def _keep_warnings(part: Part, found: int) -> None:
    part.warnings = found


def _nothing_live() -> Any:
    raise AssertionError("a replay makes no live call")


_SEAMS: Final[dict[str, Callable[[Any], Any]]] = {
    "query": _query,
    "autocommit": _autocommit,
    "commit": _commanded(lambda: "COMMIT"),
    "rollback": _commanded(lambda: "ROLLBACK"),
    "ping": _commanded(lambda *_: "PING"),
    "select_db": _commanded(lambda name: f"USE {name}"),
    "kill": _commanded(lambda thread_id: f"KILL {thread_id}"),
    "stat": _commanded(lambda: "STATUS"),
    "store_result": _result,
    "use_result": _result,
    "next_result": _next_result,
    "more_results": _told_by_part(lambda served: served.more()),
    "discard_result": _told_by_part(lambda _: None),
    "affected_rows": _told_by_part(lambda served: served.part.affected),
    "insert_id": _told_by_part(lambda served: served.part.insert_id),
    "warning_count": _told_by_part(lambda served: served.part.warnings, _keep_warnings),
    "field_count": _told_by_part(lambda served: len(served.part.described or ())),
    "close": _close,
    "string_literal": _spelling,
    "escape_string": _spelling,
    "escape": _spelling,
}
