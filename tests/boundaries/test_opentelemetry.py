"""OpenTelemetry's exporters, one by one, and the threads that feed them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from pytest_fluxrun import telemetry
from pytest_fluxrun.boundaries import opentelemetry, threading
from pytest_fluxrun.context import APART, Lane, current_lane, entered
from tests.boundaries.sessions import alone
from tests.conftest import LaneOwner

EXPORTERS = [
    (f"opentelemetry.exporter.otlp.proto.{protocol}.{module}", name)
    for protocol in ("http", "grpc")
    for module, name in (
        ("trace_exporter", "OTLPSpanExporter"),
        ("_log_exporter", "OTLPLogExporter"),
        ("metric_exporter", "OTLPMetricExporter"),
    )
]


@pytest.fixture(autouse=True)
def _seams() -> Iterator[None]:
    with alone(opentelemetry.boundary, threading.boundary):
        yield


@pytest.fixture
def _replaying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_ledger", None)
    telemetry.drop_from_now_on()


def new_exporter(module: str, name: str) -> Any:
    """One that would fail if it sent anything: nobody listens there."""
    cleartext = {"insecure": True} if ".grpc." in module else {}
    return getattr(import_module(module), name)(endpoint="http://user:secret@127.0.0.1:9/v1", timeout=0.1, **cleartext)


@pytest.mark.parametrize(("module", "name"), EXPORTERS)
@pytest.mark.usefixtures("_replaying")
def test_export_is_dropped_as_done(module: str, name: str) -> None:
    """The caller hears of success and retries nothing; listed is the address without what opens it."""
    exporter = new_exporter(module, name)

    result = exporter.export([])
    exporter.shutdown()

    address = "127.0.0.1:9" if ".grpc." in module else "http://127.0.0.1:9/v1"
    assert "SUCCESS" == result.name
    assert (f"opentelemetry OTLP export to {address}",) == telemetry.take_dropped()


class Watching(SpanExporter):
    """Notes the lane that it is called in."""

    def __init__(self) -> None:
        self.lanes: list[Any] = []

    def export(self, spans: Any) -> Any:
        del spans
        self.lanes.append(current_lane())

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        del timeout_millis
        return True


def test_batch_that_a_run_starts_works_in_no_lane() -> None:
    """Neither its thread, nor a flush that the run waits for, nor its end belong to the run."""
    exporter = Watching()

    with entered(Lane(LaneOwner())):
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=60_000))
        for flush in (provider.force_flush, provider.shutdown):
            with provider.get_tracer("test").start_as_current_span("span"):
                pass
            flush()

    assert len(exporter.lanes) == 2
    assert set(exporter.lanes) <= {None, APART}


def test_metric_reader_that_a_run_starts_works_in_no_lane() -> None:
    """Its thread calls back what is observed."""
    lanes: list[Any] = []

    def observe(_: Any) -> Any:
        lanes.append(current_lane())
        return ()

    with entered(Lane(LaneOwner())):
        reader = PeriodicExportingMetricReader(ConsoleMetricExporter(out=io.StringIO()), export_interval_millis=60_000)
        provider = MeterProvider([reader], shutdown_on_exit=False)
        provider.get_meter("test").create_observable_gauge("gauge", [observe])
        provider.shutdown()

    assert {None} == set(lanes)


@pytest.mark.usefixtures("_replaying")
def test_console_exporter_still_writes() -> None:
    """What stays in the process isn't telemetry that anybody sends."""
    written = io.StringIO()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=written)))

    with provider.get_tracer("test").start_as_current_span("shown"):
        pass
    provider.shutdown()

    assert '"name": "shown"' in written.getvalue()
    assert () == telemetry.take_dropped()
