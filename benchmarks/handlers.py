"""How each sort of entry is invoked in `entries.py`: a POST with a JSON body and answer, or a task of two arguments."""

from __future__ import annotations

import io
import json
import os
import sys
import uuid
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from comparing import instrumentor_named
from driving import one_request
from opentelemetry.sdk.metrics import MeterProvider
from pydantic import BaseModel

import pytest_fluxrun as fluxrun

__all__ = ["FRAMEWORKS", "Framework"]

_DATA = b'{"article": 7, "quantity": 3}'
_OPENTELEMETRY = "opentelemetry.instrumentation"

App = Any
Invoke = Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Framework:
    """One framework, thrice: an app of it is made anew for every batch.

    Args:
        bare: an app.
        traced: one with OpenTelemetry's instrumentation, and what takes that out again; None where there is none.
        recorded: one that FluxRun records.
        invoke: one request or task, as a server or worker makes it; a coroutine where it is asynchronous.
    """

    bare: Callable[[], App]
    traced: Callable[[Any], tuple[App, Callable[[], object]]] | None = None
    recorded: Callable[[], App]
    invoke: Callable[[App], Invoke]
    asynchronous: bool = False


class Order(BaseModel):
    """What FastAPI validates."""

    article: int
    quantity: int


def _price(order: dict[str, Any]) -> dict[str, Any]:
    return {"article": order["article"], "cents": 100 * order["article"] * order["quantity"]}


def _nothing() -> None:
    """There is nothing to take out: the app is thrown away."""


def _with(instrumentor: str, make: Callable[[], App]) -> Callable[[Any], tuple[App, Callable[[], object]]]:
    """An app that an instrumentor of OpenTelemetry instruments."""

    def traced(provider: Any) -> tuple[App, Callable[[], object]]:
        app, chosen = make(), instrumentor_named(f"{_OPENTELEMETRY}.{instrumentor}")
        chosen.instrument_app(app, tracer_provider=provider)
        return app, partial(chosen.uninstrument_app, app)

    return traced


def _instrumented(make: Callable[[], App]) -> Callable[[], App]:
    return lambda: fluxrun.instrument(make(), name=make.__name__)


# -- ASGI


def _ask(app: App) -> Invoke:
    return partial(one_request, app, "/order", _DATA)


def _plain_asgi() -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope
        body = json.dumps(_price(json.loads((await receive())["body"]))).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def _traced_asgi(provider: Any) -> tuple[App, Callable[[], object]]:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(_plain_asgi(), tracer_provider=provider), _nothing


def _starlette() -> App:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def order(request: Request) -> JSONResponse:
        return JSONResponse(_price(await request.json()))

    return Starlette(routes=[Route("/order", order, methods=["POST"])])


def _fastapi() -> App:
    from fastapi import FastAPI

    app = FastAPI()

    @app.post("/order")
    async def order(order: Order) -> dict[str, int]:
        return _price(order.model_dump())

    return app


# -- WSGI


def _environ() -> dict[str, Any]:
    """As gunicorn makes it."""
    return {
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(_DATA),
        "SERVER_SOFTWARE": "gunicorn",
        "REQUEST_METHOD": "POST",
        "QUERY_STRING": "",
        "RAW_URI": "/order",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(_DATA)),
        "HTTP_HOST": "shop.example",
        "HTTP_USER_AGENT": "curl/8.0",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "PATH_INFO": "/order",
        "SCRIPT_NAME": "",
    }


def _serve(app: App) -> Invoke:
    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], None]:
        del headers, exc_info
        assert status.startswith("200"), status
        return lambda _: None

    def invoke() -> bytes:
        answer = app(_environ(), start_response)
        try:
            return b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()

    return invoke


def _plain_wsgi() -> App:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        order = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        start_response("200 OK", [("content-type", "application/json")])
        return [json.dumps(_price(order)).encode()]

    return app


def _traced_wsgi(provider: Any) -> tuple[App, Callable[[], object]]:
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    return OpenTelemetryMiddleware(_plain_wsgi(), tracer_provider=provider), _nothing


def _flask() -> App:
    import flask

    app = flask.Flask("bench")

    @app.post("/order")
    def order() -> dict[str, Any]:
        return _price(flask.request.get_json())

    return app


# -- Django


class _Urls:
    """The site's URLs, in place of a module."""

    urlpatterns: ClassVar[list[Any]] = []


def _django(*middleware: str) -> App:
    """Django's handler with these middlewares before the site's own."""
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpRequest, JsonResponse
    from django.urls import path

    if not settings.configured:
        settings.configure(
            SECRET_KEY="bench", ALLOWED_HOSTS=["*"], ROOT_URLCONF=_Urls, MIDDLEWARE=[], FLUXRUN={"name": "site"}
        )
        django.setup()

        def order(request: HttpRequest) -> JsonResponse:
            return JsonResponse(_price(json.loads(request.body)))

        _Urls.urlpatterns.append(path("order", order))
    settings.MIDDLEWARE = [*middleware, *settings.MIDDLEWARE, "django.middleware.common.CommonMiddleware"]
    handler = WSGIHandler()
    settings.MIDDLEWARE = []
    return handler


def _traced_django(provider: Any) -> tuple[App, Callable[[], object]]:
    instrumentor = instrumentor_named(f"{_OPENTELEMETRY}.django:DjangoInstrumentor")
    _django()
    instrumentor.instrument(tracer_provider=provider)
    return _django(), instrumentor.uninstrument


# -- Celery


def _celery() -> App:
    import celery

    app = celery.Celery("bench", broker="memory://", set_as_current=False)

    @app.task(name="bench.price", ignore_result=True)
    def price(article: int, quantity: int) -> dict[str, Any]:
        return _price({"article": article, "quantity": quantity})

    app.finalize()
    return app


def _traced_celery(provider: Any) -> tuple[App, Callable[[], object]]:
    instrumentor = instrumentor_named(f"{_OPENTELEMETRY}.celery:CeleryInstrumentor")
    instrumentor.instrument(tracer_provider=provider)
    return _celery(), instrumentor.uninstrument


def _work_off(app: App) -> Invoke:
    """As a worker does, with a message that it has unpacked."""
    from celery.app.trace import build_tracer

    task = app.tasks["bench.price"]
    task.__trace__ = build_tracer(task.name, task, app.loader, "worker@bench", app=app)

    def invoke() -> Any:
        request = {"id": uuid.uuid4().hex, "task": task.name, "hostname": "worker@bench", "is_eager": False}
        request |= {"delivery_info": {"routing_key": "celery"}, "args": [7, 3], "kwargs": {}, "retries": 0}
        return task.__trace__(request["id"], (7, 3), {}, request)

    return invoke


# -- functions, Lambda handlers, commands


class _Functions:
    """What is called by name: here OpenTelemetry's instrumentation of Lambda finds its handler."""

    @staticmethod
    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        """A Lambda handler."""
        del context
        return _price(event)


class _LambdaContext:
    """As AWS gives it."""

    function_name = "bench"
    function_version = "1"
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:bench"
    memory_limit_in_mb = 128
    aws_request_id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
    log_group_name = "/aws/lambda/bench"
    log_stream_name = "2026/01/01/[1]8476a536"
    identity = client_context = None

    def get_remaining_time_in_millis(self) -> int:
        """Enough."""
        return 3000


def _traced_lambda(provider: Any) -> tuple[App, Callable[[], object]]:
    sys.modules["bench_functions"] = _Functions  # type: ignore[assignment]  # a class will do
    os.environ.update(AWS_LAMBDA_FUNCTION_NAME="bench", _HANDLER="bench_functions.handle")
    instrumentor = instrumentor_named(f"{_OPENTELEMETRY}.aws_lambda:AwsLambdaInstrumentor")
    meter = MeterProvider()  # else it logs at each call that it can't flush one
    instrumentor.instrument(tracer_provider=provider, meter_provider=meter)
    return _Functions.handle, instrumentor.uninstrument


def _handle(app: App) -> Invoke:
    context = _LambdaContext()
    return lambda: app({"article": 7, "quantity": 3}, context)


def _command() -> App:
    import click

    @click.command()
    @click.argument("article", type=int)
    @click.option("--quantity", type=int, default=1)
    def price(article: int, quantity: int) -> None:
        click.echo(json.dumps(_price({"article": article, "quantity": quantity})))

    return price


def _traced_command(provider: Any) -> tuple[App, Callable[[], object]]:
    instrumentor = instrumentor_named(f"{_OPENTELEMETRY}.click:ClickInstrumentor")
    instrumentor.instrument(tracer_provider=provider)
    return _command(), instrumentor.uninstrument


def _run_command(app: App) -> Invoke:
    printed = io.TextIOWrapper(io.BytesIO())

    def invoke() -> None:
        with redirect_stdout(printed):
            app.main(["7", "--quantity", "3"], "price", standalone_mode=False)

    return invoke


def _traced_by(
    instrumentor: str, make: Callable[[], Any], invoke: Callable[..., Any], *, asynchronous: bool = False
) -> Framework:
    """A framework that OpenTelemetry instruments by the class of its application."""
    return Framework(
        bare=make,
        traced=_with(instrumentor, make),
        recorded=_instrumented(make),
        invoke=invoke,
        asynchronous=asynchronous,
    )


FRAMEWORKS: dict[str, Framework] = {
    "ASGI, a plain callable": Framework(
        bare=_plain_asgi,
        traced=_traced_asgi,
        recorded=_instrumented(_plain_asgi),
        invoke=_ask,
        asynchronous=True,
    ),
    "Starlette": _traced_by("starlette:StarletteInstrumentor", _starlette, _ask, asynchronous=True),
    "FastAPI": _traced_by("fastapi:FastAPIInstrumentor", _fastapi, _ask, asynchronous=True),
    "WSGI, a plain callable": Framework(
        bare=_plain_wsgi, traced=_traced_wsgi, recorded=_instrumented(_plain_wsgi), invoke=_serve
    ),
    "Flask": _traced_by("flask:FlaskInstrumentor", _flask, _serve),
    "Django": Framework(
        bare=_django,
        traced=_traced_django,
        recorded=partial(_django, "pytest_fluxrun.entries.django.FluxRunMiddleware"),
        invoke=_serve,
    ),
    "Celery task": Framework(
        bare=_celery,
        traced=_traced_celery,
        recorded=lambda: fluxrun.instrument(_celery(), name="worker"),
        invoke=_work_off,
    ),
    "a click command": Framework(
        bare=_command,
        traced=_traced_command,
        recorded=_instrumented(_command),
        invoke=_run_command,
    ),
    "a Lambda handler": Framework(
        bare=lambda: _Functions.handle,
        traced=_traced_lambda,
        recorded=lambda: fluxrun.capture("handler")(_Functions.handle),
        invoke=_handle,
    ),
    "a captured function": Framework(
        bare=lambda: _price,
        recorded=lambda: fluxrun.capture("price")(_price),
        invoke=lambda app: partial(app, {"article": 7, "quantity": 3}),
    ),
}
