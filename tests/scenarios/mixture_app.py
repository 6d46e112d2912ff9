"""An ASGI app whose requests make calls through every carrier of code that Python has; each call names its request.

`POST /<request>?<seed>` uses some carriers, most of them for several calls that are alike, and answers with what each
got. The seed decides which carriers are used, and for which sort of call.
"""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import functools
import itertools
import json
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from typing import Any

import anyio.from_thread
import anyio.to_thread
import httpx
from asgiref.sync import async_to_sync, sync_to_async

import pytest_fluxrun as fluxrun

fluxrun.init(project="mixture")

_UPSTREAM = os.environ["UPSTREAM"]
_HTTP_EVERY = 5
_SQL_EVERY = 11
_WAYS = 4
_numbers = itertools.count(1)


class Ledger:
    """An object of the app that is outside of it, as far as FluxRun knows."""

    def enter(self, request: str, carrier: str) -> int:
        """A number that nothing else gets."""
        del request, carrier
        return next(_numbers)

    def find(self, request: str, carrier: str) -> int:
        """Likewise, as what only reads: calls of several threads in one lane have no order."""
        return self.enter(request, carrier)

    async def enter_async(self, request: str, carrier: str) -> int:
        """Likewise."""
        del request, carrier
        await asyncio.sleep(0)
        return next(_numbers)


ledger = fluxrun.host("ledger", Ledger())
client = httpx.Client(base_url=_UPSTREAM, trust_env=False, timeout=60)
pool = ThreadPoolExecutor(8)
other_pool = ThreadPool(4)
jobs: queue.Queue[Callable[[], None]] = queue.Queue()
background = asyncio.new_event_loop()
clients: dict[str, httpx.AsyncClient] = {}


def call(request: str, seed: int, carrier: str) -> Any:
    """One call to the outside: HTTP, SQL or the ledger."""
    sort = seed + len(carrier)
    if sort % _HTTP_EVERY == 0:
        return client.post(f"/{request}/{carrier}").json()["number"]
    if sort % _SQL_EVERY == 0:
        connection = sqlite3.connect(f"file:{request}-{carrier}?mode=memory", uri=True)
        try:
            return connection.execute("SELECT hex(randomblob(8)), ?, ?", (request, carrier)).fetchone()[0]
        finally:
            connection.close()
    return ledger.enter(request, carrier)


async def acall(request: str, seed: int, carrier: str, where: str = "main") -> Any:
    """Likewise, from a coroutine."""
    if (seed + len(carrier)) % _HTTP_EVERY == 0:
        return (await clients[where].post(f"/{request}/{carrier}")).json()["number"]
    return await ledger.enter_async(request, carrier)


class Mixture:
    """One request's calls."""

    def __init__(self, request: str, seed: int) -> None:
        self.request = request
        self.call = functools.partial(call, request, seed)
        self.acall = functools.partial(acall, request, seed)
        self.loop = asyncio.get_running_loop()

    async def some(self, seed: int) -> dict[str, Any]:
        """Some of the carriers beside each other, each seed another choice."""
        every = [getattr(self, name) for name in sorted(vars(Mixture)) if name.startswith("by_")]
        ways = [way for place, way in enumerate(every) if (3 * seed + 5 * place) % len(every) < _WAYS]
        got = await asyncio.gather(*(way() for way in ways))
        return {"own": self.call("own"), **{way.__name__: each for way, each in zip(ways, got, strict=True)}}

    async def by_tasks(self) -> Any:
        return await asyncio.gather(self.acall("task"), self.acall("task"), self.acall("task"))

    async def by_task_group(self) -> Any:
        async with asyncio.TaskGroup() as group:
            made = [group.create_task(self.acall("group")) for _ in range(2)]
        return [task.result() for task in made]

    async def by_executor(self) -> Any:
        asked = [self.loop.run_in_executor(None, self.call, "executor") for _ in range(2)]
        return await asyncio.gather(*asked)

    async def by_to_thread(self) -> Any:
        return await asyncio.gather(*(asyncio.to_thread(self.call, "to_thread") for _ in range(2)))

    async def by_pool(self) -> Any:
        asked = [pool.submit(self.call, "pool") for _ in range(2)]
        return await asyncio.gather(*map(asyncio.wrap_future, asked))

    async def by_other_pool(self) -> Any:
        applied: Future[Any] = Future()
        called: Future[Any] = Future()

        def callback(got: Any) -> None:
            called.set_result([got, self.call("callback")])

        other_pool.apply_async(self.call, ("applied",), callback=applied.set_result)
        other_pool.map_async(self.call, ["mapped"] * 3, callback=callback)
        return await asyncio.gather(asyncio.wrap_future(applied), asyncio.wrap_future(called))

    async def by_threads(self) -> Any:
        futures = [Future[Any]() for _ in range(4)]

        def work(future: Future[Any], carrier: str) -> None:
            future.set_result(self.call(carrier))

        for future in futures[:2]:
            threading.Thread(target=work, args=(future, "thread")).start()
        threading.Timer(0.001, work, (futures[2], "timer")).start()
        _thread.start_new_thread(work, (futures[3], "raw"))
        return await asyncio.gather(*map(asyncio.wrap_future, futures))

    async def by_background_loop(self) -> Any:
        asked = [
            asyncio.run_coroutine_threadsafe(self.acall("background", where="background"), background) for _ in range(2)
        ]
        called: Future[Any] = Future()
        background.call_soon_threadsafe(lambda: called.set_result(self.call("soon")))
        return await asyncio.gather(*map(asyncio.wrap_future, (*asked, called)))

    async def by_workers(self) -> Any:
        futures = [Future[Any]() for _ in range(3)]
        for future in futures:
            jobs.put(lambda future=future: future.set_result(self.call("worker")))
        return await asyncio.gather(*map(asyncio.wrap_future, futures))

    async def by_consumer(self) -> Any:
        futures = [self.loop.create_future() for _ in range(2)]
        for future in futures:
            await clients_jobs().put((self.acall, future))
        return await asyncio.gather(*futures)

    async def by_anyio(self) -> Any:
        def job() -> list[Any]:
            return [self.call("anyio"), anyio.from_thread.run(self.acall, "from_thread")]

        return await anyio.to_thread.run_sync(job)

    async def by_contexts(self) -> Any:
        contexts = {carrier: contextvars.copy_context() for carrier in ("context1", "context2", "context3")}
        asked = pool.map(lambda carrier: contexts[carrier].run(ledger.find, self.request, carrier), contexts)
        return await asyncio.to_thread(list, asked)

    async def by_future(self) -> Any:
        told: Future[Any] = Future()
        pool.submit(int).add_done_callback(lambda _: told.set_result(self.call("told")))
        self.loop.call_later(0.001, lambda: later.set_result(self.call("later")))
        later = self.loop.create_future()
        return await asyncio.gather(self.acall("beside"), asyncio.wrap_future(told), later)

    async def by_bridge(self) -> Any:
        def below() -> list[Any]:
            return [self.call("bridge"), async_to_sync(self.acall)("back")]

        return await sync_to_async(below, thread_sensitive=False)()


_consumed: list[asyncio.Queue[Any]] = []


def clients_jobs() -> asyncio.Queue[Any]:
    """The queue of the consumers that the lifespan started."""
    return _consumed[0]


def _work() -> None:
    while True:
        jobs.get()()


async def _consume() -> None:
    while True:
        ask, future = await clients_jobs().get()
        future.set_result(await ask("consumer"))


for _ in range(3):
    threading.Thread(target=_work, daemon=True).start()
threading.Thread(target=background.run_forever, daemon=True).start()


async def _lifespan(receive: Any, send: Any) -> None:
    limits = httpx.Limits(max_connections=40)
    new_client = functools.partial(httpx.AsyncClient, base_url=_UPSTREAM, trust_env=False, timeout=60, limits=limits)
    await receive()
    clients["main"] = new_client()
    clients["background"] = new_client()
    _consumed.append(asyncio.Queue())
    consumers = [asyncio.create_task(_consume()) for _ in range(2)]
    await send({"type": "lifespan.startup.complete"})
    await receive()
    for consumer in consumers:
        consumer.cancel()
    await clients["main"].aclose()
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(clients["background"].aclose(), background))
    await send({"type": "lifespan.shutdown.complete"})


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    seed = int(scope["query_string"])
    got = await Mixture(scope["path"].strip("/"), seed).some(seed)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(got).encode()})


app = fluxrun.instrument(_answer, name="mixture")
