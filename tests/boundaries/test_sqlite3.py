"""The sqlite3 boundary against real database files, by the contract suite and for what is its own."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import sqlite3 as sqlite3_boundary
from pytest_fluxrun.boundaries.sqlite import outcome as sqlite_outcome
from pytest_fluxrun.boundary import Call
from pytest_fluxrun.errors import DamagedBundle, OpaqueValue, UnrecordedCall
from pytest_fluxrun.testing.boundary import BoundaryContract
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer, Recorded
from pytest_fluxrun.values import has_opaque


def opened(function: Callable[[Any], Any], **settings: Any) -> Callable[[Any], Any]:
    """An exercise that opens the file, and closes it whatever happens."""

    def exercise(outside: Any) -> Any:
        with contextlib.closing(sqlite3.connect(outside.path, **settings)) as connection:
            return function(connection)

    return exercise


def select(connection: Any) -> Any:
    cursor = connection.execute("SELECT id, name, price, data FROM item WHERE id < ? ORDER BY id", (3,))
    return [cursor.fetchall(), cursor.description, cursor.rowcount, cursor.fetchone(), connection.in_transaction]


def types(connection: Any) -> Any:
    row = connection.execute("SELECT 1, 1.0, '1', x'31', NULL, 9223372036854775807, 1e300, 'ä\0b'").fetchone()
    return [(type(value).__name__, value) for value in row]


def fetches(connection: Any) -> Any:
    cursor = connection.cursor()
    cursor.execute("SELECT id FROM item ORDER BY id")
    cursor.arraysize = 2
    return [cursor.fetchone(), cursor.fetchmany(), cursor.fetchmany(5), cursor.fetchone(), list(cursor)]


def iteration(connection: Any) -> Any:
    return [row for row in connection.execute("SELECT name FROM item ORDER BY id") if row[0] != "two"]


def rows(connection: Any) -> Any:
    connection.row_factory = sqlite3.Row
    found = connection.execute("SELECT id, name AS 'the \"name\"' FROM item ORDER BY id").fetchall()
    return [(row.keys(), tuple(row), row['the "name"'], row["ID"]) for row in found]


def scalars(connection: Any) -> Any:
    connection.row_factory = lambda cursor, row: row[0] if len(cursor.description) == 1 else row
    return [list(connection.execute("SELECT data FROM item ORDER BY id")), connection.execute("SELECT 1, 2").fetchone()]


def dicts(connection: Any) -> Any:
    connection.row_factory = lambda cursor, row: dict(zip([name for name, *_ in cursor.description], row, strict=True))
    return connection.execute("SELECT id, name FROM item").fetchall()


def insert(connection: Any) -> Any:
    cursor = connection.execute("INSERT INTO note (text) VALUES (?)", ("hello",))
    state = [cursor.lastrowid, cursor.rowcount, cursor.description, connection.in_transaction, connection.total_changes]
    connection.commit()
    return [*state, connection.in_transaction, connection.execute("SELECT * FROM note").fetchall()]


def named(connection: Any) -> Any:
    with connection:
        connection.execute("INSERT INTO note (text) VALUES (:text)", {"text": "named", "unused": 1})
    return connection.execute("SELECT count(*) FROM note").fetchone()


def rolled_back(connection: Any) -> Any:
    try:
        with connection:
            connection.execute("UPDATE item SET price = 0")
            raise KeyError("stop")
    except KeyError:
        return [connection.in_transaction, connection.execute("SELECT sum(price) FROM item").fetchone()]


def many(connection: Any) -> Any:
    cursor = connection.executemany("INSERT INTO note (text) VALUES (?)", ([str(n)] for n in range(5)))
    connection.rollback()
    return [cursor.rowcount, connection.execute("SELECT count(*) FROM note").fetchone()]


def script(connection: Any) -> Any:
    connection.executescript("BEGIN; INSERT INTO note (text) VALUES ('a;b'); COMMIT; DELETE FROM item WHERE id = 3;")
    return connection.execute("SELECT (SELECT count(*) FROM note), (SELECT count(*) FROM item)").fetchone()


def returning(connection: Any) -> Any:
    cursor = connection.execute("INSERT INTO note (text) VALUES ('r') RETURNING id, text")
    found = cursor.fetchall()
    connection.commit()
    return [found, cursor.rowcount, cursor.lastrowid]


def integrity(connection: Any) -> Any:
    connection.execute("INSERT INTO note (text) VALUES ('twice')")
    try:
        connection.execute("INSERT INTO note (text) VALUES ('twice')")
    except sqlite3.IntegrityError as error:
        state = [str(error), error.sqlite_errorcode, error.sqlite_errorname, connection.in_transaction]
        connection.rollback()
        return [*state, connection.in_transaction]


def after_error(connection: Any) -> Any:
    with contextlib.suppress(sqlite3.IntegrityError):
        connection.execute("INSERT INTO item (id) VALUES (1)")
    before = connection.in_transaction
    connection.rollback()
    return [before, connection.in_transaction]


def explicit(connection: Any) -> Any:
    connection.isolation_level = None
    states = []
    for sql in ("BEGIN", "SAVEPOINT a", "INSERT INTO note (text) VALUES ('x')", "ROLLBACK TO a", "RELEASE a", "COMMIT"):
        connection.execute(sql)
        states.append(connection.in_transaction)
    return [states, connection.isolation_level, connection.execute("SELECT count(*) FROM note").fetchone()]


def pragma(connection: Any) -> Any:
    connection.execute("PRAGMA foreign_keys = ON")
    return [
        connection.execute("PRAGMA foreign_keys").fetchone(),
        connection.execute("PRAGMA table_info(note)").fetchall(),
    ]


def converted(connection: Any) -> Any:
    by_name = connection.execute('SELECT added AS "added [timestamp]" FROM item ORDER BY id').fetchall()
    return [by_name, connection.execute("SELECT added FROM item ORDER BY id").fetchall()]


def texts(connection: Any) -> Any:
    connection.text_factory = bytes
    found = connection.execute("SELECT name FROM item ORDER BY id").fetchall()
    connection.text_factory = lambda data: data.decode().upper()
    return [found, connection.execute("SELECT name FROM item ORDER BY id").fetchall()]


def function(connection: Any) -> Any:
    connection.create_function("twice", 1, lambda value: value * 2)
    return connection.execute("SELECT twice(id) FROM item ORDER BY id").fetchall()


def adapted(connection: Any) -> Any:
    blob = bytearray(b"abc")
    found = connection.execute("SELECT ?, ?, ?", (blob, memoryview(b"d"), True)).fetchone()
    blob.clear()
    return found


def classes(connection: Any) -> Any:
    class Shouting(sqlite3.Cursor):
        def execute(self, sql: str, *args: Any) -> Any:
            return super().execute(sql.upper().replace("'", '"'), *args)

    cursor = connection.cursor(Shouting)
    cursor.execute("select name from item order by id")
    return [
        cursor.fetchone(),
        isinstance(cursor, Shouting),
        isinstance(connection, sqlite3.Connection),
        repr(cursor)[:10],
    ]


def closed(connection: Any) -> Any:
    connection.close()
    connection.execute("SELECT 1")


def closed_cursor(connection: Any) -> Any:
    cursor = connection.execute("SELECT 1")
    cursor.close()
    cursor.fetchall()


def two_cursors(connection: Any) -> Any:
    first, second = connection.execute("SELECT id FROM item ORDER BY id"), connection.execute("SELECT name FROM item")
    return [first.fetchone(), second.fetchone(), first.fetchone(), second.fetchone(), first.fetchall()]


class OwnConnection(sqlite3.Connection):
    """A connection class of the app's own, with an override."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA foreign_keys = ON")
        self.seen: list[str] = []

    def execute(self, sql: str, *args: Any) -> Any:
        if hasattr(self, "seen"):
            self.seen.append(sql)
        return super().execute(sql, *args)


def own(connection: Any) -> Any:
    connection.execute("SELECT 1").fetchone()
    return [connection.seen, type(connection).__name__, isinstance(connection, OwnConnection)]


def missing_directory(outside: Any) -> Any:
    with contextlib.closing(sqlite3.connect(outside.path / "not" / "there.db")):
        pass


def autocommit(connection: Any) -> Any:
    """PEP 249's attribute of Python 3.12: a transaction is always open, or never."""
    states = [connection.in_transaction, connection.autocommit]
    connection.execute("INSERT INTO note (text) VALUES ('kept')")
    connection.commit()
    states.append(connection.in_transaction)
    connection.execute("INSERT INTO note (text) VALUES ('not kept')")
    connection.rollback()
    states.append(connection.execute("SELECT text FROM note").fetchall())
    connection.autocommit = True
    return [*states, connection.in_transaction]


def read_only(outside: Any) -> Any:
    with contextlib.closing(sqlite3.connect(f"file:{outside.path}?mode=ro", uri=True)) as connection:
        return select(connection)


EXERCISES = {
    function_.__name__: opened(function_)
    for function_ in (
        select, types, fetches, iteration, rows, scalars, dicts, insert, named, rolled_back, many, script, returning,
        integrity, after_error, explicit, pragma, texts, function, adapted, classes, closed, closed_cursor, two_cursors,
    )
}  # fmt: skip


class TestSqlite3(BoundaryContract):
    """sqlite3 keeps the contract."""

    boundary = sqlite3_boundary.boundary
    exercises: ClassVar = {
        **EXERCISES,
        "converted": opened(converted, detect_types=sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES),
        "own": opened(own, factory=OwnConnection),
        "no-table": opened(lambda connection: connection.execute("SELECT * FROM nowhere")),
        "syntax": opened(lambda connection: connection.execute("SELEC 1")),
        "too-few-binds": opened(lambda connection: connection.execute("SELECT ?", ())),
        "missing-directory": missing_directory,
        "uri": read_only,
        **({"autocommit": opened(autocommit, autocommit=False)} if sys.version_info >= (3, 12) else {}),
    }
    local = frozenset({"missing-directory", "closed", "closed_cursor", "own"})

    @pytest.fixture
    def outside(self, file_outside: Any) -> Any:
        return file_outside


@pytest.fixture
def seams() -> Iterator[None]:
    """The sqlite3 seams for the length of a test."""
    patching.install(sqlite3_boundary.boundary.patches(sqlite3))
    yield
    patching.restore_all()


@pytest.fixture
def connection(seams: None, file_outside: Any) -> Iterator[Any]:
    """A live connection to the file, opened outside of every run, as a pool's is."""
    with contextlib.closing(sqlite3.connect(file_outside.path)) as opened_:
        yield opened_


def add_and_read(connection: Any) -> Any:
    """A transaction, and what it leaves."""
    with connection:
        connection.execute("INSERT INTO note (text) VALUES ('added')")
    return connection.execute("SELECT text FROM note").fetchall()


def recorded_on(connection: Any, function: Callable[[Any], Any]) -> list[Recorded]:
    """What a function does with a connection, recorded."""
    recorder = MemoryRecorder()
    with recorder.open():
        function(connection)
    return recorder.finish()


def test_live_connection_touches_no_file_in_a_replay(connection: Any) -> None:
    """A connection opened before a replay serves the recording in it, and is live again after it."""
    recorded = recorded_on(connection, add_and_read)
    connection.execute("UPDATE note SET text = 'changed since'")
    connection.commit()

    with MemoryReplayer(recorded).open():
        served = add_and_read(connection)

    assert served == [("added",)]
    assert connection.execute("SELECT text FROM note").fetchall() == [("changed since",)]


def test_statement_left_open_before_a_replay_reads_no_further_in_it(connection: Any) -> None:
    """A served statement ends what the cursor was doing on the file."""
    recorded = recorded_on(connection, lambda opened_: opened_.execute("SELECT 1 AS one").fetchall())
    cursor = connection.execute("SELECT id FROM item ORDER BY id")
    first = cursor.fetchone()

    with MemoryReplayer(recorded).open():
        served = cursor.execute("SELECT 1 AS one").fetchall()

    assert first == (1,)
    assert served == [(1,)]


def test_connection_of_an_earlier_replay_works_in_the_next(seams: None, file_outside: Any) -> None:
    """The state that one replay served does not leak into the next."""
    recorder = MemoryRecorder()
    with recorder.open(), contextlib.closing(sqlite3.connect(file_outside.path)) as live:
        live.execute("INSERT INTO note (text) VALUES ('x')")
    recorded = recorder.finish()
    with MemoryReplayer(recorded).open():
        private = sqlite3.connect(file_outside.path)
        private.execute("INSERT INTO note (text) VALUES ('x')")
        inside = private.in_transaction

    with MemoryReplayer(recorded[1:]).open(), contextlib.closing(private):
        before = private.in_transaction
        private.execute("INSERT INTO note (text) VALUES ('x')")
        after = private.in_transaction

    assert [True, False, True] == [inside, before, after]


def test_commit_and_rollback_without_a_transaction_cross_nothing(connection: Any) -> None:
    """Pools roll back on return: where nothing is open, that is no interaction."""

    def idle(opened_: Any) -> None:
        opened_.commit()
        opened_.rollback()
        with opened_:
            pass

    assert recorded_on(connection, idle) == []


def test_fetching_on_after_the_recorded_rows_is_an_unrecorded_call(connection: Any) -> None:
    """Code that fetches more rows than the run did gets a latched UnrecordedCall that says where."""
    recorded = recorded_on(connection, lambda opened_: opened_.execute("SELECT id FROM item").fetchone())
    replayer = MemoryReplayer(recorded)

    with replayer.open(), pytest.raises(UnrecordedCall, match="reading on after row 1"):
        connection.execute("SELECT id FROM item").fetchall()

    assert replayer.unrecorded is not None


def test_unrecorded_transaction_control_is_local(connection: Any) -> None:
    """BEGIN, ROLLBACK and their misuse behave as the library's own where the run has none of them."""
    with MemoryReplayer([]).open():
        connection.execute("BEGIN")
        begun = connection.in_transaction
        with pytest.raises(sqlite3.OperationalError, match="within a transaction"):
            connection.execute("BEGIN IMMEDIATE")
        connection.execute("SAVEPOINT one")
        connection.execute("ROLLBACK TO one")
        kept = connection.in_transaction
        connection.rollback()
        with pytest.raises(sqlite3.OperationalError, match="cannot commit - no transaction is active"):
            connection.execute("COMMIT")
        ended = connection.in_transaction

    assert [True, True, False] == [begun, kept, ended]


def test_unrecorded_settings_and_pings_are_local(connection: Any) -> None:
    """What a pool or dialect asks of any connection is answered by a private one."""
    with MemoryReplayer([]).open():
        connection.execute("PRAGMA busy_timeout = 1234")
        connection.execute("PRAGMA journal_mode = WAL")
        found = [
            connection.execute(sql).fetchall() for sql in ("PRAGMA busy_timeout", "PRAGMA read_uncommitted", "SELECT 1")
        ]

    assert [[(1234,)], [(0,)], [(1,)]] == found


@pytest.mark.parametrize(
    "sql", ["PRAGMA table_info(item)", "PRAGMA journal_mode", "PRAGMA user_version", "SELECT 1 FROM item"]
)
def test_what_the_file_answers_is_never_made_up(connection: Any, sql: str) -> None:
    """Unrecorded questions about the file are misses."""
    with MemoryReplayer([]).open(), pytest.raises(UnrecordedCall):
        connection.execute(sql)


def test_blob_is_refused_at_replay(connection: Any) -> None:
    """A blob handle can't be given back: the record says so and the replay fails closed."""

    def blob(opened_: Any) -> bytes:
        with opened_.blobopen("item", "data", 1) as handle:
            return bytes(handle.read())

    recorded = recorded_on(connection, blob)

    with MemoryReplayer(recorded).open(), pytest.raises(OpaqueValue):
        blob(connection)

    assert has_opaque(recorded[0].answer)


def test_rows_over_the_bound_are_not_kept(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that streams more rows than the bound holds no more of them, and can't be replayed."""
    monkeypatch.setattr(sqlite_outcome, "_MAX_ROWS", 1)

    recorded = recorded_on(connection, lambda opened_: list(opened_.execute("SELECT id FROM item")))

    assert has_opaque(recorded[0].answer)


def test_rows_fetched_after_the_run_are_not_kept(connection: Any) -> None:
    """A cursor that outlives its run adds nothing to the record."""
    recorder = MemoryRecorder()
    with recorder.open():
        cursor = connection.execute("SELECT id FROM item ORDER BY id")
        cursor.fetchone()

    rest = cursor.fetchall()

    assert rest == [(2,), (3,)]
    assert recorder.finish()[0].answer["rows"] == [[1]]


def test_converter_s_answer_is_copied(seams: None, file_outside: Any) -> None:
    """What a converter made is recorded as it was, although the app changes it before the run ends."""
    sqlite3.register_converter("fluxrun_list", lambda data: [data.decode()])
    recorder = MemoryRecorder()
    with recorder.open():
        with contextlib.closing(sqlite3.connect(file_outside.path, detect_types=sqlite3.PARSE_COLNAMES)) as live:
            (made,) = live.execute("SELECT name AS 'n [fluxrun_list]' FROM item WHERE id = 1").fetchone()
        made.clear()

    assert recorder.finish()[1].answer["rows"] == [[["one"]]]


def test_damaged_answer_is_refused() -> None:
    """A stored answer without its fields is a DamagedBundle, not a KeyError."""
    with pytest.raises(DamagedBundle):
        sqlite3_boundary.boundary.load({"columns": None}, Call({}))


def test_binds_spelled_as_literals_are_no_call(file_outside: Any) -> None:
    """What Django's debugging cursor asks after each statement is recorded nowhere, and answered where no file is."""
    spelled = "SELECT QUOTE(?), QUOTE(?)", ("it's", 7)
    others = patching.installed_patches()
    patching.install(sqlite3_boundary.boundary.patches(sqlite3))

    def asked() -> Any:
        with contextlib.closing(sqlite3.connect(file_outside.path)) as connection:
            return connection.execute(*spelled).fetchone()

    recorder = MemoryRecorder()
    with recorder.open():
        expected = asked()
    recorded = recorder.finish()
    file_outside.take_away()
    with MemoryReplayer(recorded).open():
        again = asked()
    patching.restore_all()
    patching.install(others)

    assert expected == again == ("'it''s'", "7")
    assert ["CONNECT"] == [one.request["sql"] for one in recorded]


def test_an_answer_from_outside_the_transaction_does_not_end_it(file_outside: Any) -> None:
    """A read that was recorded before BEGIN, asked again behind it, leaves the transaction open for its COMMIT."""
    others = patching.installed_patches()
    patching.install(sqlite3_boundary.boundary.patches(sqlite3))

    def asked(*, again: bool) -> list[bool]:
        with contextlib.closing(sqlite3.connect(file_outside.path, isolation_level=None)) as connection:
            connection.execute("SELECT name FROM item").fetchall()
            connection.execute("BEGIN")
            if again:
                connection.execute("SELECT name FROM item").fetchall()
            inside = connection.in_transaction
            connection.commit()
            return [inside, connection.in_transaction]

    recorder = MemoryRecorder()
    with recorder.open():
        asked(again=False)
    recorded = recorder.finish()
    file_outside.take_away()
    with MemoryReplayer([*recorded, recorded[1]]).open():
        states = asked(again=True)
    patching.restore_all()
    patching.install(others)

    assert [True, False] == states
