"""Django: `MIDDLEWARE = ["pytest_fluxrun.entries.django.FluxRunMiddleware", ...]` makes each request a run.

The middleware is the switch; what is recorded is Django's handler, as its server calls it: the environ or scope as it
came, the bytes as they went, every middleware in between, also those before this one. A replay drives the same handler
with the same, so that nothing is recorded in one place and driven in another. Where the middleware stands in the list
makes no difference; first is where people look.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from pytest_fluxrun import patching
from pytest_fluxrun.config import current_settings, settings_chosen
from pytest_fluxrun.entries import asgi
from pytest_fluxrun.entries.web.wsgi_recording import record_wsgi
from pytest_fluxrun.entries.web.wsgi_replay import drive_wsgi
from pytest_fluxrun.entry import Driving, Entry, open_run, register
from pytest_fluxrun.errors import SettingsError
from pytest_fluxrun.patching import Patch
from pytest_fluxrun.values import Value

__all__ = ["DjangoEntry", "FluxRunMiddleware", "entry"]

_log = logging.getLogger("pytest_fluxrun")


class FluxRunMiddleware:
    """Records every request that this process's Django handlers serve; sync and async.

    The setting `FLUXRUN`, a dict, holds what `fluxrun.init` takes, and `name`, the entry's name (the project's by
    default). `fluxrun.init` is called with it when the middleware is loaded, unless the process has called it before.

    Raises:
        SettingsError: `FLUXRUN` isn't a dict, or a setting in it is unknown or can't be used.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        if inspect.iscoroutinefunction(get_response):
            from asgiref.sync import markcoroutinefunction

            markcoroutinefunction(self)
        _switch_on()

    def __call__(self, request: Any) -> Any:
        """Pass on: the request is recorded around the handler."""
        return self._get_response(request)


class DjangoEntry(Entry):
    """Django's handlers, WSGI and ASGI, whichever served the request."""

    kind = "django"

    def __init__(self) -> None:
        self.name = ""

    def recognises(self, target: Any) -> bool:
        """Never: a handler is a WSGI or ASGI application to `instrument`; this entry is the middleware's."""
        del target
        return False

    def describe(self, target: Any) -> str:
        """What is recorded."""
        del target
        return "Django's request handlers (FluxRunMiddleware)"

    def wrap(self, target: Any, name: str) -> Any:
        """The target itself: every handler of the process records from now on, under that name."""
        from django.core.handlers.asgi import ASGIHandler
        from django.core.handlers.wsgi import WSGIHandler

        self.name = name
        patching.install((Patch(WSGIHandler, "__call__", _wsgi_call), Patch(ASGIHandler, "__call__", _asgi_call)))
        return target

    def drive(self, target: Any, recorded_input: Value, driving: Driving) -> Value:
        """Drive a handler of the protocol by which the request had come."""
        by_wsgi = "environ" in recorded_input
        handler = target.handler(by_wsgi=by_wsgi) if isinstance(target, _Site) else target
        if by_wsgi:
            return drive_wsgi(handler, recorded_input, driving)
        return asgi.entry.drive(asgi.entry.wrap(handler, self.name), recorded_input, driving)


class _Site:
    """The site of this process, with a handler of each protocol, made when a run first needs it."""

    @functools.cache  # noqa: B019 - there is one site, for as long as the process
    def handler(self, *, by_wsgi: bool) -> Any:
        if by_wsgi:
            from django.core.wsgi import get_wsgi_application

            return get_wsgi_application()
        from django.core.asgi import get_asgi_application

        return get_asgi_application()


def _switch_on() -> None:
    from django.conf import settings

    given = getattr(settings, "FLUXRUN", {})
    if not isinstance(given, dict):
        raise SettingsError(
            "the Django setting FLUXRUN can't be used",
            why=f"it is a {type(given).__name__}, not a dict",
            next_step='write FLUXRUN = {"project": "shop"}, with what fluxrun.init takes',
        )
    arguments = {name: value for name, value in given.items() if name != "name"}
    if not settings_chosen():
        from pytest_fluxrun import init

        init(**arguments)
    elif arguments:
        _log.info("FluxRun was set up before Django loaded its middlewares; of the setting FLUXRUN only `name` counts")
    chosen = current_settings()
    name, site = given.get("name") or chosen.project, _Site()
    if not chosen.disabled:
        entry.wrap(site, name)
    register(name, entry, site, gives_way=True)


def _wsgi_call(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def call(self: Any, environ: dict[str, Any], start_response: Any) -> Any:
        run = open_run(entry.name, entry)
        handler = functools.partial(original, self)
        return handler(environ, start_response) if run is None else record_wsgi(handler, environ, start_response, run)

    return call


def _asgi_call(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(original)
    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        run = open_run(entry.name, entry) if scope["type"] == "http" else None
        handler = functools.partial(original, self)
        if run is None:
            await handler(scope, receive, send)
        else:
            await asgi.record_asgi(handler, scope, receive, send, run)

    return call


entry = DjangoEntry()
