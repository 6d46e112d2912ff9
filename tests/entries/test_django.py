"""Django's middleware: what it records is the handler, WSGI or ASGI, set up from Django's settings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.test.utils import override_settings

from pytest_fluxrun import config, patching
from pytest_fluxrun.entries import wsgi
from pytest_fluxrun.entries.django import FluxRunMiddleware, entry
from pytest_fluxrun.entry import registered, registered_entry
from pytest_fluxrun.errors import SettingsError
from pytest_fluxrun.registry import instrument
from pytest_fluxrun.testing.entry import EntryContract
from tests.entries import asgi_client, asgi_django, django_site
from tests.entries.web_behaviours import WebRequest, exercises
from tests.entries.wsgi_client import request

MIDDLEWARE = "pytest_fluxrun.entries.django.FluxRunMiddleware"
GET_LAYERS = WebRequest("GET", "/layers")
RAISE = WebRequest("GET", "/raise")


class TestDjangoMiddleware(EntryContract):
    entry = entry
    subject = "Django (middleware)"
    library = "django"
    recognised = False
    exercises = exercises(django_site.make, request, changes={"raised-error": {"status": 500}})


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")  # a file's iterator is a sync one, and says so
class TestDjangoMiddlewareASGI(EntryContract):
    entry = entry
    subject = "Django (middleware, ASGI)"
    library = "django"
    recognised = False
    exercises = exercises(asgi_django.make, asgi_client.request)


@pytest.fixture(autouse=True)
def _own_seams(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    others = patching.installed_patches()
    monkeypatch.setattr(config, "_current", None)
    monkeypatch.setenv("FLUXRUN_PROJECT", "shop")
    yield
    patching.restore_all()
    patching.install(others)


@pytest.fixture
def errors_noted() -> None:
    """Django's own seam."""
    import django.core.handlers.exception

    from pytest_fluxrun.boundaries.django import boundary

    patching.install(boundary.patches(django.core.handlers.exception))


def make_async(url: str, *first: str) -> Any:
    """The site as Django's ASGI handler."""
    django_site.make(url)
    own = ("OwnUrls", "Outer", "Inner")
    with override_settings(MIDDLEWARE=[*first, *(f"{django_site.__name__}.{name}" for name in own)]):
        return ASGIHandler()


def test_site_with_the_middleware_records_its_requests(runs, driving, outside):
    """Whatever stands before it in the list is part of the run; the entry has the project's name."""
    with override_settings(FLUXRUN={}):
        site = django_site.make(outside.url, f"{django_site.__name__}.Outer", MIDDLEWARE)

    answer = request(site, GET_LAYERS)

    assert (200, b"layers") == (answer.status, answer.body)
    assert [("shop", "django")] == [(recorder.entry, recorder.entry_kind) for recorder in runs.opened]
    recorded_input, outcome = runs.dumped()
    assert ["x-layers", "inner,outer,outer"] in outcome["response"]["headers"]
    outside.reset()
    assert outcome == entry.drive(site, recorded_input, driving)
    assert registered_entry("shop").entry is entry


def test_site_behind_asgi_records_its_requests(runs, driving, outside, errors_noted):
    """The same middleware, the same entry; driven by the protocol that was recorded."""
    with override_settings(FLUXRUN={"name": "web"}):
        site = make_async(outside.url, MIDDLEWARE)

    answer = asyncio.run(asgi_client.request(site, RAISE))

    assert 500 == answer.status
    assert [("web", "django")] == [(recorder.entry, recorder.entry_kind) for recorder in runs.opened]
    recorded_input, outcome = runs.dumped()
    assert (500, "no rate for EUR") == (outcome["response"]["status"], outcome["error"]["message"])
    assert outcome["response"] == entry.drive(site, recorded_input, driving)["response"]


def test_error_that_django_answers_is_kept(runs, outside, errors_noted):
    """Status 500 and the original exception, with its cause."""
    with override_settings(FLUXRUN={}):
        site = django_site.make(outside.url, MIDDLEWARE)
    request(site, RAISE)
    assert isinstance(runs.ending.error, RuntimeError)
    _, outcome = runs.dumped()
    assert (500, "builtins:RuntimeError") == (outcome["response"]["status"], outcome["error"]["type"])
    assert "builtins:KeyError" == outcome["error"]["cause"]["type"]


@pytest.mark.parametrize("middleware_first", [True, False])
def test_site_that_is_instrumented_too_is_one_run(runs, outside, middleware_first: bool):
    """The outer wrapper's, also under the same name, whichever comes first."""
    with override_settings(FLUXRUN={}):
        if middleware_first:
            wrapped = instrument(django_site.make(outside.url, MIDDLEWARE))
        else:
            instrument(django_site.make(outside.url), name="shop")
            wrapped = instrument(django_site.make(outside.url, MIDDLEWARE), name="shop")
    request(wrapped, GET_LAYERS)
    assert [("shop", "wsgi")] == [(recorder.entry, recorder.entry_kind) for recorder in runs.opened]
    assert [wsgi.entry] == [one.entry for one in registered()]


def test_settings_reach_init(monkeypatch, outside):
    """All of FLUXRUN but the name; a process that has called init keeps its own."""
    with override_settings(FLUXRUN={"project": "till", "name": "web", "sample": 0.5}):
        FluxRunMiddleware(lambda request: None)
        assert ("till", 0.5) == (config.current_settings().project, config.current_settings().sample)
        config.use_settings(config.Settings(project="own"))
        FluxRunMiddleware(lambda request: None)
    assert "own" == config.current_settings().project
    assert ["web"] == [one.name for one in registered()]


def test_nothing_is_patched_where_fluxrun_is_disabled(monkeypatch):
    """Off means off; the entry is known all the same, to `fluxrun check`."""
    monkeypatch.setenv("FLUXRUN_DISABLED", "1")
    patching.restore_all()
    with override_settings(FLUXRUN={}):
        FluxRunMiddleware(lambda request: None)
    assert ((), ["shop"]) == (patching.installed(), [one.name for one in registered()])


@pytest.mark.parametrize("given", [["project"], {"projekt": "shop"}])
def test_unusable_settings_are_refused(given: Any):
    """When the middleware is loaded, so that the site doesn't start with something else than was meant."""
    with override_settings(FLUXRUN=given), pytest.raises(SettingsError):
        FluxRunMiddleware(lambda request: None)


def test_middleware_passes_requests_on():
    """Sync and async, with nothing of its own."""

    async def answer(request: Any) -> Any:
        return request

    with override_settings(FLUXRUN={}):
        assert "request" == FluxRunMiddleware(lambda request: request)("request")
        assert "request" == asyncio.run(FluxRunMiddleware(answer)("request"))
