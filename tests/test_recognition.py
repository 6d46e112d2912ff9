"""fluxrun.instrument says what it recognised, refuses what it can't tell, and hints at what was nearly right."""

from __future__ import annotations

import logging
import sys
from types import ModuleType
from typing import Any

import falcon
import falcon.asgi
import flask
import pytest
from django.core.handlers.asgi import ASGIHandler
from fastapi import FastAPI
from litestar import Litestar
from quart import Quart
from starlette.applications import Starlette

from pytest_fluxrun import entry as entries
from pytest_fluxrun import registry
from pytest_fluxrun.entry import registered_entry
from pytest_fluxrun.errors import SettingsError
from tests.entries import django_site  # it configures Django


class Shop(FastAPI):
    pass


class Relay:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class Doubled:
    def __init__(self, scope: Any) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


class Both:
    """Called by a server of either protocol; only its author knows which."""

    kind = ""


async def plain(scope: Any, receive: Any, send: Any) -> None: ...


async def lacking(scope: Any, receive: Any) -> None: ...


def not_async(scope: Any, receive: Any, send: Any) -> None: ...


def doubled(scope: Any) -> Any: ...


def create_app() -> FastAPI:
    return FastAPI()


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "_registered", {})


@pytest.mark.parametrize(
    ("app", "kind", "described"),
    [
        (FastAPI(), "asgi", "a FastAPI application (ASGI)"),
        (Shop(), "asgi", "a FastAPI application (ASGI)"),
        (Starlette(), "asgi", "a Starlette application (ASGI)"),
        (Litestar(logging_config=None), "asgi", "a Litestar application (ASGI)"),
        (Quart("shop"), "asgi", "a Quart application (ASGI)"),
        (ASGIHandler.__new__(ASGIHandler), "asgi", "a Django application (ASGI)"),
        (falcon.asgi.App(), "asgi", "a Falcon application (ASGI)"),
        (plain, "asgi", f"the coroutine function {__name__}.plain (ASGI)"),
        (Relay(), "asgi", f"an object of {__name__}.Relay (ASGI)"),
        (Relay().__call__, "asgi", f"the coroutine function {__name__}.Relay.__call__ (ASGI)"),
        (flask.Flask("shop"), "wsgi", "a Flask application (WSGI)"),
        (falcon.App(), "wsgi", "a Falcon application (WSGI)"),
        (django_site.WSGIHandler.__new__(django_site.WSGIHandler), "wsgi", "a Django application (WSGI)"),
    ],
)
def test_application_is_recognised_as_one_kind_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture, app: Any, kind: str, described: str
):
    """Each framework's object is of exactly one kind, whatever the order of the entry files."""
    with caplog.at_level(logging.INFO, "pytest_fluxrun"):
        wrapped = registry.instrument(app, name="shop")

    assert kind == registered_entry("shop").entry.kind
    assert [f"FluxRun: entry 'shop' is {described}"] == [record.getMessage() for record in caplog.records]
    assert kind == registered_entry("shop").entry.kind
    assert isinstance(wrapped, type(app))


@pytest.mark.parametrize(
    ("app", "what", "why"),
    [
        (FastAPI, "the class fastapi.applications.FastAPI", "it is a class: pass an instance, e.g. FastAPI()"),
        (flask.Flask, "the class flask.app.Flask", "it is a class: pass an instance, e.g. Flask()"),
        (create_app, f"the function {__name__}.create_app", "call it first: create_app()"),
        ("shop.main:app", "an object of builtins.str", "it is text: pass the object itself"),
        (lacking, f"the function {__name__}.lacking", "a coroutine function of (scope, receive)"),
        (not_async, f"the function {__name__}.not_async", "isn't `async def`"),
        (Doubled, f"the class {__name__}.Doubled", "an ASGI 2 application"),
        (doubled, f"the function {__name__}.doubled", "an ASGI 2 application"),
        (42, "an object of builtins.int", "nothing that a server or a queue calls"),
    ],
)
def test_near_miss_is_refused_with_a_hint(app: Any, what: str, why: str):
    """The error names the object, never by its repr, says what it nearly is, and lists what it could be."""
    with pytest.raises(SettingsError) as raised:
        registry.instrument(app, name="shop")

    assert f"fluxrun.instrument doesn't recognise {what}" == raised.value.what
    assert why in raised.value.why
    assert "an ASGI application (" in raised.value.next_step
    assert () == entries.registered()


def test_module_is_refused_by_the_names_of_its_applications():
    """Passing `shop.main` for `shop.main.app`."""
    module = ModuleType("shop_main")
    module.app, module.create_app, module.FastAPI = FastAPI(), create_app, FastAPI

    with pytest.raises(SettingsError) as raised:
        registry.instrument(module, name="shop")
    assert "it is a module: pass shop_main.app" == raised.value.why

    with pytest.raises(SettingsError) as raised:
        registry.instrument(sys.modules["logging"], name="shop")
    assert "it is a module" == raised.value.why


def test_coroutine_of_a_factory_is_refused():
    """An async factory's result must be awaited."""
    coroutine = plain(None, None, None)
    with pytest.raises(SettingsError) as raised:
        registry.instrument(coroutine, name="shop")
    coroutine.close()
    assert "it is a coroutine that nobody has awaited" in raised.value.why


class Fits(entries.Entry):
    """An entry file that takes more than it should."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    takes = "anything"

    def recognises(self, target: Any) -> bool:
        return True

    def wrap(self, target: Any, name: str) -> Any:
        return target

    def drive(self, target: Any, recorded_input: Any, driving: Any) -> Any:
        raise AssertionError


def test_object_of_two_kinds_is_refused_until_the_kind_is_said(monkeypatch: pytest.MonkeyPatch):
    """No order of files decides."""
    monkeypatch.setattr(registry, "_entries", lambda: (Fits("one"), Fits("two")))
    app = Both()

    with pytest.raises(SettingsError) as raised:
        registry.instrument(app, name="shop")
    assert f"an object of {__name__}.Both (one), and also an object of {__name__}.Both (two)" in raised.value.why
    assert "kind='one'" in raised.value.next_step

    registry.instrument(app, name="shop", kind="two")
    assert "two" == registered_entry("shop").entry.kind


def test_kind_that_does_not_exist_is_refused():
    """It names those that do."""
    with pytest.raises(SettingsError) as raised:
        registry.instrument(FastAPI(), name="shop", kind="asgy")
    assert "there is no kind of entry 'asgy'" == raised.value.what
    assert "asgi" in raised.value.why


def test_application_instrumented_twice_is_wrapped_once():
    """The same name gives the same object; another name wraps the original, not the wrapper."""
    once = registry.instrument(FastAPI(), name="shop")

    assert once is registry.instrument(once, name="shop")
    other = registry.instrument(once, name="other")
    assert other.__wrapped__ is once.__wrapped__
