"""psycopg in runs of the real recorder: pools, connections opened before, what is kept and what refused."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries import asyncio as asyncio_seams
from pytest_fluxrun.boundaries import psycopg as psycopg_boundary
from pytest_fluxrun.boundaries import threading as threading_seams
from pytest_fluxrun.context import entered
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.recording.earlier import EarlierReads
from pytest_fluxrun.recording.redaction import redact
from pytest_fluxrun.replaying.answers import Answers
from pytest_fluxrun.replaying.event_loop import call
from pytest_fluxrun.replaying.replayer import Replayer
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from pytest_fluxrun.run import Recording
from pytest_fluxrun.values import decode
from tests.boundaries import psycopg_async_behaviours as abehaviours
from tests.boundaries import psycopg_behaviours as behaviours
from tests.boundaries.psycopg_outside import Postgres
from tests.boundaries.read_runs import record, replay


@pytest.fixture
def seams() -> Iterator[None]:
    """All that a process which replays has, for these libraries."""
    patching.install(psycopg_boundary.boundary.patches(psycopg))
    patching.install(psycopg_boundary.boundary.replay_patches(psycopg))
    patching.install(threading_seams.boundary.patches(threading))
    patching.install(asyncio_seams.boundary.patches(asyncio))
    yield
    patching.restore_all()


@pytest.fixture
def outside(seams: None, psycopg_schema: Any) -> Iterator[Postgres]:
    """A PostgreSQL behind a port of its own."""
    outside = Postgres(psycopg_schema)
    yield outside
    outside.close()


@pytest.mark.parametrize("exercise", ["pool", "pool_checked", "pool_shared"])
def test_pool_opened_in_a_run_works_without_its_server(outside: Postgres, exercise: str) -> None:
    """The pool's workers connect to nothing, and every statement has its answer."""
    use = getattr(abehaviours, exercise)
    expected, recording = record(lambda: use(outside))
    outside.take_away()

    assert expected == replay(lambda: use(outside), recording)


def test_pool_opened_before_the_runs_works_in_both(outside: Postgres) -> None:
    """Recorded on a pool of live connections, replayed on one that start-up opened with nothing to connect to."""

    def use(pool: Any) -> Any:
        with pool.connection() as one, pool.connection() as other:
            return [
                repr(one.execute("SELECT '2024-06-01 12:00Z'::timestamptz").fetchone()),
                other.execute("SELECT name FROM item ORDER BY id").fetchall(),
                one.info.server_version,
            ]

    with ConnectionPool(
        outside.dsn.replace("options='", "options='-c timezone=Asia/Tokyo "), min_size=1, max_size=2
    ) as pool:
        pool.wait()
        expected, recording = record(lambda: use(pool))
    outside.take_away()
    starting = _Starting()
    opened = starting.call(lambda: ConnectionPool(outside.dsn, min_size=1, max_size=2, timeout=5, open=True))
    starting.end()

    served = replay(lambda: use(opened), recording)
    starting.call(lambda: opened.close(timeout=0))

    assert expected == served
    assert "Asia/Tokyo" in expected[0]


def test_live_connection_sends_nothing_in_a_replay(outside: Postgres) -> None:
    """A connection opened before a replay serves the recording in it, and is live again after it."""

    def use(connection: Any) -> Any:
        with connection.transaction():
            connection.execute("INSERT INTO note (text) VALUES ('added')")
        return [connection.execute("SELECT text FROM note").fetchall(), behaviours.status(connection)]

    with psycopg.connect(outside.dsn, autocommit=True) as connection:
        cursor = connection.cursor()
        expected, recording = record(lambda: use(connection))
        outside.run("UPDATE note SET text = 'changed since'")
        sent = outside.calls()

        served = replay(lambda: use(connection), recording)
        stepped = replay(lambda: use(cursor.connection), recording)

        assert sent == outside.calls()
        assert expected == served == stepped
        assert connection.execute("SELECT text FROM note").fetchall() == [("changed since",)]


def test_refused_connection_is_its_own_error(outside: Postgres) -> None:
    """Nobody listens: the same error, with the recorded port, though the replayed program asks another host."""
    outside.take_away()

    def use(host: str) -> Any:
        try:
            psycopg.connect(f"host={host} port={outside.port} user=postgres dbname=test connect_timeout=3")
        except psycopg.OperationalError as error:
            return [type(error), str(error), error.sqlstate, error.pgconn is None]

    expected, recording = record(lambda: use("127.0.0.1"))

    assert expected[:3] == replay(lambda: use("db.production.example"), recording)[:3]
    assert str(outside.port) in expected[1]


def test_each_attempt_to_connect_is_replayed(outside: Postgres) -> None:
    """Of two hosts the first refuses: at replay both are tried again, and nobody is asked for their addresses."""

    def use(hosts: str) -> Any:
        with psycopg.connect(f"host={hosts} port=1,{outside.port} user=postgres dbname=test") as connection:
            return connection.execute("SELECT 'connected'").fetchone()

    async def ause(hosts: str) -> Any:
        async with await psycopg.AsyncConnection.connect(
            f"host={hosts} port=1,{outside.port} user=postgres dbname=test"
        ) as connection:
            return await (await connection.execute("SELECT 'connected'")).fetchone()

    expected, recording = record(lambda: use("localhost,localhost"))
    aexpected, arecording = record(lambda: asyncio.run(ause("localhost,localhost")))
    outside.take_away()

    assert expected == replay(lambda: use("a.invalid,b.invalid"), recording) == ("connected",)
    assert aexpected == replay(lambda: asyncio.run(ause("a.invalid,b.invalid")), arecording)
    assert 2 <= sum(kept.request["sql"] == "CONNECT" for kept in recording.interactions)


def test_connecting_that_takes_too_long_is_its_own_error() -> None:
    """A server that accepts and says nothing: a time-out live, and at replay."""
    seams = psycopg_boundary.boundary
    patching.install(seams.patches(psycopg))
    patching.install(seams.replay_patches(psycopg))
    with contextlib.closing(__import__("socket").create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]

        def use() -> Any:
            try:
                psycopg.connect(f"host=127.0.0.1 port={port} user=postgres connect_timeout=2")
            except psycopg.errors.ConnectionTimeout as error:
                return [type(error), str(error)]

        expected, recording = record(use)

        assert expected == replay(use, recording)
    patching.restore_all()


def test_passwords_are_no_part_of_a_recording(outside: Postgres) -> None:
    """What a connection proves who it is with is neither in its request nor among the facts that are kept of it."""

    def use() -> Any:
        with psycopg.connect(outside.dsn, password="pa55-w0rd", sslpassword="0ther") as connection:
            connection.execute("SELECT 1")
            return connection.info.password

    expected, recording = record(use)

    assert "pa55-w0rd" not in repr(recording)
    assert "0ther" not in repr(recording)
    assert expected == replay(use, recording) == "pa55-w0rd"


@pytest.mark.parametrize(
    ("way", "reads"),
    [
        (lambda cursor: cursor.stream("SELECT * FROM generate_series(1, 100000)"), next),
        (lambda cursor: _copied(cursor), next),
    ],
    ids=["stream", "copy"],
)
def test_reading_on_is_refused(outside: Postgres, way: Any, reads: Any) -> None:
    """Of an answer that the recorded program left, a replay gives what was read and no more."""

    def use(count: int) -> Any:
        with psycopg.connect(outside.dsn) as connection, connection.cursor() as cursor:
            with contextlib.closing(way(cursor)) as rows:
                found = [
                    bytes(row) if isinstance(row, memoryview) else row for row in (reads(rows) for _ in range(count))
                ]
            connection.rollback()
            return found

    expected, recording = record(lambda: use(2))

    assert expected == replay(lambda: use(2), recording)
    with pytest.raises(UnrecordedCall, match="reading on"):
        replay(lambda: use(3), recording)


def _copied(cursor: Any) -> Iterator[Any]:
    with cursor.copy("COPY (SELECT * FROM generate_series(1, 100000)) TO STDOUT") as copy:
        yield from copy


def test_transaction_control_that_the_recording_lacks_is_local(outside: Postgres) -> None:
    """A fix may put statements into a transaction, or a savepoint."""

    def plain() -> Any:
        with psycopg.connect(outside.dsn, autocommit=True) as connection:
            return connection.execute("SELECT name FROM item WHERE id = 1").fetchone()

    def fixed() -> Any:
        with psycopg.connect(outside.dsn, autocommit=True) as connection, connection.transaction():
            with connection.transaction():
                found = connection.execute("SELECT name FROM item WHERE id = 1").fetchone()
            assert behaviours.status(connection) == "INTRANS"
            return found

    expected, recording = record(plain)

    assert expected == replay(fixed, recording)


def test_replication_is_refused_by_name(outside: Postgres) -> None:
    """Recording notes it; a replay names it."""

    def use() -> None:
        with contextlib.suppress(psycopg.Error):
            psycopg.connect(outside.dsn + " replication=database").close()

    _, recording = record(lambda: None)

    with pytest.raises(UnrecordedCall, match="psycopg with replication"):
        replay(use, recording)


def test_pgconn_itself_is_refused_by_name(outside: Postgres) -> None:
    """What psycopg's own layer never calls isn't played."""

    def use() -> Any:
        with psycopg.connect(outside.dsn) as connection:
            return connection.pgconn.exec_(b"SELECT 1").status

    _, recording = record(use)

    with pytest.raises(psycopg.NotSupportedError, match=r"PGconn\.exec_"):
        replay(use, recording)


class _Starting:
    """Start-up at replay: a preamble that recorded nothing."""

    def __init__(self) -> None:
        self._clock = VirtualClock()
        empty = Recording(0, 0, 0, 0)
        self._replayer = Replayer(empty, run_id="0" * 26, shared=Answers(None), clock=self._clock, preamble=True)

    def call(self, function: Callable[[], Any]) -> Any:
        with entered(self._replayer.lane):
            return call(function, self._clock)

    def end(self) -> None:
        self._clock.release()
        self._replayer.returned = True


def test_secrets_are_found_by_column_wherever_they_stand(outside: Postgres) -> None:
    """In binds sent or written into the text, in rows, in further results, and in what is copied either way."""

    def use() -> Any:
        with psycopg.connect(outside.dsn) as connection:
            connection.execute("CREATE TEMP TABLE account (id int, password text)")
            connection.execute("INSERT INTO account (id, password) VALUES (%s, %s)", (1, "first-secret"))
            psycopg.ClientCursor(connection).execute(
                "INSERT INTO account (id, password) VALUES (%s, %s)", (2, "second-secret")
            )
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO account (id, password) VALUES (%s, %s)", [(3, "third-secret")])
                with cursor.copy("COPY account (id, password) FROM STDIN") as copy:
                    copy.write_row((4, "fourth-secret"))
                with cursor.copy("COPY account (id, password) TO STDOUT") as copy:
                    copied = [bytes(piece) for piece in copy]
                cursor.execute("SELECT 1 AS one; SELECT id, password, 'fifth-secret' AS api_key FROM account")
                return [len(copied), cursor.rowcount]

    expected, recording = record(use)
    named = [
        pair
        for kept in recording.interactions
        for pair in psycopg_boundary.boundary.kind.named_values(decode(kept.request), kept.answer)
    ]
    redacted = repr(
        redact([[kept.request, kept.answer] for kept in recording.interactions], key=b"k" * 32, named=named).tree
    )

    assert expected == replay(use, recording)
    assert [name for name in ("first", "second", "third", "fourth", "fifth") if f"{name}-secret" in redacted] == []


def test_binds_are_equal_whatever_the_format(outside: Postgres) -> None:
    """Text and binary placeholders ask the same; what is dumped in C and in Python is the same."""
    import uuid

    values = (1, 2**40, 1.5, True, "text", uuid.UUID(int=7), None)

    def use(form: str) -> Any:
        with psycopg.connect(outside.dsn) as connection:
            return connection.execute("SELECT " + ", ".join(f"%{form}::text" for _ in values), values).fetchone()

    _, text = record(lambda: use("t"))
    _, binary = record(lambda: use("b"))
    asked = [
        next(kept.request["binds"] for kept in each.interactions if kept.request["binds"]) for each in (text, binary)
    ]

    assert asked[0] == asked[1]
    assert decode(asked[0])[:5] == [1, 2**40, 1.5, True, "text"]
    assert replay(lambda: use("s"), text)[:2] == ("1", str(2**40))


def test_preparing_changes_no_request(outside: Postgres) -> None:
    """Recorded on a connection that has prepared the statement, replayed on one that has not, and the other way."""

    def use(connection: Any, count: int) -> Any:
        return [connection.execute("SELECT name FROM item WHERE id = %s", (1,)).fetchone() for _ in range(count)]

    with psycopg.connect(outside.dsn, autocommit=True) as connection:
        use(connection, 8)
        _, warm = record(lambda: use(connection, 3))
    outside.take_away()

    def cold() -> Any:
        with psycopg.connect(outside.dsn, autocommit=True, prepare_threshold=0) as connection:
            return use(connection, 3)

    assert [("one",)] * 3 == replay(cold, warm)


def test_cold_engine_asks_what_a_warm_process_had_asked_before(outside: Postgres) -> None:
    """SQLAlchemy's first-connect questions, made in an earlier run of the recorded process, are answered at replay."""
    import sqlalchemy as sa

    def use(engine: Any) -> Any:
        with engine.connect() as connection:
            return connection.execute(sa.text("SELECT name FROM item ORDER BY id")).scalars().all()

    engine = sa.create_engine(outside.url)
    _, first = record(lambda: use(engine))
    expected, warm = record(lambda: use(engine))
    engine.dispose()
    outside.take_away()
    earlier = EarlierReads(1 << 20)
    earlier.add(first)
    cold = sa.create_engine(outside.url)
    clock = VirtualClock()
    replayer = Replayer(warm, run_id="0" * 26, shared=Answers(None, earlier=earlier.recording()), clock=clock)

    with entered(replayer.lane):
        served = call(lambda: use(cold), clock)
        cold.dispose()

    assert expected == served
    assert len(first.interactions) > len(warm.interactions)
