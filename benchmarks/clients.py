"""How each library is asked in `boundaries.py`: a POST with a JSON body and answer, or the nearest that there is."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["LIBRARIES", "Library"]

_PAYLOAD = {"amount": 1200, "currency": "EUR"}
_DATA = json.dumps(_PAYLOAD).encode()
_HEADERS = {"Content-Type": "application/json"}
_CHARGE = "/shop.Charges/Charge"

Call = Callable[[], object]
AsyncCall = Callable[[], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Library:
    """How one library is asked, and what of OpenTelemetry instruments it.

    Args:
        opened: a context manager, async for an async library, that gives the function which makes one call.
        instrumentor: `module:class`; "" where OpenTelemetry has none.
        upstream: the kind of server that it asks.
        asynchronous: its calls are awaited.
    """

    opened: Callable[[str], AbstractContextManager[Call]] | Callable[[str], AbstractAsyncContextManager[AsyncCall]]
    instrumentor: str = ""
    upstream: str = "http"
    asynchronous: bool = False


@contextmanager
def _httpx(url: str) -> Iterator[Call]:
    import httpx

    with httpx.Client() as client:
        yield lambda: client.post(f"{url}/charge", json=_PAYLOAD).json()


@asynccontextmanager
async def _httpx_async(url: str) -> AsyncIterator[AsyncCall]:
    import httpx

    async with httpx.AsyncClient() as client:

        async def call() -> object:
            return (await client.post(f"{url}/charge", json=_PAYLOAD)).json()

        yield call


@contextmanager
def _requests(url: str) -> Iterator[Call]:
    import requests

    with requests.Session() as session:
        yield lambda: session.post(f"{url}/charge", json=_PAYLOAD, timeout=5).json()


@contextmanager
def _urllib3(url: str) -> Iterator[Call]:
    import urllib3

    with urllib3.PoolManager() as pool:
        yield lambda: pool.request("POST", f"{url}/charge", json=_PAYLOAD).json()


@contextmanager
def _botocore(url: str) -> Iterator[Call]:
    import botocore.session

    client = botocore.session.Session().create_client(
        "dynamodb",
        region_name="eu-central-1",
        endpoint_url=url,
        aws_access_key_id="bench",
        aws_secret_access_key="bench",
    )
    item = {"id": {"S": "1042"}, "amount": {"N": "1200"}}
    yield lambda: client.put_item(TableName="charges", Item=item)
    client.close()


@contextmanager
def _urllib_request(url: str) -> Iterator[Call]:
    import urllib.request

    def call() -> object:
        request = urllib.request.Request(f"{url}/charge", data=_DATA, headers=_HEADERS, method="POST")
        with urllib.request.urlopen(request, timeout=5) as response:
            return json.load(response)

    yield call


@contextmanager
def _http_client(url: str) -> Iterator[Call]:
    import http.client

    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=5)

    def call() -> object:
        connection.request("POST", "/charge", body=_DATA, headers=_HEADERS)
        return json.loads(connection.getresponse().read())

    yield call
    connection.close()


@contextmanager
def _pycurl(url: str) -> Iterator[Call]:
    import pycurl

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, f"{url}/charge")
    curl.setopt(pycurl.HTTPHEADER, ["Content-Type: application/json"])
    curl.setopt(pycurl.POSTFIELDS, _DATA.decode())

    def call() -> object:
        answer = io.BytesIO()
        curl.setopt(pycurl.WRITEDATA, answer)
        curl.perform()
        return json.loads(answer.getvalue())

    yield call
    curl.close()


@asynccontextmanager
async def _aiohttp(url: str) -> AsyncIterator[AsyncCall]:
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def call() -> object:
            async with session.post(f"{url}/charge", json=_PAYLOAD) as response:
                return await response.json()

        yield call


@contextmanager
def _grpc(target: str) -> Iterator[Call]:
    import grpc

    with grpc.insecure_channel(target) as channel:
        charge = channel.unary_unary(_CHARGE)
        yield lambda: json.loads(charge(_DATA))


@asynccontextmanager
async def _grpc_aio(target: str) -> AsyncIterator[AsyncCall]:
    import grpc.aio

    async with grpc.aio.insecure_channel(target) as channel:
        charge = channel.unary_unary(_CHARGE)

        async def call() -> object:
            return json.loads(await charge(_DATA))

        yield call


@contextmanager
def _celery(_: str) -> Iterator[Call]:
    import celery

    app = celery.Celery("bench", broker="memory://", set_as_current=False)

    @app.task(name="bench.charge", ignore_result=True)
    def charge(amount: int, currency: str) -> None:
        """Nobody works it off."""

    yield lambda: charge.apply_async((1200, "EUR"))
    app.control.purge()
    app.close()


@contextmanager
def _websockets(url: str) -> Iterator[Call]:
    from websockets.sync.client import connect

    with connect(url, compression=None) as connection:

        def call() -> object:
            connection.send(_DATA.decode())
            return json.loads(connection.recv())

        yield call


@asynccontextmanager
async def _websockets_async(url: str) -> AsyncIterator[AsyncCall]:
    from websockets.asyncio.client import connect

    async with connect(url, compression=None) as connection:

        async def call() -> object:
            await connection.send(_DATA.decode())
            return json.loads(await connection.recv())

        yield call


@asynccontextmanager
async def _aiohttp_websocket(url: str) -> AsyncIterator[AsyncCall]:
    import aiohttp

    async with aiohttp.ClientSession() as session, session.ws_connect(url) as connection:

        async def call() -> object:
            await connection.send_str(_DATA.decode())
            return await connection.receive_json()

        yield call


@contextmanager
def _sqlite3(_: str) -> Iterator[Call]:
    import sqlite3

    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE charges (id TEXT, amount INTEGER)")
    connection.execute("INSERT INTO charges VALUES ('ch_1042', 1200)")
    cursor = connection.cursor()
    yield lambda: cursor.execute("SELECT amount FROM charges WHERE id = ?", ("ch_1042",)).fetchone()
    connection.close()


@contextmanager
def _logging(_: str) -> Iterator[Call]:
    import logging

    logger, handler = logging.getLogger("bench"), logging.StreamHandler(io.StringIO())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: logger.info("charged %s of %s", 1200, "ch_1042")
    logger.removeHandler(handler)


@contextmanager
def _threading(_: str) -> Iterator[Call]:
    import threading

    def call() -> object:
        thread = threading.Thread(target=json.loads, args=(_DATA,))
        thread.start()
        return thread.join()

    yield call


@contextmanager
def _executor(_: str) -> Iterator[Call]:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as executor:
        yield lambda: executor.submit(json.loads, _DATA).result()


_OPENTELEMETRY = "opentelemetry.instrumentation"

LIBRARIES: dict[str, Any] = {
    "httpx": Library(opened=_httpx, instrumentor=f"{_OPENTELEMETRY}.httpx:HTTPXClientInstrumentor"),
    "httpx (async)": Library(
        opened=_httpx_async,
        instrumentor=f"{_OPENTELEMETRY}.httpx:HTTPXClientInstrumentor",
        asynchronous=True,
    ),
    "requests": Library(opened=_requests, instrumentor=f"{_OPENTELEMETRY}.requests:RequestsInstrumentor"),
    "urllib3": Library(opened=_urllib3, instrumentor=f"{_OPENTELEMETRY}.urllib3:URLLib3Instrumentor"),
    "botocore": Library(
        opened=_botocore,
        instrumentor=f"{_OPENTELEMETRY}.botocore:BotocoreInstrumentor",
    ),
    "urllib.request": Library(
        opened=_urllib_request,
        instrumentor=f"{_OPENTELEMETRY}.urllib:URLLibInstrumentor",
    ),
    "aiohttp": Library(
        opened=_aiohttp,
        instrumentor=f"{_OPENTELEMETRY}.aiohttp_client:AioHttpClientInstrumentor",
        asynchronous=True,
    ),
    "grpc": Library(
        opened=_grpc,
        instrumentor=f"{_OPENTELEMETRY}.grpc:GrpcInstrumentorClient",
        upstream="grpc",
    ),
    "grpc.aio": Library(
        opened=_grpc_aio,
        instrumentor=f"{_OPENTELEMETRY}.grpc:GrpcAioInstrumentorClient",
        upstream="grpc",
        asynchronous=True,
    ),
    "celery publishes": Library(
        opened=_celery,
        instrumentor=f"{_OPENTELEMETRY}.celery:CeleryInstrumentor",
    ),
    "sqlite3": Library(opened=_sqlite3, instrumentor=f"{_OPENTELEMETRY}.sqlite3:SQLite3Instrumentor"),
    "logging": Library(opened=_logging, instrumentor=f"{_OPENTELEMETRY}.logging:LoggingInstrumentor"),
    "a thread": Library(opened=_threading, instrumentor=f"{_OPENTELEMETRY}.threading:ThreadingInstrumentor"),
    "a pool's job": Library(opened=_executor, instrumentor=f"{_OPENTELEMETRY}.threading:ThreadingInstrumentor"),
    "http.client": Library(opened=_http_client),
    "pycurl": Library(opened=_pycurl),
    "websockets": Library(opened=_websockets, upstream="websocket"),
    "websockets (async)": Library(opened=_websockets_async, upstream="websocket", asynchronous=True),
    "aiohttp websocket": Library(opened=_aiohttp_websocket, upstream="websocket", asynchronous=True),
}
