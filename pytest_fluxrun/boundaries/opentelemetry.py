"""OpenTelemetry: what its OTLP exporters send is telemetry; its instrumentation of a library calls on to our seams.

Exporters to the console or to memory are left alone. What a batch would send later is listed where it is handed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from pytest_fluxrun import telemetry
from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.patching import trust_wrappers_of

__all__ = ["boundary"]

_EXPORTERS: Final = ("OTLPSpanExporter", "OTLPLogExporter", "OTLPMetricExporter")
_RESULTS: Final = ("SpanExportResult", "LogRecordExportResult", "LogExportResult", "MetricExportResult")
_WORKERS: Final = {
    "BatchProcessor": ("__init__", "_at_fork_reinit", "force_flush", "shutdown"),
    "BatchSpanProcessor": ("__init__", "_at_fork_reinit", "force_flush", "shutdown"),
    "BatchLogRecordProcessor": ("__init__", "_at_fork_reinit", "force_flush", "shutdown"),
    "PeriodicExportingMetricReader": ("__init__", "_at_fork_reinit", "force_flush", "shutdown"),
}
"""Classes with a thread of their own, by what starts it or waits for it."""
_HANDED_OVER: Final = {"BatchProcessor": "emit", "BatchSpanProcessor": "on_end", "BatchLogRecordProcessor": "emit"}
"""By what a batch takes one item: since 1.34 BatchProcessor, for every signal; before, the two others themselves."""


class OpenTelemetry(Seams):
    """The exporters, and the threads of what feeds them."""

    name = "opentelemetry"
    modules = (
        "opentelemetry.trace",
        "opentelemetry.exporter.otlp.proto.grpc._log_exporter",
        "opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
        "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
        "opentelemetry.exporter.otlp.proto.http._log_exporter",
        "opentelemetry.exporter.otlp.proto.http.metric_exporter",
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
        "opentelemetry.sdk._logs._internal.export",
        "opentelemetry.sdk._shared_internal",
        "opentelemetry.sdk.metrics._internal.export",
        "opentelemetry.sdk.trace.export",
    )

    def patches(self, module: Any) -> Iterable[Patch]:
        """Exports, and the starts and waits of worker threads."""
        if module.__name__ == "opentelemetry.trace":  # `opentelemetry` is a namespace, whose import no hook hears of
            trust_wrappers_of("opentelemetry")
            return ()
        if module.__name__.startswith("opentelemetry.exporter."):
            return tuple(_exporter_patches(module))
        return tuple(_worker_patches(module))


def _exporter_patches(module: Any) -> Iterator[Patch]:
    result = next(getattr(module, name) for name in _RESULTS if hasattr(module, name))
    export = telemetry.droppable(_text, lambda: result.SUCCESS)
    for name in _EXPORTERS:
        exporter = getattr(module, name, None)
        if exporter is not None:
            yield Patch(exporter, "export", export)
            yield Patch(exporter, "shutdown", telemetry.apart)


def _worker_patches(module: Any) -> Iterator[Patch]:
    for name, methods in _WORKERS.items():
        worker = getattr(module, name, None)
        if worker is None or worker.__module__ != module.__name__:
            continue
        for method in methods:
            if method in vars(worker):
                yield Patch(worker, method, telemetry.apart)
        handed_over = _HANDED_OVER.get(name, "")
        if handed_over in vars(worker) and (name == "BatchProcessor" or "worker" in vars(worker)):
            yield Patch(worker, handed_over, _hand_over)


def _text(exporter: Any, *_: Any, **__: Any) -> str:
    """`opentelemetry OTLP export to http://collector:4318/v1/traces`."""
    endpoint = str(getattr(exporter, "_endpoint", "") or "its collector")
    return f"opentelemetry OTLP export to {telemetry.address_of(endpoint)}"


def _text_of_batch(batch: Any, item: Any) -> str:
    """Of one item for a batch; none where the batch's exporter may send."""
    del item
    exporter = getattr(batch, "_exporter", None) or getattr(batch, "span_exporter", None)
    return _text(exporter) if type(exporter).__name__ in _EXPORTERS else ""


_hand_over = telemetry.droppable(_text_of_batch)
"""Into a batch for an exporter that may not send: listed at once, on the run that made it, and not kept."""


boundary = OpenTelemetry()
