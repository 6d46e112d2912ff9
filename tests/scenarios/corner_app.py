"""What plausible FastAPI code does that is hard to replay: one endpoint for each.

Every endpoint answers with what chance, time or another service decided, so that a replay which isn't faithful shows.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import hashlib
import hmac
import logging
import os
import queue
import random
import secrets
import sqlite3
import threading
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from email.utils import formatdate
from random import choice as copied_choice
from time import time as copied_time
from typing import Annotated, Any

import pytest_fluxrun as fluxrun

fluxrun.init(project="corner")

import anyio
import corner_rows
import corner_streams
import httpx
from corner_calls import UPSTREAM, client, number, number_blocking
from corner_rows import DATABASE, Database
from fastapi import BackgroundTasks, FastAPI, Header, HTTPException, Request, Response, WebSocket
from fastapi.concurrency import run_in_threadpool
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Receive, Scope, Send

NOBODY = os.environ["NOBODY"]
_SECRET = b"corner"

trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")
pool = concurrent.futures.ThreadPoolExecutor(4)
logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    with contextlib.closing(sqlite3.connect(DATABASE)) as database:
        database.executescript(
            "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT UNIQUE, at TIMESTAMP);"
            "INSERT INTO notes (text) VALUES ('first');"
        )
    first = (await client.get("/draw", params={"of": "lifespan"})).json()["number"]
    yield {"booted": first, "boot_id": uuid.uuid4().hex}
    await client.aclose()


class Trace:
    """A pure ASGI middleware that sets a context variable and a header from it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        token = trace.set(secrets.token_hex(8))

        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-trace", trace.get().encode())]
            await send(message)

        try:
            await self.app(scope, receive, stamped)
        finally:
            trace.reset(token)


api = FastAPI(lifespan=lifespan)
api.add_middleware(GZipMiddleware, minimum_size=1000)
api.add_middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_methods=["GET", "POST", "PUT"])
api.add_middleware(Trace)
api.include_router(corner_rows.router)
api.include_router(corner_streams.router)


@api.get("/health")
async def health() -> str:
    return "up"


@api.get("/gather")
async def gather(n: int = 5) -> list[int]:
    """Identical calls at once, each with another answer."""
    return await asyncio.gather(*(number("same") for _ in range(n)))


@api.get("/gather-failing")
async def gather_failing() -> list[str]:
    """Some of many fail; the errors are results."""

    async def get(path: str) -> int:
        return (await client.get(path)).raise_for_status().status_code

    found = await asyncio.gather(
        *(get(path) for path in ("/draw", "/nowhere", "/broken", "/draw")), return_exceptions=True
    )
    return [repr(each) for each in found]


@api.get("/task-group")
async def task_group() -> dict[str, int]:
    """Tasks in a group, one of which starts another."""
    found: dict[str, int] = {}

    async def ask(name: str, group: asyncio.TaskGroup | None = None) -> None:
        found[name] = await number(name)
        if group:
            group.create_task(ask(f"{name}-child"))

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(ask(name, group))
    return dict(sorted(found.items()))


@api.get("/task-group-failing")
async def task_group_failing() -> dict[str, Any]:
    """One task raises: its sibling is cancelled in the middle of a call."""
    seen: list[str] = []

    async def slow() -> None:
        try:
            await number("slow", ms=500)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def bad() -> None:
        raise LookupError(str(await number("bad")))

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(slow())
            group.create_task(bad())
    except* LookupError as errors:
        seen += [repr(error) for error in errors.exceptions]
    return {"seen": seen}


@api.get("/context")
async def context(background: BackgroundTasks) -> dict[str, str]:
    """A context variable seen in a task, a thread pool and to_thread."""
    background.add_task(_note, f"ctx-{trace.get()}")
    return {
        "here": trace.get(),
        "task": await asyncio.create_task(_read_trace()),
        "threadpool": await run_in_threadpool(trace.get),
        "to_thread": await asyncio.to_thread(trace.get),
        "own pool": await asyncio.get_running_loop().run_in_executor(pool, trace.get),
    }


async def _read_trace() -> str:
    await asyncio.sleep(0.001)
    return trace.get()


def _note(text: str) -> int:
    with contextlib.closing(sqlite3.connect(DATABASE, timeout=10)) as database, database:
        return int(database.execute("INSERT INTO notes (text, at) VALUES (?, ?)", (text, time.time())).lastrowid or 0)


@api.get("/sync")
def sync_endpoint(database: Database) -> dict[str, Any]:
    """A sync endpoint: SQL, HTTP, a sleep, the clock."""
    before = time.monotonic()
    row = database.execute(
        "INSERT INTO notes (text) VALUES (?) RETURNING id, hex(randomblob(4)) AS noise", (uuid.uuid4().hex,)
    )
    written = dict(row.fetchone())
    time.sleep(0.01)
    return {"row": written, "n": number_blocking("sync"), "slept": time.monotonic() - before > 0.01, "at": time.time()}


@api.post("/background")
async def background_tasks(background: BackgroundTasks) -> dict[str, str]:
    """Several tasks after the response, sync and async, with effects."""
    key = uuid.uuid4().hex
    background.add_task(_note, f"bg-{key}")
    background.add_task(_post_later, key)
    background.add_task(_note, f"bg2-{key}")
    return {"key": key}


async def _post_later(key: str) -> None:
    await asyncio.sleep(0.01)
    answer = (await client.post("/echo", json={"key": key})).json()
    await run_in_threadpool(_note, f"ref-{answer['ref']}")


@api.get("/background-failing")
async def background_failing(background: BackgroundTasks) -> dict[str, float]:
    """A background task raises after the response was sent."""
    background.add_task(_raise_later)
    return {"at": time.time()}


async def _raise_later() -> None:
    raise RuntimeError(str(await number("later")))


@api.get("/random")
async def many_draws() -> dict[str, Any]:
    """Every usual way to chance."""
    deck = list(range(52))
    random.shuffle(deck)
    return {
        "deck": deck,
        "floats": [
            random.random(),
            random.uniform(1, 2),
            random.gauss(0, 1),
            random.gauss(0, 1),
            random.expovariate(3),
        ],
        "sample": random.sample(range(1000), 5),
        "choices": random.choices("abc", k=10),
        "copied": copied_choice([*range(1000)]),
        "own": random.Random().random(),
        "system": random.SystemRandom().randint(0, 10**12),
        "seeded": random.Random(42).random(),
        "bytes": random.randbytes(5).hex(),
        "secrets": [secrets.token_urlsafe(), secrets.randbelow(10**9), secrets.choice("abcdef")],
        "uuids": [str(uuid.uuid1()), str(uuid.uuid4())],
        "urandom": os.urandom(8).hex(),
        "sum": sum(random.random() for _ in range(20_000)),
    }


@api.get("/clocks")
async def every_clock() -> dict[str, Any]:
    """Every usual way to the time."""
    return {
        "time": [time.time(), time.time_ns(), copied_time()],
        "steady": [time.monotonic(), time.monotonic_ns(), time.perf_counter(), time.perf_counter_ns()],
        "texts": [time.ctime(), time.asctime(), time.strftime("%Y-%m-%d %H:%M:%S"), formatdate(usegmt=True)],
        "structs": [list(time.gmtime()), list(time.localtime())],
        "dates": [datetime.now().isoformat(), datetime.now(UTC).isoformat(), str(date.today()), str(datetime.today())],
        "loop": asyncio.get_running_loop().time() > 0,
    }


class Ticket(BaseModel):
    """Defaults from chance and time."""

    id: uuid.UUID = Field(default_factory=uuid.uuid4)
    made_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    text: str = ""


@api.post("/tickets", status_code=201)
async def make_tickets(tickets: list[Ticket]) -> list[Ticket]:
    """Pydantic fills in ids and times."""
    return tickets


@api.get("/timeout")
async def with_timeout() -> dict[str, Any]:
    """asyncio.timeout around a call that is too slow, then the same call again."""
    found: list[Any] = []
    for limit_s in (0.05, 0.05, 1.0):
        try:
            async with asyncio.timeout(limit_s):
                found.append(await number("slow", ms=150))
        except TimeoutError:
            found.append("too slow")
    return {"found": found}


@api.get("/wait-for")
async def with_wait_for() -> dict[str, Any]:
    """wait_for with a shield: the call goes on and its answer is used."""
    task = asyncio.create_task(number("shielded", ms=80))
    try:
        early: Any = await asyncio.wait_for(asyncio.shield(task), 0.02)
    except TimeoutError:
        early = "late"
    return {"early": early, "answer": await task}


@api.get("/read-timeout")
async def read_timeout() -> dict[str, str]:
    """The client's own time-out, a refused connection, a body that breaks off."""
    found = {}
    for name, url, limit_s in (("slow", "/draw?ms=300", 0.05), ("refused", NOBODY, 1), ("broken", "/broken", 1)):
        try:
            await client.get(url, timeout=limit_s)
        except httpx.HTTPError as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


@api.get("/hedged")
async def hedged() -> dict[str, Any]:
    """The same call twice; the first answer wins, the other is cancelled."""
    first = asyncio.create_task(number("hedged", ms=120))
    done, waiting = await asyncio.wait({first}, timeout=0.03)
    if not done:
        second = asyncio.create_task(number("hedged-again", ms=20))
        done, waiting = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return {"answer": done.pop().result(), "cancelled": len(waiting)}


@api.get("/as-completed")
async def as_completed() -> list[int]:
    """In the order in which they are ready."""
    calls = [number(str(ms), ms=ms) for ms in (60, 10, 35)]
    return [await each for each in asyncio.as_completed(calls)]


@api.get("/anyio")
async def with_anyio() -> dict[str, Any]:
    """anyio: threads, task group, time limits."""
    found: dict[str, Any] = {"thread": await anyio.to_thread.run_sync(_count_notes)}

    async def ask(name: str) -> None:
        found[name] = await number(name)

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "a")
        group.start_soon(ask, "b")
    with anyio.move_on_after(0.02) as scope:
        found["late"] = await number("late", ms=200)
    found["moved on"] = scope.cancelled_caught
    return dict(sorted(found.items()))


def _count_notes() -> int:
    with contextlib.closing(sqlite3.connect(DATABASE, timeout=10)) as database:
        return int(database.execute("SELECT count(*) FROM notes").fetchone()[0])


@api.get("/from-thread")
def call_back() -> dict[str, Any]:
    """A sync endpoint that calls back into the event loop."""
    return {"n": anyio.from_thread.run(number, "from-thread"), "id": uuid.uuid4().hex}


@api.get("/own-loop")
def own_loop() -> dict[str, Any]:
    """A sync endpoint that runs an event loop of its own."""

    async def work() -> list[int]:
        async with httpx.AsyncClient(base_url=UPSTREAM) as own:

            async def ask() -> int:
                return int((await own.get("/draw?of=own")).json()["number"])

            await asyncio.sleep(0.01)
            return await asyncio.gather(ask(), ask())

    return {"found": asyncio.run(work())}


@api.get("/threads")
def threads() -> dict[str, Any]:
    """Raw threads, a queue, an event, a timer, a condition's time-out."""
    results: queue.Queue[tuple[int, int]] = queue.Queue()

    def work(index: int) -> None:
        time.sleep(0.005 * index)
        results.put((index, number_blocking("thread", ms=5)))

    workers = [threading.Thread(target=work, args=(index,)) for index in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    rang = threading.Event()
    timer = threading.Timer(0.02, rang.set)
    timer.start()
    early, late = rang.wait(0.001), rang.wait(1)
    empty = queue.Queue[int]()
    try:
        empty.get(timeout=0.01)
        got = "something"
    except queue.Empty:
        got = "nothing"
    return {"found": sorted(results.get() for _ in workers), "rang": [early, late], "got": got}


@api.get("/pool")
def thread_pool(again: int = 0) -> dict[str, Any]:
    """A pool of the app's own: map, as_completed, wait with a time-out. Under load the order is a race of threads."""
    mapped = list(pool.map(functools.partial(number_blocking, "mapped"), (20, 5, 10)))
    futures = {pool.submit(number_blocking, "future", ms): ms for ms in (40, 5, 20)}
    order = [futures[future] for future in concurrent.futures.as_completed(futures)]
    slow = pool.submit(number_blocking, "slow", 150)
    done, _ = concurrent.futures.wait([slow], timeout=0.02)
    return {"mapped": mapped, "order": sorted(order) if again else order, "late": not done, "slow": slow.result()}


@api.get("/workers")
async def workers() -> dict[str, Any]:
    """A queue with workers, a semaphore, an event, a lock."""
    jobs: asyncio.Queue[int] = asyncio.Queue()
    limit, found, ready = asyncio.Semaphore(2), {}, asyncio.Event()

    async def work(name: str) -> None:
        await ready.wait()
        while True:
            job = await jobs.get()
            async with limit:
                found[job] = (name, await number("job", ms=job % 3 * 5))
            jobs.task_done()

    running = [asyncio.create_task(work(f"w{index}")) for index in range(3)]
    for job in range(8):
        jobs.put_nowait(job)
    ready.set()
    await jobs.join()
    for task in running:
        task.cancel()
    return {str(job): list(found[job]) for job in sorted(found)}


@api.get("/poll")
async def poll() -> dict[str, Any]:
    """Poll until a deadline by the monotonic clock; a busy wait; a retry with growing pauses."""
    looks, deadline_s = 0, time.monotonic() + 0.03
    while time.monotonic() < deadline_s:
        looks += 1
        await asyncio.sleep(0.005)
    busy_until_s = time.perf_counter() + 0.002
    spins = 0
    while time.perf_counter() < busy_until_s:
        spins += 1
    key, pauses = uuid.uuid4().hex, []
    for attempt in range(5):
        response = await client.get(f"/flaky/{key}")
        if response.is_success:
            break
        pauses.append(0.005 * 2**attempt * random.uniform(0.5, 1.5))
        await asyncio.sleep(pauses[-1])
    return {"looks": looks, "spins": spins, "tries": response.json()["tries"], "pauses": pauses}


@api.get("/fire-and-forget")
async def fire_and_forget() -> dict[str, str]:
    """A task that nobody awaits: it has asked before the response goes, and is answered after."""
    key = uuid.uuid4().hex
    _forgotten.add(task := asyncio.create_task(number(f"forgotten-{key}", ms=100)))
    task.add_done_callback(_forgotten.discard)
    await asyncio.sleep(0.02)
    return {"key": key}


_forgotten: set[asyncio.Task[int]] = set()


@api.get("/lifespan-state")
async def lifespan_state(request: Request) -> dict[str, Any]:
    """What the lifespan drew and asked for before the first request."""
    return {"booted": request.state.booted, "boot_id": request.state.boot_id, "n": await number("state")}


@api.get("/verified")
async def verified(authorization: Annotated[str, Header()] = "") -> dict[str, Any]:
    """A bearer token compared in constant time."""
    token = authorization.removeprefix("Bearer ")
    if not hmac.compare_digest(token.encode(), b"corner-bearer-token"):
        raise HTTPException(401, detail="who are you?")
    return {"n": await number("verified")}


@api.post("/login")
async def log_in(request: Request) -> dict[str, Any]:
    """A password that is hashed and compared with the stored hash."""
    given = await request.json()
    derived = hashlib.pbkdf2_hmac("sha256", given["password"].encode(), _SECRET, 1000)
    if not hmac.compare_digest(derived, hashlib.pbkdf2_hmac("sha256", b"open sesame", _SECRET, 1000)):
        raise HTTPException(401, detail="no")
    return {"session": secrets.token_urlsafe(), "n": await number("login")}


@api.get("/session")
async def session(request: Request) -> dict[str, Any]:
    """A signed cookie, as session middlewares make it."""
    value, _, signature = request.cookies.get("session", "").rpartition(".")
    expected = hmac.new(_SECRET, value.encode(), "sha256").hexdigest()
    if not hmac.compare_digest(signature, expected):
        raise HTTPException(403, detail="forged")
    return {"user": value, "at": time.time()}


@api.get("/logged")
async def logged() -> PlainTextResponse:
    """Logging with times, an error's traceback included."""
    try:
        raise KeyError(uuid.uuid4().hex)
    except KeyError:
        logger.exception("logged at %s", time.time())
    return PlainTextResponse(time.strftime("%H:%M:%S") + f" {random.random()}")


@api.get("/sub/{name}")
async def sub(name: str) -> dict[str, str]:
    """A captured function inside a captured request."""
    return {"a": await captured(name), "b": await captured(name)}


@fluxrun.capture("corner.captured")
async def captured(name: str) -> str:
    return f"{name} {await number(name)} {uuid.uuid4()}"


@api.websocket("/ws")
async def websocket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


@api.exception_handler(LookupError)
async def not_found(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error), "at": time.time()}, 404)


@api.get("/handled")
async def handled() -> None:
    """An error with a handler that reads the clock."""
    raise LookupError(str(await number("handled")))


app = fluxrun.instrument(api, name="corner")
