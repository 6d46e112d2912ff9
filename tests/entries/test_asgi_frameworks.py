"""Each ASGI framework passes the entry contract on every web behaviour."""

from __future__ import annotations

import pytest
from a2wsgi import WSGIMiddleware

from pytest_fluxrun.entries.asgi import entry
from pytest_fluxrun.testing.entry import EntryContract
from tests.entries import asgi_django, asgi_fastapi, asgi_litestar, asgi_plain, asgi_quart, asgi_starlette, wsgi_flask
from tests.entries.asgi_client import request
from tests.entries.web_behaviours import exercises


class TestStarlette(EntryContract):
    entry = entry
    subject = "Starlette"
    library = "starlette"
    exercises = exercises(asgi_starlette.make, request)


class TestFastAPI(EntryContract):
    entry = entry
    subject = "FastAPI"
    library = "fastapi"
    exercises = exercises(asgi_fastapi.make, request)


class TestLitestar(EntryContract):
    entry = entry
    subject = "Litestar"
    library = "litestar"
    exercises = exercises(asgi_litestar.make, request)


class TestQuart(EntryContract):
    entry = entry
    subject = "Quart"
    library = "quart"
    exercises = exercises(asgi_quart.make, request)


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")  # a file's iterator is a sync one, and says so
class TestDjango(EntryContract):
    entry = entry
    subject = "Django (ASGI)"
    library = "django"
    exercises = exercises(asgi_django.make, request)


class TestPlain(EntryContract):
    entry = entry
    subject = "plain ASGI"
    library = "pytest-fluxrun"
    exercises = exercises(asgi_plain.make, request)


class TestFlaskInASGI(EntryContract):
    entry = entry
    subject = "Flask in ASGI (a2wsgi)"
    library = "a2wsgi"
    exercises = exercises(
        lambda url: WSGIMiddleware(wsgi_flask.make(url)),
        request,
        changes={"client-disconnect": {"disconnected": False}},  # a2wsgi never listens, so that nobody tells it
    )
