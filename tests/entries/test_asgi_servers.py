"""The same on real servers, where an app in the same process could hide something: chunks, disconnects, late work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_fluxrun.entries.asgi import entry
from pytest_fluxrun.testing.entry import EntryContract, Exercise
from tests.entries import (
    asgi_django,
    asgi_endless,
    asgi_fastapi,
    asgi_litestar,
    asgi_quart,
    asgi_starlette,
)
from tests.entries.asgi_servers import Serving, hypercorn_serving, over_http, uvicorn_serving
from tests.entries.web_behaviours import BEHAVIOURS, exercises

SERVED = ("streamed-request", "raised-error", "background-work")
BUT_DISCONNECT = frozenset(behaviour.name for behaviour in BEHAVIOURS if behaviour.name != "client-disconnect")


def served(
    make: Callable[[str], Any],
    endless: Callable[[str], Any],
    serving: Serving = uvicorn_serving,
    names: Sequence[str] = ("background-work",),
) -> Mapping[str, Exercise]:
    """What the framework does on a server; the client leaves an app that would stream on."""
    client = over_http(serving)
    others = frozenset(behaviour.name for behaviour in BEHAVIOURS if behaviour.name not in names)
    return {**exercises(make, client, without=others), **exercises(endless, client, without=BUT_DISCONNECT)}


class OnServer(EntryContract):
    """Requests come to a server's own tasks, which belong to no run."""

    entry = entry
    detached = frozenset({*SERVED, "client-disconnect"})


class TestStarletteOnUvicorn(OnServer):
    subject = "Starlette on uvicorn"
    library = "uvicorn"
    exercises = served(asgi_starlette.make, asgi_endless.starlette, names=SERVED)


class TestFastAPIOnUvicorn(OnServer):
    subject = "FastAPI on uvicorn"
    library = "uvicorn"
    exercises = served(asgi_fastapi.make, asgi_endless.fastapi)


class TestLitestarOnUvicorn(OnServer):
    subject = "Litestar on uvicorn"
    library = "uvicorn"
    exercises = served(asgi_litestar.make, asgi_endless.litestar)


class TestQuartOnUvicorn(OnServer):
    subject = "Quart on uvicorn"
    library = "uvicorn"
    exercises = served(asgi_quart.make, asgi_endless.quart)


class TestDjangoOnUvicorn(OnServer):
    subject = "Django (ASGI) on uvicorn"
    library = "uvicorn"
    exercises = served(asgi_django.make, asgi_endless.django)


class TestStarletteOnHypercorn(OnServer):
    subject = "Starlette on hypercorn"
    library = "hypercorn"
    exercises = served(asgi_starlette.make, asgi_endless.starlette, hypercorn_serving, SERVED)
