"""What the comparisons with OpenTelemetry share: its SDK as a service has it, batches of calls, and the rows."""

from __future__ import annotations

import contextvars
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from measuring import added, interleaved, print_row
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

__all__ = [
    "BATCH",
    "ROUNDS",
    "WARM_UP",
    "Clock",
    "awaited_batch",
    "batch",
    "collecting_logs",
    "compare",
    "instrumentor_named",
    "tracing",
]

BATCH, WARM_UP, ROUNDS = 40, 10, 16
Clock = Callable[[], int]


class _Dropped(SpanExporter):
    """Takes spans and sends nothing."""

    def export(self, spans: Any) -> SpanExportResult:
        """Drop them."""
        del spans
        return SpanExportResult.SUCCESS


@contextmanager
def tracing() -> Iterator[TracerProvider]:
    """The SDK's provider, whose spans a batch processor drops. Not the process's: FastAPI would trace of itself."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Dropped()))
    yield provider
    provider.shutdown()


class _DroppedLogs(LogRecordExporter):
    """Takes log records and sends nothing."""

    def export(self, batch: Any) -> LogRecordExportResult:
        """Drop them."""
        del batch
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """There is nothing to wait for."""
        del timeout_millis
        return True

    def shutdown(self) -> None:
        """There is nothing to close."""


@contextmanager
def collecting_logs() -> Iterator[LoggerProvider]:
    """The SDK's provider for log records, which a batch processor drops."""
    provider = LoggerProvider()
    provider.add_log_record_processor(BatchLogRecordProcessor(_DroppedLogs()))
    yield provider
    provider.shutdown()


def instrumentor_named(name: str) -> Any:
    """An OpenTelemetry instrumentor by `module:class`."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)()


def batch(call: Callable[[], object], clock: Clock) -> float:
    """Microseconds of the clock for one call: the lower quartile of a batch, after a warm-up."""
    taken = []
    for _ in range(WARM_UP + BATCH):
        before = clock()
        call()
        taken.append(clock() - before)
    return _quartile(taken)


async def awaited_batch(call: Callable[[], Awaitable[object]], clock: Clock) -> float:
    """`batch` for a coroutine function."""
    taken = []
    for _ in range(WARM_UP + BATCH):
        before = clock()
        await call()
        taken.append(clock() - before)
    return _quartile(taken)


def _quartile(taken: list[int]) -> float:
    return statistics.quantiles(taken[WARM_UP:], n=4)[0] / 1000


def compare(name: str, ways: Callable[[Clock], Mapping[str, Callable[[], float]]]) -> None:
    """Print the rows of one comparison.

    Args:
        ways: for a clock, what gives the microseconds of a call: `bare`, `recorded`, and `traced` where there is one.
    """
    run = contextvars.Context().run
    cpu = run(interleaved, ways(time.thread_time_ns), rounds=ROUNDS)
    wall = run(interleaved, ways(time.perf_counter_ns), rounds=ROUNDS // 2)
    note = f"CPU of the calling thread; {statistics.median(wall['bare']):.0f} µs wall"
    print_row(f"{name}: itself", statistics.median(cpu["bare"]), "µs", note=note)
    recorded = added(cpu, "recorded", "bare")
    note = f"{added(wall, 'recorded', 'bare'):+.0f} µs wall"
    if "traced" not in cpu:
        print_row(f"{name}: FluxRun adds", recorded, "µs", note=f"{note}; OpenTelemetry has no instrumentation of it")
        return
    traced = added(cpu, "traced", "bare")
    print_row(f"{name}: OpenTelemetry adds", traced, "µs", note=f"{added(wall, 'traced', 'bare'):+.0f} µs wall")
    ratio = f"{recorded / traced:.2f} of OpenTelemetry's" if traced >= 1 else "OpenTelemetry's is lost in the noise"
    print_row(f"{name}: FluxRun adds", recorded, "µs", traced, f"{note}; {ratio}")
