"""What is peculiar to psycopg2's boundary: connections of another time, secrets in rows, threads, what it refuses."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import psycopg2.extras
import pytest

from conftest import POSTGRES_DATABASE
from pytest_fluxrun import patching
from pytest_fluxrun.boundaries.psycopg2 import boundary
from pytest_fluxrun.boundaries.threading import boundary as threading_boundary
from pytest_fluxrun.boundary import Call
from pytest_fluxrun.context import entered
from pytest_fluxrun.errors import OpaqueValue, UnrecordedCall
from pytest_fluxrun.kinds.sql import SQL
from pytest_fluxrun.recording.dumping import dump_preamble
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.recording.redaction import redact_run
from pytest_fluxrun.replaying import event_loop
from pytest_fluxrun.replaying.answers import Answers
from pytest_fluxrun.replaying.replayer import Replayer
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from pytest_fluxrun.run import Recording, Run
from pytest_fluxrun.testing.sessions import MemoryRecorder
from tests.boundaries.forwarded import Forwarded
from tests.boundaries.psycopg2_behaviours import NUMBERS, ORDERS, address, connected

pytestmark = pytest.mark.service
Body = Callable[[], Any]


@pytest.fixture
def server(postgres_port: int) -> Iterator[Forwarded]:
    others = patching.installed_patches()
    patching.restore_all()
    patching.install(threading_boundary.patches(threading))
    patching.install(boundary.patches(psycopg2))
    patching.install(boundary.replay_patches(psycopg2))
    forwarded = Forwarded(postgres_port)
    yield forwarded
    forwarded.close()
    patching.restore_all()
    patching.install(others)


def recorded(body: Body) -> tuple[Any, Recording]:
    """What a function gives in a recorded run, and the recording."""
    recorder = Recorder("job", "function", lambda *_: None)
    with entered(recorder.lane):
        given = body()
    recorder.close()
    return given, dump_preamble(recorder).recording


def replayed(body: Body, recording: Recording) -> tuple[Any, Replayer]:
    """What it gives at replay, and the replay."""
    clock = VirtualClock()
    replayer = Replayer(recording, run_id="0" * 26, shared=Answers(None), clock=clock)
    try:
        with entered(replayer.lane):
            return event_loop.call(body, clock), replayer
    finally:
        replayer.close()
        clock.close()


@pytest.mark.parametrize("fetch", [lambda cursor: cursor.fetchall(), lambda cursor: cursor.fetchmany(9), list])
def test_rows_of_a_run_are_the_apps_to_drop(server: Forwarded, fetch: Callable[[Any], list[Any]]):
    """Their values are kept, the tuples aren't: a second reference would make the memory of each row fresh."""
    counts: list[int] = []

    def body() -> Any:
        with connected(server) as connection, connection.cursor() as cursor:
            cursor.execute(NUMBERS, (4,))
            rows = fetch(cursor)
            counts.append(sys.getrefcount(rows[2]))
            return rows

    alone = body()
    expected, recording = recorded(body)
    server.take_away()
    given, _ = replayed(body, recording)

    assert alone == expected == given
    assert counts[0] == counts[1]


def test_connection_of_another_time_is_used_on_both_sides(server: Forwarded):
    """Opened before the run, live or at replay; a live one sends nothing in a replay and works on afterwards."""
    connection = psycopg2.connect(**address(server))

    def body() -> Any:
        with connection, connection.cursor() as cursor:
            cursor.execute(NUMBERS, (2,))
            status = connection.status, connection.get_transaction_status()
            return (
                status,
                cursor.fetchall(),
                cursor.description,
                connection.server_version,
                cursor.mogrify("%s", ("ä'",)),
            )

    expected, recording = recorded(body)
    before = server.calls()
    live, replayer = replayed(body, recording)
    sent = server.calls() - before
    with connection.cursor() as cursor:
        cursor.execute("SELECT 5")
        after = cursor.fetchone()
    connection.close()
    server.take_away()

    def cold() -> Any:
        nonlocal connection
        connection = psycopg2.connect(**address(server))
        return body()

    given, again = replayed(cold, recording)
    connection.close()

    assert expected == live
    assert expected == given
    assert (0, (5,), [], []) == (sent, after, replayer.missed, again.missed)


def test_secrets_in_rows_and_arguments_are_tokens(server: Forwarded):
    """A token stands wherever the secret did, also in what is cast again."""
    secret = "Zürich, Äpfel, Öl: 42 Stück"

    def body() -> Any:
        with connected(server) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE u(id int, password text)")
            cursor.execute("INSERT INTO u(id, password) VALUES (%s, %s)", (1, secret))
            cursor.execute("SELECT password, ARRAY[password], jsonb_build_object('k', password) FROM u WHERE id = 1")
            password, many, packed = cursor.fetchone()
            return password, many, packed, cursor.execute("SELECT id FROM u WHERE password = %s", (password,))

    expected, recording = recorded(body)
    server.take_away()
    run = redact_run(Run("0" * 26, "p", "job", "function", input=None, outcome=None, recording=recording))
    given, replayer = replayed(body, run.recording)

    (token,) = run.tokens
    assert secret.encode() not in json.dumps(dataclasses.asdict(run), default=repr).encode()
    assert (secret, [secret], {"k": secret}, None) == expected
    assert (token, [token], {"k": token}, None) == given
    assert [] == replayer.missed


def test_statements_of_threads_are_answered_in_their_own(server: Forwarded):
    """Identical statements of two threads get each its own answers."""

    def body() -> Any:
        found: dict[str, Any] = {}

        def work(name: str) -> None:
            with connected(server) as connection, connection.cursor() as cursor:
                cursor.execute(ORDERS)
                cursor.execute("INSERT INTO orders(id, name) VALUES (1, %s)", (name,))
                cursor.execute("SELECT name FROM orders")
                found[name] = cursor.fetchall()

        threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    expected, recording = recorded(body)
    server.take_away()
    given, replayer = replayed(body, recording)

    assert {"one": [("one",)], "two": [("two",)]} == expected == given
    assert [] == replayer.missed


def test_reading_on_is_refused(server: Forwarded):
    """Rows that the recorded program never fetched exist nowhere."""

    def body(count: int) -> Body:
        def read() -> Any:
            with connected(server) as connection, connection.cursor() as cursor:
                cursor.execute(NUMBERS, (9,))
                return [cursor.fetchone()[0] for _ in range(count)]

        return read

    expected, recording = recorded(body(2))
    server.take_away()
    given, _ = replayed(body(2), recording)

    assert [1, 2] == expected == given
    with pytest.raises(UnrecordedCall, match="reading on after row 2"):
        replayed(body(3), recording)


def test_transaction_that_was_not_recorded_is_ended_here(server: Forwarded):
    """A fix may commit in the middle, and nest."""

    def body(*, fixed: bool) -> Any:
        with connected(server) as connection, connection.cursor() as cursor:
            if fixed:
                cursor.execute("SAVEPOINT one")
            cursor.execute("SELECT %s", (3,))
            found = cursor.fetchall()
            if fixed:
                cursor.execute("RELEASE SAVEPOINT one")
                connection.commit()
            return found, connection.status

    expected, recording = recorded(lambda: body(fixed=False))
    server.take_away()
    given, replayer = replayed(lambda: body(fixed=True), recording)

    assert ([(3,)], 2) == expected
    assert ([(3,)], 1) == given
    assert [] == replayer.missed


@pytest.mark.parametrize("name", ["lobject", "fileno", "tpc_begin", "poll"])
def test_what_cannot_be_given_back_is_refused_by_name(server: Forwarded, name: str):
    """Large objects, polling and two-phase commits work live in a run, which a replay then can't answer."""

    def body() -> Any:
        with connected(server) as connection:
            arguments = (connection.xid(1, "g", "b"),) if name == "tpc_begin" else ()
            getattr(connection, name)(*arguments)

    _, recording = recorded(body)
    server.take_away()
    with pytest.raises(OpaqueValue):
        replayed(body, recording)


def test_asynchronous_connection_makes_a_run_unready(server: Forwarded):
    """It is opened live, and named."""
    recorder = MemoryRecorder()
    with recorder.open():
        psycopg2.connect(**address(server), async_=True).close()

    assert ["psycopg2 with async_=True"] == recorder.refused


def test_requests_are_for_people_and_hold_no_password(server: Forwarded):
    """Arguments as values, composed statements as their text, COPY with what is copied."""

    def body() -> Any:
        with connected(server, password="s3cr3t-word") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT %s, %s", (psycopg2.extras.Json({"a": 1}), "x"))
            cursor.execute("SELECT %(n)s", {"n": [1]})
            connection.rollback()

    recording = recorded(body)[1]

    assert [
        f"{POSTGRES_DATABASE}: CONNECT",
        f"{POSTGRES_DATABASE}: SELECT %s, %s [{{'a': 1}}, 'x']",
        f"{POSTGRES_DATABASE}: SELECT %(n)s {{'n': [1]}}",
        f"{POSTGRES_DATABASE}: ROLLBACK",
    ] == [SQL.text(one.request) for one in recording.interactions]
    assert "s3cr3t-word" not in json.dumps(dataclasses.asdict(recording), default=repr)


def test_answers_by_hand_and_from_elsewhere_are_served_as_recorded_ones(server: Forwarded):
    """A projection keeps what is cast again; words and another server give rows, counts and a status."""

    def body() -> Any:
        with connected(server) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT '[1,5)'::int4range AS r, 5 AS n, 'x' AS t")
            return cursor.fetchall()

    expected, recording = recorded(body)
    asked = next(one for one in recording.interactions if one.request["sql"].startswith("SELECT"))
    picked = boundary.load(boundary.project(asked.answer, [("t", None), ("r", "again")]), Call({}))
    words = boundary.load(boundary.answer(asked.request, {"rows": [{"id": 7, "name": "x"}]}), Call({}))
    counted = boundary.load(
        boundary.answer({**asked.request, "sql": "INSERT INTO a VALUES (1)"}, {"count": 1}), Call({})
    )
    address = f"postgresql://postgres@127.0.0.1:{server.port}/{POSTGRES_DATABASE}"
    anew = boundary.load(boundary.ask(asked.request, {"postgres": address}), Call({}))

    assert [("x", '["1","5")')] == picked.rows
    assert [(0, 1)] == picked.casts
    assert ([(7, "x")], 1, "SELECT 1") == (words.rows, words.rowcount, words.status)
    assert ([], 1, "INSERT 0 1", None) == (counted.rows, counted.rowcount, counted.status, counted.description)
    assert (expected[0][1:], "SELECT 1") == (anew.rows[0][1:], anew.status)
