"""Websockets are runs of their own: each framework passes the entry contract on every websocket behaviour."""

from __future__ import annotations

from pytest_fluxrun.entries.asgi import entry
from pytest_fluxrun.testing.entry import EntryContract
from tests.entries import websocket_apps
from tests.entries.websocket_behaviours import exercises


class TestStarlette(EntryContract):
    entry = entry
    subject = "Starlette, websockets"
    library = "starlette"
    exercises = exercises(websocket_apps.starlette)


class TestFastAPI(EntryContract):
    entry = entry
    subject = "FastAPI, websockets"
    library = "fastapi"
    exercises = exercises(websocket_apps.fastapi)


class TestLitestar(EntryContract):
    entry = entry
    subject = "Litestar, websockets"
    library = "litestar"
    exercises = exercises(websocket_apps.litestar)


class TestQuart(EntryContract):
    entry = entry
    subject = "Quart, websockets"
    library = "quart"
    exercises = exercises(websocket_apps.quart)


class TestPlain(EntryContract):
    entry = entry
    subject = "plain ASGI, websockets"
    library = "pytest-fluxrun"
    exercises = exercises(websocket_apps.plain)
