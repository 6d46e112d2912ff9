"""Sentry: what its SDK sends is telemetry. Hooks, breadcrumbs and scopes stay; its wrappers call on to our seams."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from pytest_fluxrun import telemetry
from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.patching import trust_wrappers_of

__all__ = ["boundary"]

_WORKERS: Final = {
    "BackgroundWorker": ("start", "flush", "kill"),
    "AsyncWorker": ("start", "flush", "kill"),
    "Batcher": ("_ensure_thread", "kill"),
    "ThreadContinuousScheduler": ("ensure_running", "teardown"),
    "Monitor": ("_ensure_running", "kill"),
    "ThreadScheduler": ("ensure_running", "teardown"),
    "SessionFlusher": ("_ensure_running", "kill"),
}
"""Classes with a thread of their own, by what starts it or waits for it."""


class SentrySdk(Seams):
    """The transports, and the threads that feed them."""

    name = "sentry_sdk"
    modules = (
        "sentry_sdk",
        "sentry_sdk._batcher",
        "sentry_sdk.monitor",
        "sentry_sdk.profiler.continuous_profiler",
        "sentry_sdk.profiler.transaction_profiler",
        "sentry_sdk.sessions",
        "sentry_sdk.transport",
        "sentry_sdk.utils",
        "sentry_sdk.worker",
    )

    def patches(self, module: Any) -> Iterable[Patch]:
        """Where an envelope is handed over and a request goes out, the starts and waits of threads, the call of git."""
        if module.__name__ == "sentry_sdk":
            trust_wrappers_of("sentry_sdk")
            return ()
        if module.__name__ == "sentry_sdk.utils":
            return (Patch(module, "get_git_revision", _get_git_revision),)
        return tuple(
            _transport_patches(module) if module.__name__ == "sentry_sdk.transport" else _worker_patches(module)
        )


def _transport_patches(module: Any) -> Iterator[Patch]:
    for transport in vars(module).values():
        if not isinstance(transport, type) or not issubclass(transport, module.Transport):
            continue
        if "_send_request" not in vars(transport):
            continue  # neither the transports of the SDK's users nor the base class send anything
        yield Patch(transport, "capture_envelope", _capture_envelope)
        yield Patch(transport, "_send_request", _send_asynchronously if _is_async(transport) else _send)
        yield Patch(transport, "flush", telemetry.apart)


def _is_async(transport: Any) -> bool:
    return str(transport.__name__).startswith("Async")


def _worker_patches(module: Any) -> Iterator[Patch]:
    for name, methods in _WORKERS.items():
        worker = getattr(module, name, None)
        if worker is not None and worker.__module__ == module.__name__:
            yield from (Patch(worker, method, telemetry.apart) for method in methods if method in vars(worker))


def _text_of_envelope(transport: Any, envelope: Any) -> str:
    kinds = dict.fromkeys(str(item.headers.get("type", "item")) for item in envelope.items)
    return f"sentry {', '.join(kinds) or 'nothing'} to {_address(transport)}"


def _text_of_request(transport: Any, *_: Any, **__: Any) -> str:
    return f"sentry request to {_address(transport)}"


def _address(transport: Any) -> str:
    parsed = transport.parsed_dsn
    return f"{parsed.scheme}://{parsed.netloc}"


_capture_envelope = telemetry.droppable(_text_of_envelope)
_send = telemetry.droppable(_text_of_request)
"""What was queued before the process began to replay."""
_get_git_revision = telemetry.droppable(lambda: "sentry release, asked of git")
"""`init` starts git to learn a release's name, which is only ever sent."""


def _send_asynchronously(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def send(self: Any, *args: Any, **kwargs: Any) -> None:
        if not telemetry.drop(_text_of_request(self)):
            await original(self, *args, **kwargs)  # its task was made in no lane

    return send


boundary = SentrySdk()
