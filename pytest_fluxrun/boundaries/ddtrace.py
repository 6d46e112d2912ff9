"""Datadog's tracer: its traces, and what it says of itself, are telemetry; its wrappers call on to our seams.

From 4.0 on it sends by threads of native code, which no seam sees: in a process that replays they are not started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pytest_fluxrun import telemetry
from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.patching import trust_wrappers_of

__all__ = ["boundary"]


class DDTrace(Seams):
    """The writers of traces, the periodic services, and the tracer's telemetry of itself."""

    name = "ddtrace"
    modules = (
        "ddtrace",
        "ddtrace.internal.periodic",
        "ddtrace.internal.telemetry.writer",
        "ddtrace.internal.writer.writer",
    )

    def patches(self, module: Any) -> Iterable[Patch]:
        """What takes a trace, what sends one, and what starts a thread."""
        match module.__name__.rpartition(".")[2]:
            case "ddtrace":
                trust_wrappers_of("ddtrace")
                return ()
            case "periodic":
                return (Patch(module.PeriodicService, "_start_service", _start_service),)
        return tuple(_writer_patches(module)) if hasattr(module, "TraceWriter") else tuple(_self_patches(module))


def _writer_patches(module: Any) -> Iterator[Patch]:
    for writer in vars(module).values():
        if isinstance(writer, type) and "_send_payload" in vars(writer):
            yield Patch(writer, "write", _write)
            yield Patch(writer, "_send_payload", _send)
        if isinstance(writer, type) and "_create_exporter" in vars(writer):
            yield Patch(writer, "_create_exporter", _create_exporter)


class _Silent:
    """In place of the native exporter, whose threads ask the agent what it can do."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *_, **__: None


def _self_patches(module: Any) -> Iterator[Patch]:
    for name in ("TelemetryWriter", "_TelemetryWriter"):
        writer = getattr(module, name, None)
        if writer is not None and "enable" in vars(writer):
            yield Patch(writer, "enable", _enable)


def _to_its_agent(writer: Any) -> str:
    return f"to {telemetry.address_of(str(getattr(writer, 'intake_url', '') or 'its agent'))}"


_write = telemetry.droppable(lambda writer, *_, **__: f"ddtrace trace {_to_its_agent(writer)}")
"""Hand a trace over: listed at once, on the run that made it, and not kept."""
_send = telemetry.droppable(lambda writer, *_, **__: f"ddtrace payload {_to_its_agent(writer)}")
"""What was handed over before the process began to replay. Writers use nothing that it returns."""
_create_exporter = telemetry.droppable(lambda writer: f"ddtrace exporter {_to_its_agent(writer)}, not made", _Silent)
_start_service = telemetry.droppable(lambda service, *_, **__: f"ddtrace service {type(service).__name__}, not started")
"""A periodic service sends or fetches (metrics, profiles, remote settings), and none needs to run at replay."""
_enable = telemetry.droppable(lambda _: "ddtrace telemetry of itself", lambda: False)


boundary = DDTrace()
