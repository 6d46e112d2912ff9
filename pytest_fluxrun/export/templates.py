"""Source that exported tests share: each text is a part of the file that is written, and names what it needs."""

from __future__ import annotations

from typing import Final

__all__ = ["BY_HAND", "HAVING", "HOSTS", "NOTHING_GOES_OUT", "RESPX", "SQLITE", "STAND_IN"]

NOTHING_GOES_OUT: Final = '''\
UNRECORDED: list[str] = []
"""What the code asked for and the run doesn't hold: the test fails for it, even where the app swallows the error."""


def unrecorded(what: object) -> None:
    UNRECORDED.append(str(what))
    raise AssertionError(f"the recorded run holds no answer to this: {what}")


@pytest.fixture(autouse=True)
def nothing_goes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    UNRECORDED.clear()
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, lambda _, address: unrecorded(f"a connection to {address}"))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
'''

STAND_IN: Final = '''\
def without_fluxrun() -> None:
    """The app imports pytest_fluxrun to be recorded. Where that isn't installed, what stands in here does nothing."""
    try:
        import pytest_fluxrun  # noqa: F401
    except ImportError:
        nothing = types.ModuleType("pytest_fluxrun")
        nothing.init = nothing.keep = nothing.flush = nothing.recording_status = lambda *_, **__: None
        nothing.instrument = lambda app, *_, **__: app
        nothing.capture = lambda name: lambda function: function
        nothing.host = lambda name, target, **__: target
        for name in ("FluxRunError", "LeakedCall", "UnrecordedCall"):
            setattr(nothing, name, type(name, (Exception,), {}))
        nothing.__version__ = "0"
        sys.modules["pytest_fluxrun"] = nothing
'''

HAVING: Final = '''\
def having(error: Exception, attributes: dict[str, object]) -> Exception:
    """An error with the attributes that its arguments don't give it."""
    for name, value in attributes.items():
        setattr(error, name, value)
    return error
'''

RESPX: Final = '''\
def said(request: httpx.Request) -> tuple[str, str, object]:
    """Of a request its method, its URL, and its body: parsed where it is JSON."""
    body = request.read()
    try:
        return request.method, str(request.url), json.loads(body)
    except ValueError:
        pass
    try:
        return request.method, str(request.url), body.decode()
    except ValueError:
        return request.method, str(request.url), body


def in_turn(*answers: httpx.Response | Exception):
    """One recorded answer after the other."""
    remaining = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        if not remaining:
            unrecorded(f"{request.method} {request.url}, once more")
        found = remaining.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return answer
'''

SQLITE: Final = '''\
class Sql(typing.NamedTuple):
    """A recorded statement and its answer."""

    statement: str
    binds: object
    columns: tuple[str, ...] = ()
    rows: list[tuple] = []
    rowcount: int = -1
    lastrowid: int | None = None
    error: Exception | None = None
    effect: bool = False


class RecordedCursor(sqlite3.Cursor):
    """Gives recorded rows; only what concerns the connection alone (BEGIN, an unrecorded PRAGMA) is asked of SQLite."""

    rowcount, lastrowid, rows = -1, None, None

    def execute(self, statement, binds=()):
        return self.given(statement, binds if isinstance(binds, dict) else tuple(binds))

    def executemany(self, statement, rows):
        return self.given(statement, [row if isinstance(row, dict) else tuple(row) for row in rows])

    def executescript(self, script):
        return self.given(script, ())

    def given(self, statement, binds):
        self.rows = None
        if self.connection.concerns_itself(statement, binds):
            return super().execute(statement, binds)
        found = self.connection.recorded(statement, binds)
        if found.error is not None:
            raise found.error
        columns = ", ".join('NULL AS "' + name.replace('"', '""') + '"' for name in found.columns)
        if columns:
            super().execute(f"SELECT {columns} WHERE 0")  # for `description`
        self.rows, self.rowcount, self.lastrowid = iter(found.rows), found.rowcount, found.lastrowid
        return self

    def __next__(self):
        if self.rows is None:
            return super().__next__()
        row = next(self.rows)
        return row if self.row_factory is None else self.row_factory(self, row)

    def fetchone(self):
        return next(self, None)

    def fetchmany(self, size=None):
        return list(itertools.islice(self, size or self.arraysize))

    def fetchall(self):
        return list(self)


class RecordedConnection(sqlite3.Connection):
    """A connection to no file, whose statements are answered from SQL."""

    def cursor(self, factory=sqlite3.Cursor):
        """A class of the app, or of Django, keeps what it does before it executes a statement."""
        of_its_own = isinstance(factory, type) and not issubclass(RecordedCursor, factory)
        return super().cursor(type(factory.__name__, (factory, RecordedCursor), {}) if of_its_own else RecordedCursor)

    def execute(self, statement, binds=()):
        return self.cursor().execute(statement, binds)

    def executemany(self, statement, rows):
        return self.cursor().executemany(statement, rows)

    def executescript(self, script):
        return self.cursor().executescript(script)

    def concerns_itself(self, statement, binds) -> bool:
        word = [*statement.split(None, 1), ""][0].rstrip(";").upper()
        if ";" in statement.strip().rstrip(";"):
            return False
        return word in TRANSACTION or word == "PRAGMA" and not self.answers(statement, binds)

    def answers(self, statement, binds) -> list[Sql]:
        return [one for one in SQL if (one.statement, one.binds) == (" ".join(statement.split()), binds)]

    def recorded(self, statement, binds) -> Sql:
        """The first answer to the statement that wasn't given yet; to a repeated read the last one again."""
        same = self.answers(statement, binds)
        left = [one for one in same if not any(one is given for given in GIVEN)]
        if not left and not (same and same[-1].columns):
            unrecorded(f"{statement} {binds}")
        found = left[0] if left else same[-1]
        GIVEN.append(found)
        return found


def not_made() -> list[str]:
    """Recorded statements that change rows and weren't executed."""
    return [one.statement for one in SQL if one.effect and not any(one is given for given in GIVEN)]


TRANSACTION = ("BEGIN", "COMMIT", "END", "RELEASE", "ROLLBACK", "SAVEPOINT")
GIVEN: list[Sql] = []
REAL_CONNECT = sqlite3.connect


def recorded_connect(*_, **__) -> RecordedConnection:
    return REAL_CONNECT(":memory:", factory=RecordedConnection, check_same_thread=False)
'''

HOSTS: Final = '''\
LEFT: dict[str, list] = {}
"""Recorded calls that weren't made yet."""


def answered(name: str, *, awaited: bool = False):
    """A method that gives its recorded answers, each once, to the arguments that it had."""
    remaining = LEFT[name] = list(METHODS[name])

    def answer(self, *args, **kwargs):
        for call in remaining:
            if call[:2] == (args, kwargs):
                remaining.remove(call)
                if isinstance(call[2], Exception):
                    raise call[2]
                return call[2]
        unrecorded(f"{name}{args} {kwargs or ''}")

    async def answer_awaited(self, *args, **kwargs):
        return answer(self, *args, **kwargs)

    return answer_awaited if awaited else answer
'''

BY_HAND: Final = '''\
@pytest.fixture(autouse=True)
def answers_by_hand() -> None:
    """YOURS TO WRITE: make the calls of BY_HAND answer as recorded, each in its library's way. Then delete this:"""
    pytest.fail(f"this test can't run yet: {len(BY_HAND)} recorded calls have no stub, see BY_HAND and answers_by_hand")
'''
