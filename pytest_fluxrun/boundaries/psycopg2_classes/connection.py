"""psycopg2's connection with its transactions as crossings inside a run; at replay one that libpq never opened.

A connection that a replay opens is a real object of the C class, never initialised: C code that checks types takes it,
and what it would ask of libpq is answered here.
"""

# ruff: noqa: D102 - psycopg2's own names
from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

from psycopg2 import Error, InterfaceError, OperationalError, ProgrammingError, extensions  # type: ignore[import-untyped]

from pytest_fluxrun.boundaries.psycopg2_classes.cursor import SeamedCursor
from pytest_fluxrun.boundaries.psycopg2_classes.errors import left_closed, note_closed
from pytest_fluxrun.boundaries.psycopg2_classes.outcome import Outcome
from pytest_fluxrun.boundaries.psycopg2_classes.state import DEFAULT_FACTS, Facts, State, facts_of
from pytest_fluxrun.boundaries.psycopg2_classes.statements import form, locally, sets
from pytest_fluxrun.boundary import Call
from pytest_fluxrun.context import crossing, current_lane

__all__ = ["SeamedConnection", "seamed"]

_C: Final = vars(extensions.connection)
_CLOSED: Final = _C["closed"].__get__
_NOTICES: Final = _C["notices"].__get__
_NOTIFIES: Final = _C["notifies"].__get__
_TRANSACTION_STATUS: Final = extensions.connection.get_transaction_status
_IDLE: Final = 0
_IN_TRANSACTION: Final = 2
_BEGUN: Final = extensions.STATUS_BEGIN


class SeamedConnection(extensions.connection):  # type: ignore[misc]
    """Base of every connection that is opened; the app's factory stands before it."""

    _fx_boundary: Any = None
    _fx_played = False
    _fx_database = ""
    _fx_session: Any = None
    _fx_state: State | None = None
    _fx_facts: Facts = DEFAULT_FACTS
    _fx_types: Any = None

    def __init__(self, dsn: str, *args: Any, **kwargs: Any) -> None:
        session = crossing()
        self._fx_types = {}
        self._fx_database = str(extensions.parse_dsn(dsn).get("dbname", ""))
        if session is None:
            super().__init__(dsn, *args, **kwargs)
            return
        if any(args) or any(kwargs.values()):
            session.uncovered(self._fx_boundary.asynchronous)
        run = functools.partial(super().__init__, dsn, *args, **kwargs)

        def live() -> Outcome:
            run()
            return Outcome()

        call = Call(functools.partial(form, self._fx_database, "CONNECT", None), _nothing_said)
        outcome: Outcome = session.call(self._fx_boundary, call, live)
        if outcome.played:
            self._fx_played = True
            self._fx_state = State(dsn)
        self._fx_enter(session)

    # -- what crosses

    def _fx_enter(self, session: Any) -> None:
        """At the first use in a session: let it keep, or say, what the connection knows."""
        if self._fx_session is not None and self._fx_session() is session:
            return
        self._fx_session = weakref.ref(session)
        facts = session.read("psycopg2", "connection", functools.partial(facts_of, self))
        if session.answers:
            self._fx_facts = facts
            if not self._fx_played:
                self._fx_state = State(self.dsn, self._fx_autocommit())

    def _fx_here(self) -> State | None:
        """The state that a replay keeps in the place of C's: of a played connection, of a live one within a replay."""
        state = self._fx_state
        if state is None or self._fx_played:
            return state
        lane = current_lane()
        return state if lane is not None and self._fx_session() is lane.session else None

    def _fx_cross(self, session: Any, call: Call, live: Callable[[], Outcome], text: str) -> Outcome:
        if self._fx_session is None or self._fx_session() is not session:
            self._fx_enter(session)
        if _CLOSED(self) or (self._fx_state is not None and self.closed):
            raise InterfaceError("connection already closed")
        try:
            outcome: Outcome = session.call(self._fx_boundary, call, functools.partial(self._fx_live, live, text))
        except Error as error:
            state = self._fx_here()
            if state is not None:
                state.failed(error, text)
                state.closed = left_closed(error)
            raise
        if outcome.played and (state := self._fx_here()) is not None:
            state.served(outcome, text)
            if outcome.parameters is not None:
                self._fx_facts = {**self._fx_facts, "parameters": outcome.parameters}
        return outcome

    def _fx_live(self, live: Callable[[], Outcome], text: str) -> Outcome:
        notices, notifies = _NOTICES(self), _NOTIFIES(self)
        noticed, notified = len(notices), len(notifies)
        try:
            outcome = live()
        except Error as error:
            note_closed(error, _CLOSED(self))
            raise
        if len(notices) != noticed:
            outcome.notices = list(notices[noticed:])
        if len(notifies) != notified:
            outcome.notifies = [(one.pid, one.channel, one.payload) for one in notifies[notified:]]
        outcome.transaction = _TRANSACTION_STATUS(self)
        if sets(text):
            outcome.parameters = facts_of(self)["parameters"]
        return outcome

    @staticmethod
    def _fx_locally(text: str) -> Callable[[], Outcome] | None:
        """What answers a statement about the transaction alone, where the recording has none."""
        status = locally(text)
        if status is None:
            return None
        transaction = _IDLE if status == "COMMIT" or text.split()[:2] == ["ROLLBACK"] else _IN_TRANSACTION

        def answer() -> Outcome:
            outcome = Outcome(transaction=transaction, status=status)
            outcome.played = True
            return outcome

        return answer

    def _fx_refused(self, name: str, run: Callable[[], Any]) -> Any:
        """What can't be given back: made live and recorded as such, so that a replay refuses it by name."""
        session = crossing()
        if session is None:
            return run()
        results: list[Any] = []

        def live() -> Outcome:
            results.append(run())
            outcome = Outcome()
            outcome.refused = name
            return outcome

        session.call(self._fx_boundary, Call(functools.partial(form, self._fx_database, name, None)), live)
        return results[0]

    # -- transactions

    def commit(self) -> None:
        self._fx_end("COMMIT", super().commit)

    def rollback(self) -> None:
        self._fx_end("ROLLBACK", super().rollback)

    def _fx_end(self, query: str, run: Callable[[], None]) -> None:
        """Nothing crosses where no transaction is open."""
        session = crossing()
        state = self._fx_here()
        if self.closed:
            raise InterfaceError("connection already closed")
        if session is None or self.status != _BEGUN:
            if state is None:
                run()
            return

        def live() -> Outcome:
            run()
            return Outcome()

        call = Call(functools.partial(form, self._fx_database, query, None), self._fx_locally(query))
        self._fx_cross(session, call, live, query)

    def set_session(self, *args: Any, **kwargs: Any) -> None:
        state = self._fx_here()
        if state is None:
            super().set_session(*args, **kwargs)
            return
        names = ("isolation_level", "readonly", "deferrable", "autocommit")
        state.set_session(**{**dict(zip(names, args, strict=False)), **kwargs})

    def set_isolation_level(self, level: int | None) -> None:
        state = self._fx_here()
        if state is None:
            if crossing() is not None and self.status == _BEGUN:
                self.rollback()
            super().set_isolation_level(level)
            return
        if self.status == _BEGUN:
            self.rollback()
        state.autocommit = level == extensions.ISOLATION_LEVEL_AUTOCOMMIT
        if not state.autocommit:
            state.isolation_level = level

    def _fx_autocommit(self) -> bool:
        return bool(_C["autocommit"].__get__(self))

    @property
    def autocommit(self) -> bool:
        state = self._fx_here()
        return self._fx_autocommit() if state is None else state.autocommit

    @autocommit.setter
    def autocommit(self, value: Any) -> None:
        state = self._fx_here()
        if state is None:
            _C["autocommit"].__set__(self, value)
        else:
            state.set_session(autocommit=value)

    @property
    def isolation_level(self) -> Any:
        state = self._fx_here()
        return _C["isolation_level"].__get__(self) if state is None else state.isolation_level

    @isolation_level.setter
    def isolation_level(self, value: Any) -> None:
        state = self._fx_here()
        if state is None:
            _C["isolation_level"].__set__(self, value)
        else:
            state.set_session(isolation_level="default" if value is None else value)

    @property
    def readonly(self) -> Any:
        state = self._fx_here()
        return _C["readonly"].__get__(self) if state is None else state.readonly

    @readonly.setter
    def readonly(self, value: Any) -> None:
        state = self._fx_here()
        if state is None:
            _C["readonly"].__set__(self, value)
        else:
            state.set_session(readonly="default" if value is None else value)

    @property
    def deferrable(self) -> Any:
        state = self._fx_here()
        return _C["deferrable"].__get__(self) if state is None else state.deferrable

    @deferrable.setter
    def deferrable(self, value: Any) -> None:
        state = self._fx_here()
        if state is None:
            _C["deferrable"].__set__(self, value)
        else:
            state.set_session(deferrable="default" if value is None else value)

    @property
    def closed(self) -> int:
        state = self._fx_here()
        return int(_C["closed"].__get__(self)) or (0 if state is None else state.closed)

    @property
    def status(self) -> int:
        state = self._fx_here()
        return int(_C["status"].__get__(self)) if state is None else state.status

    def get_transaction_status(self) -> int:
        state = self._fx_here()
        return int(super().get_transaction_status()) if state is None else state.transaction

    def __enter__(self) -> Any:
        if not self._fx_played:
            return super().__enter__()
        if self.closed:
            raise InterfaceError("connection already closed")
        return self

    def __exit__(self, error_type: object, error: object, traceback: object, /) -> Any:
        if not self._fx_played:
            return super().__exit__(error_type, error, traceback)
        if error_type is None:
            self.commit()
        else:
            self.rollback()
        return None

    # -- cursors and what is asked of libpq

    def cursor(
        self,
        name: str | None = None,
        cursor_factory: Any = None,
        withhold: Any = False,  # noqa: FBT002 - its signature
        scrollable: Any = None,
    ) -> Any:
        factory = seamed(cursor_factory or self.cursor_factory or extensions.cursor, SeamedCursor)
        if not self._fx_played:
            return super().cursor(name, factory, withhold, scrollable)
        if self.closed:
            raise InterfaceError("connection already closed")
        cursor = factory(self, name)
        if name is None and withhold:
            raise ProgrammingError("'withhold=True' can be specified only for named cursors")
        cursor.withhold, cursor.scrollable = withhold, scrollable
        return cursor

    @property
    def notices(self) -> Any:
        state = self._fx_here()
        return _C["notices"].__get__(self) if state is None else state.notices

    @notices.setter
    def notices(self, value: Any) -> None:
        state = self._fx_here()
        if state is None:
            _C["notices"].__set__(self, value)
        else:
            state.notices = value

    @property
    def notifies(self) -> Any:
        state = self._fx_here()
        return _C["notifies"].__get__(self) if state is None else state.notifies

    @notifies.setter
    def notifies(self, value: Any) -> None:
        state = self._fx_here()
        if state is None:
            _C["notifies"].__set__(self, value)
        else:
            state.notifies = value

    @property
    def dsn(self) -> Any:
        return self._fx_state.shown_dsn if self._fx_played and self._fx_state else _C["dsn"].__get__(self)

    @property
    def encoding(self) -> Any:
        return self._fx_facts["encoding"] if self._fx_played else _C["encoding"].__get__(self)

    def set_client_encoding(self, encoding: str) -> None:
        if not self._fx_played:
            super().set_client_encoding(encoding)
            return
        clean = encoding.replace("_", "").replace("-", "").upper()
        if clean not in extensions.encodings:
            raise OperationalError(f"can't find Python encoding for {encoding}")
        self._fx_facts = {**self._fx_facts, "encoding": clean}
        if self._fx_state is not None:
            self._fx_state.begun, self._fx_state.transaction = False, _IDLE

    @property
    def server_version(self) -> int:
        return self._fx_facts["server_version"] if self._fx_played else int(_C["server_version"].__get__(self))

    @property
    def protocol_version(self) -> int:
        return self._fx_facts["protocol_version"] if self._fx_played else int(_C["protocol_version"].__get__(self))

    def get_parameter_status(self, parameter: str) -> Any:
        if self._fx_here() is None:
            return super().get_parameter_status(parameter)
        return self._fx_facts["parameters"].get(parameter)

    def get_backend_pid(self) -> int:
        return self._fx_facts["pid"] if self._fx_here() is not None else int(super().get_backend_pid())

    def get_dsn_parameters(self) -> Any:
        if not self._fx_played or self._fx_state is None:
            return super().get_dsn_parameters()
        return {
            name: text for name, text in extensions.parse_dsn(self._fx_state.shown_dsn).items() if name != "password"
        }

    @property
    def info(self) -> Any:
        if not self._fx_played:
            return _C["info"].__get__(self)
        asked = self.get_dsn_parameters()
        return SimpleNamespace(
            dbname=asked.get("dbname"),
            user=asked.get("user"),
            password=None,
            host=asked.get("host"),
            port=int(asked.get("port", 5432)),
            options=asked.get("options", ""),
            dsn_parameters=asked,
            status=1 if self.closed else 0,
            transaction_status=self.get_transaction_status(),
            protocol_version=self.protocol_version,
            server_version=self.server_version,
            error_message=None,
            backend_pid=self.get_backend_pid(),
            parameter_status=self.get_parameter_status,
            ssl_in_use=False,
            used_password=False,
            needs_password=False,
        )

    def cancel(self) -> None:
        if self._fx_here() is None:
            super().cancel()

    def reset(self) -> None:
        if self._fx_here() is None:
            super().reset()
        else:
            self.rollback()

    def isexecuting(self) -> bool:
        return False if self._fx_played else bool(super().isexecuting())

    def poll(self) -> Any:
        return self._fx_refused("POLL BY CONNECTION", super().poll)

    def fileno(self) -> Any:
        return self._fx_refused("FILENO OF CONNECTION", super().fileno)

    def lobject(self, *args: Any, **kwargs: Any) -> Any:
        return self._fx_refused("LARGE OBJECT BY CONNECTION", functools.partial(super().lobject, *args, **kwargs))

    def xid(self, *args: Any) -> Any:
        return extensions.Xid(*args) if self._fx_played else super().xid(*args)

    def tpc_begin(self, *args: Any) -> Any:
        return self._fx_refused("TPC BEGIN BY CONNECTION", functools.partial(super().tpc_begin, *args))


def _nothing_said() -> Outcome:
    outcome = Outcome()
    outcome.played = True
    return outcome


@functools.lru_cache(maxsize=256)
def seamed(factory: Any, seams: Any) -> Any:
    """A class with the factory's behaviour on top of the seams; what isn't a class stays as it is."""
    base = seams.__mro__[1]
    if factory is base or factory is None:
        return seams
    if not isinstance(factory, type) or not issubclass(factory, base) or issubclass(factory, seams):
        return factory
    names = {"__module__": factory.__module__, "__qualname__": factory.__qualname__, "__doc__": factory.__doc__}
    return type(factory.__name__, (factory, seams), names)
