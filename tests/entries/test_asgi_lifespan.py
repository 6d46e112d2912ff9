"""What an application's start-up asked is in the preamble, and answers it again when the stage boots it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI, Request
from litestar import Litestar, get
from litestar.datastructures import State
from quart import Quart
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pytest_fluxrun.entries import asgi
from pytest_fluxrun.testing.entry import EntryContract, Exercise, every_seam
from tests.entries import asgi_client
from tests.entries.asgi_client import lifespan
from tests.entries.web_behaviours import WebRequest, aask


async def count(url: str) -> int:
    return (await aask("GET", f"{url}/count")).json()["n"]


def starlette(url: str) -> Starlette:
    """Its state reaches the request through the scope."""

    @contextlib.asynccontextmanager
    async def started(app: Any) -> Any:
        yield {"rate": await count(url)}

    async def rate(request: Any) -> PlainTextResponse:
        return PlainTextResponse(f"{request.state.rate} {await count(url)}")

    return Starlette(routes=[Route("/rate", rate)], lifespan=started)


def fastapi(url: str) -> FastAPI:
    """Its state lies on the application."""

    @contextlib.asynccontextmanager
    async def started(app: FastAPI) -> Any:
        app.state.rate = await count(url)
        yield

    app = FastAPI(lifespan=started)

    @app.get("/rate", response_class=PlainTextResponse)
    async def rate(request: Request) -> str:
        return f"{request.app.state.rate} {await count(url)}"

    return app


def litestar(url: str) -> Litestar:
    async def started(app: Litestar) -> None:
        app.state.rate = await count(url)

    @get("/rate", media_type="text/plain")
    async def rate(state: State) -> str:
        return f"{state.rate} {await count(url)}"

    return Litestar([rate], on_startup=[started], openapi_config=None, logging_config=None)


def quart(url: str) -> Quart:
    app = Quart("rates")

    @app.before_serving
    async def started() -> None:
        app.rate = await count(url)

    @app.get("/rate")
    async def rate() -> str:
        return f"{app.rate} {await count(url)}"

    return app


async def ask(app: Any, _: Any) -> Any:
    """Start the app, put one request to it, shut it down."""
    async with lifespan(app) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": dict(state)}, receive, send)

        return await asgi_client.request(with_state, WebRequest("GET", "/rate"))


@pytest.mark.parametrize("make", [starlette, fastapi, litestar, quart])
def test_start_up_is_answered_from_the_preamble(outside, tmp_path, make: Callable[[str], Any]):
    """Once per process while recording, once per stage at replay, with the outside gone."""

    class Contract(EntryContract):
        entry = asgi.entry
        exercises: ClassVar[Mapping[str, Exercise]] = {"rate": Exercise(lambda outside: make(outside.url), ask)}

    contract = Contract()
    with every_seam():
        answer, run, _ = contract.record("rate", outside)

        assert b"1 2" == answer.returned.body
        assert run.preamble is not None
        assert [1, 1] == [len(run.preamble.interactions), len(run.recording.interactions)]
        contract.assert_faithful("rate", [run], outside, tmp_path)
