"""The trace ids of a request, as its ending gives them to the index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider

from pytest_fluxrun.entries.function import capture
from pytest_fluxrun.registry import instrument
from tests.entries.test_asgi import plain, scope, serve

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    made = TracerProvider()
    yield made
    made.shutdown()


def with_headers(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return scope(headers=[(b"host", b"shop.example"), *headers])


def test_the_ids_of_a_request_are_those_of_its_headers(runs):
    """As they came, whatever the app does to its scope."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["headers"] = []
        await plain(scope, receive, send)

    serve(
        instrument(app, name="web"),
        with_headers((b"traceparent", f"00-{TRACE}-{PARENT}-01".encode()), (b"x-request-id", b"req-17.b")),
    )

    assert {"trace_id": TRACE, "parent_id": PARENT, "request_id": "req-17.b"} == runs.ending.trace()


def test_a_trace_that_the_apps_own_telemetry_began_is_kept_where_none_came_in(runs, provider):
    """OpenTelemetry's middleware lies inside: its span is over when the run is, and was seen while the app answered."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        from opentelemetry.trace import get_current_span

        seen.append(f"{get_current_span().get_span_context().trace_id:032x}")
        await plain(scope, receive, send)

    wrapped = instrument(OpenTelemetryMiddleware(app, tracer_provider=provider), name="web")
    serve(wrapped)
    serve(wrapped, with_headers((b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())))

    (own, came_in) = (ending.trace() for _, ending in runs.finished)
    assert {"trace_id": seen[0]} == own
    assert {"trace_id": TRACE, "parent_id": PARENT} == came_in


def test_a_function_called_in_a_span_carries_its_trace(runs, provider):
    """A job that a traced worker starts."""

    @capture("job")
    def job() -> None:
        """Nothing."""

    job()
    with provider.get_tracer("worker").start_as_current_span("job") as span:
        job()

    assert [{}, {"trace_id": f"{span.get_span_context().trace_id:032x}"}] == [
        ending.trace() for _, ending in runs.finished
    ]
