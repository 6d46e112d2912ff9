"""`fluxrun.instrument` takes each task queue's own object, as one kind of entry, under a name that no task bears."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import arq
import celery
import click
import dramatiq.brokers.stub
import pytest
import rq

from pytest_fluxrun import registry
from pytest_fluxrun.entry import registered, registered_entry


def nothing() -> None:
    """Nothing to do."""


def celery_app() -> Any:
    app = celery.Celery("shop", set_as_current=False)
    app.task(name="it", shared=False)(nothing)
    return app


def dramatiq_broker() -> Any:
    broker = dramatiq.brokers.stub.StubBroker()
    dramatiq.actor(actor_name="it", broker=broker)(nothing)
    return broker


def rq_worker() -> Any:
    return type("ShopWorker", (rq.Worker,), {})


def arq_settings() -> Any:
    async def it(ctx: dict[str, Any]) -> None:
        """Nothing to do."""

    return type("Settings", (), {"functions": [arq.func(it, name="it")]})


@pytest.mark.parametrize(
    ("make", "kind", "name", "described"),
    [
        (celery_app, "celery", "celery:shop", "the Celery app 'shop'"),
        (dramatiq_broker, "dramatiq", "dramatiq:kiosk", "a StubBroker of Dramatiq"),
        (rq_worker, "rq", "rq:kiosk:ShopWorker", "the RQ worker class ShopWorker"),
        (arq_settings, "arq", "arq:kiosk:Settings", "the arq worker settings Settings"),
    ],
)
def test_object_is_one_kind_of_entry(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any], kind: str, name: str, described: str
):
    """It stays the object that it was, is registered beside the project's web app, and finds its tasks."""
    monkeypatch.setattr(registry, "_project_name", lambda: "kiosk")
    target = make()

    assert target is registry.instrument(target)

    (found,) = registered()
    assert (kind, name, described) == (found.entry.kind, found.name, found.entry.describe(target))
    if kind != "rq":
        assert (kind, target) == (registered_entry("it").entry.kind, registered_entry("it").target)


def test_click_command_is_recognised():
    """`instrument` does for it what `@capture` does."""
    command = click.command("quote")(lambda: None)
    assert command is registry.instrument(command, name="quote")
    assert "click" == registered_entry("quote").entry.kind
