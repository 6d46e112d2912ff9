"""What is peculiar to asyncpg's boundary: caches warm and cold, live connections, secrets in rows, virtual time."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import pytest

from conftest import POSTGRES_DATABASE
from pytest_fluxrun import patching, registry
from pytest_fluxrun.boundaries.asyncio import boundary as asyncio_boundary
from pytest_fluxrun.boundaries.asyncpg import boundary
from pytest_fluxrun.boundaries.asyncpg_wire.fields import joined, parted
from pytest_fluxrun.boundaries.asyncpg_wire.outcome import Outcome
from pytest_fluxrun.context import entered
from pytest_fluxrun.errors import DamagedBundle, UnrecordedCall
from pytest_fluxrun.kinds.sql import SQL
from pytest_fluxrun.recording.dumping import dump_preamble
from pytest_fluxrun.recording.earlier import EarlierReads
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.recording.redaction import redact_run
from pytest_fluxrun.replaying import event_loop
from pytest_fluxrun.replaying.answers import Answers
from pytest_fluxrun.replaying.event_loop import VirtualLoop
from pytest_fluxrun.replaying.replayer import Replayer
from pytest_fluxrun.replaying.virtual_clock import VirtualClock
from pytest_fluxrun.run import Recording, Run
from tests.boundaries.asyncpg_behaviours import BEHAVIOURS, ORDERS, TYPES, address, connected
from tests.boundaries.forwarded import Forwarded

pytestmark = pytest.mark.service
Body = Callable[[], Awaitable[Any]]


@pytest.fixture
def server(postgres_port: int) -> Iterator[Forwarded]:
    others = patching.installed_patches()
    patching.restore_all()
    for seams in (asyncio_boundary, boundary):
        patching.install(seams.patches(asyncio if seams is asyncio_boundary else asyncpg))
    patching.install(boundary.replay_patches(asyncpg))
    forwarded = Forwarded(postgres_port)
    yield forwarded
    forwarded.close()
    patching.restore_all()
    patching.install(others)


async def recorded(body: Body) -> tuple[Any, Recording]:
    """What a coroutine gives in a recorded run, in the middle of other code, and the recording."""
    recorder = Recorder("job", "function", lambda *_: None)
    with entered(recorder.lane):
        given = await asyncio.get_running_loop().create_task(body())
    recorder.close()
    return given, dump_preamble(recorder).recording


async def replayed(body: Body, recording: Recording, **more: Any) -> tuple[Any, Replayer]:
    """What it gives at replay, in a process whose loop goes on, and the replay."""
    replayer = Replayer(recording, run_id="0" * 26, shared=Answers(None, **more), clock=VirtualClock())
    with entered(replayer.lane):
        given = await asyncio.get_running_loop().create_task(body())
    replayer.close()
    return given, replayer


def driven(body: Body, recording: Recording) -> Any:
    """What it gives at replay on a loop that keeps virtual time, and how long that took in seconds."""
    clock, loop = VirtualClock(), VirtualLoop()
    replayer = Replayer(recording, run_id="0" * 26, shared=Answers(None), clock=clock)
    try:
        with entered(replayer.lane):
            return event_loop.drive(loop, body(), clock), clock.now_ns() / 1e9
    finally:
        event_loop.finish(loop, clock)
        loop.close()
        clock.close()


NUMBERS = "SELECT g AS n, g::text AS t FROM generate_series(1, $1) g"


def test_run_on_a_warm_pool_is_replayed_on_a_cold_one_and_on_a_warm_one(server: Forwarded):
    """A run carries what its statements are like though it prepared none; a statement prepared twice is answered."""

    async def work() -> Any:
        async def body() -> Any:
            found = await pool.fetch(NUMBERS, 3), await pool.fetchrow(NUMBERS, 1)
            async with pool.acquire() as connection, connection.transaction():
                return *found, await connection.execute("SELECT 1")

        async with asyncpg.create_pool(**address(server), min_size=1, max_size=1) as pool:
            await body()
            expected, recording = await recorded(body)
        server.take_away()
        pool = asyncpg.create_pool(**address(server), min_size=0, max_size=1)

        async def first() -> Any:
            await pool
            return await body()

        cold, replayer = await replayed(first, recording)
        warm, again = await replayed(body, recording)
        await pool.close()
        return expected, cold, warm, [*replayer.missed, *again.missed, *replayer.drifts, *again.drifts]

    expected, cold, warm, amiss = asyncio.run(work())

    assert expected == cold
    assert expected == warm
    assert [] == amiss


def test_types_and_codecs_of_a_warm_connection_are_known_to_a_cold_one(server: Forwarded):
    """What was introspected before the run comes with it: enums, composites, codecs by name."""

    async def init(connection: Any) -> None:
        await connection.set_type_codec("mood", schema="fx_apg", encoder=str.lower, decoder=str.upper)
        await connection.set_type_codec("dot", schema="fx_apg", encoder=tuple, decoder=list, format="tuple")

    async def work() -> Any:
        async def body() -> Any:
            asked = "SELECT $1::fx_apg.mood, $2::fx_apg.dot, ARRAY[$1::fx_apg.mood]"
            return tuple(await connection.fetchrow(asked, "GLAD", ("a", 1)))

        async with connected(server) as connection:
            await connection.execute(TYPES)
            await init(connection)
            await body()
            expected, recording = await recorded(body)
        server.take_away()

        async def cold() -> Any:
            nonlocal connection
            connection = await asyncpg.connect(**address(server))
            await init(connection)
            try:
                return await body()
            finally:
                await connection.close()

        return expected, *await replayed(cold, recording)

    expected, given, replayer = asyncio.run(work())

    assert expected == given
    assert expected[0] == "GLAD"
    assert [] == replayer.missed


def test_live_connection_sends_nothing_in_a_replay(server: Forwarded):
    """A connection that was opened while the server was up is answered from the recording, and works on afterwards."""

    async def work() -> Any:
        async def body() -> Any:
            rows = [tuple(row) for row in await connection.fetch(NUMBERS, 2)]
            async with connection.transaction():
                return rows, connection.is_in_transaction()

        async with connected(server) as connection:
            expected, recording = await recorded(body)
        async with connected(server) as connection:
            before = server.calls()
            given, replayer = await replayed(body, recording)
            sent = server.calls() - before
            return expected, given, sent, replayer.missed, await connection.fetchval("SELECT 5")

    expected, given, sent, missed, after = asyncio.run(work())

    assert expected == given
    assert (0, [], 5) == (sent, missed, after)


def test_statement_that_only_an_earlier_run_made_is_answered_as_a_cold_read(
    server: Forwarded, monkeypatch: pytest.MonkeyPatch
):
    """What a warm process asked once, as SQLAlchemy its server's version, is known to a cold process."""
    monkeypatch.setitem(registry._loaded, "asyncpg", boundary)

    async def work() -> Any:
        async def once() -> Any:
            return await connection.fetchval("SELECT current_schema()")

        async def body() -> Any:
            return await connection.fetchval("SELECT $1::int", 4)

        earlier = EarlierReads(1 << 20)
        async with connected(server) as connection:
            first, before = await recorded(once)
            earlier.add(before)
            second, recording = await recorded(body)
        server.take_away()

        async def cold() -> Any:
            nonlocal connection
            connection = await asyncpg.connect(**address(server))
            try:
                return await once(), await body()
            finally:
                await connection.close()

        given, replayer = await replayed(cold, recording, earlier=earlier.recording())
        return (first, second), given, [drift.kind.value for drift in replayer.drifts]

    expected, given, drifts = asyncio.run(work())

    assert expected == given
    assert ["cold-read"] == drifts


def test_secrets_in_rows_arguments_and_types_are_tokens_of_any_length(server: Forwarded):
    """A token stands wherever the secret did, inside arrays, composites and JSON, and asyncpg reads what is left."""
    secret = "Zürich, Äpfel, Öl: 42 Stück"

    async def body() -> Any:
        async with connected(server) as connection:
            await connection.execute(f"{ORDERS}; CREATE TEMP TABLE u(id int, password text)")
            await connection.execute("INSERT INTO u(id, password) VALUES ($1, $2)", 1, secret)
            found = await connection.fetchrow("SELECT password FROM u WHERE id = $1", 1)
            mixed = await connection.fetchrow(
                "SELECT ARRAY[password, 'x', NULL] AS a, jsonb_build_object('k', password) AS j, u AS r, "
                "ARRAY[jsonb_build_object('k', password)] AS js FROM u WHERE password = $1",
                found["password"],
            )
            out: list[bytes] = []
            await connection.copy_from_table("u", output=lambda data: _into(out, data), format="binary")
            return found["password"], mixed["a"], mixed["j"], mixed["r"]["password"], mixed["js"], b"".join(out)

    async def work() -> Any:
        expected, recording = await recorded(body)
        server.take_away()
        run = redact_run(_run(recording))
        assert secret.encode() not in json.dumps(dataclasses.asdict(run), default=repr).encode()
        given, replayer = await replayed(body, _longer(run.recording, run.tokens[0]))
        return expected, run.tokens, given, replayer.missed

    expected, tokens, given, missed = asyncio.run(work())

    token = "".join(tokens) * 2
    assert expected[0] == secret
    assert (token, [token, "x", None], json.dumps({"k": token}), token) == given[:4]
    assert [json.dumps({"k": token})] == given[4]
    assert token.encode() in given[5]
    assert [] == missed


def _longer(recording: Recording, token: str) -> Recording:
    """The recording with a token twice as long: nothing in an answer may tell how long its texts are."""

    def longer(value: Any) -> Any:
        return json.loads(json.dumps(value).replace(token, token * 2))

    interactions = (
        dataclasses.replace(i, request=longer(i.request), answer=longer(i.answer)) for i in recording.interactions
    )
    return dataclasses.replace(recording, interactions=tuple(interactions))


async def _into(out: list[bytes], data: bytes) -> None:
    out.append(bytes(data))


def _run(recording: Recording) -> Run:
    return Run(
        id="0" * 26, project="p", entry="job", entry_kind="function", input=None, outcome=None, recording=recording
    )


@pytest.mark.parametrize("name", ["notifications", "time-out of a statement", "cancelled by the program", "pool"])
def test_behaviour_keeps_its_time_at_replay(server: Forwarded, name: str):
    """On the run's virtual clock with the real matching: what waits, and is told late, comes out the same."""

    async def work() -> Any:
        return await recorded(lambda: BEHAVIOURS[name](server))

    expected, recording = asyncio.run(work())
    server.take_away()
    given, _ = driven(lambda: BEHAVIOURS[name](server), recording)

    assert expected == given


def test_reading_on_in_a_cursor_is_refused(server: Forwarded):
    """Rows that the recorded program never asked for exist nowhere."""

    def body(count: int) -> Body:
        async def read() -> Any:
            async with connected(server) as connection, connection.transaction():
                cursor = await connection.cursor(NUMBERS, 9)
                return [len(await cursor.fetch(3)) for _ in range(count)]

        return read

    async def work() -> Any:
        expected, recording = await recorded(body(2))
        server.take_away()
        given, _ = await replayed(body(2), recording)
        with pytest.raises(UnrecordedCall, match="3 rows after row 6"):
            await replayed(body(3), recording)
        return expected, given

    expected, given = asyncio.run(work())

    assert expected == given == [3, 3]


def test_transaction_that_was_not_recorded_is_answered_here(server: Forwarded):
    """A fix may put a transaction around statements: it is begun, nested and ended without a server."""

    async def work() -> Any:
        async def body() -> Any:
            async with connected(server) as connection:
                return await connection.fetchval("SELECT $1::int", 3)

        expected, recording = await recorded(body)
        server.take_away()

        async def fixed() -> Any:
            async with connected(server) as connection, connection.transaction():
                async with connection.transaction():
                    value = await connection.fetchval("SELECT $1::int", 3)
                return value, connection.is_in_transaction()

        given, replayer = await replayed(fixed, recording)
        return expected, given, replayer.missed

    assert (3, (3, True), []) == asyncio.run(work())


def test_statement_without_a_recording_is_named(server: Forwarded):
    """Preparing is where a new statement is missed, and nothing reaches the server."""

    async def work() -> Any:
        async def body(query: str = "SELECT 1") -> Any:
            async with connected(server) as connection:
                return await connection.fetch(query)

        _, recording = await recorded(body)
        server.take_away()
        with pytest.raises(UnrecordedCall, match="SELECT 2"):
            await replayed(lambda: body("SELECT 2"), recording)

    asyncio.run(work())


def test_requests_are_for_people_and_name_the_driver(server: Forwarded):
    """Arguments as values, the database's name, no names of statements and portals."""

    async def body() -> Any:
        async with connected(server) as connection, connection.transaction():
            await connection.fetch("SELECT $1::int4range, $2::int[]", asyncpg.Range(1, 5), [1])
            [row async for row in connection.cursor(NUMBERS, 4, prefetch=3)]

    async def work() -> Recording:
        return (await recorded(body))[1]

    texts = [SQL.text(one.request) for one in asyncio.run(work()).interactions]

    assert [
        f"{POSTGRES_DATABASE}: CONNECT",
        f"{POSTGRES_DATABASE}: BEGIN",
        f"{POSTGRES_DATABASE}: SELECT $1::int4range, $2::int[] ['<Range [1, 5)>', [1]]",
        f"{POSTGRES_DATABASE}: {NUMBERS} [4]",
        f"{POSTGRES_DATABASE}: {NUMBERS} [4] (3 rows after row 3)",
        f"{POSTGRES_DATABASE}: COMMIT",
    ] == texts


@pytest.mark.parametrize(
    ("data", "oid"),
    [
        (b"plain", 25),
        (b"\xff\xfe", 25),
        (b"\x01{}", 3802),
        (b"{}", 114),
        (b"\x00\x00\x00\x01", 23),
        (bytes.fromhex("00000001000000000000001900000002000000010000000161ffffffff"), 1009),
        (bytes.fromhex("0000000100000000000000190000000200000001000000ff61"), 1009),
        (bytes.fromhex("000000020000001900000001610000001700000004000000ff"), 99999),
        (b"", 99999),
        (b"\x00" * 12, 99999),
    ],
)
def test_field_is_put_together_as_it_came(data: bytes, oid: int):
    """Whatever a value is, its parts give its bytes back."""
    assert data == joined(parted(data, oid), oid)


@pytest.mark.parametrize(
    "rows", [[["one"]], [["one"], 5], [["one"], [{"~": "bytes", "v": "A"}]], {"~": "set", "v": []}]
)
def test_answer_that_lacks_rows_is_damaged(rows: Any) -> None:
    """Of the rows that its messages count, one isn't there or isn't a row."""
    with pytest.raises(DamagedBundle, match="answer of PostgreSQL can't be read"):
        Outcome.load({"columns": ["name"], "types": [25], "rows": rows, "messages": [["D", 2], ["C", "SELECT 2"]]})
