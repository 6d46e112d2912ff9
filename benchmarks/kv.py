"""What a recorded command to Redis costs the calling thread, beside OpenTelemetry's instrumentation where there is one.

Run by hand with a Redis on 127.0.0.1:6379: `python benchmarks/kv.py`. In one process, in turn: nothing installed,
OpenTelemetry (an SDK tracer whose spans a batch processor drops), FluxRun's seams with a run that is recorded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import redis
import redis.asyncio
from comparing import BATCH, ROUNDS, WARM_UP, Clock, awaited_batch, batch, compare, instrumentor_named, tracing
from measuring import heading
from opentelemetry.sdk.trace import TracerProvider

from pytest_fluxrun import ambient, patching
from pytest_fluxrun.boundaries.redis import boundary
from pytest_fluxrun.context import entered
from pytest_fluxrun.recording.recorder import Recorder

_INSTRUMENTATION = "opentelemetry.instrumentation.redis"
_DATABASE = 15
_KEY = "fluxrun:bench"
Use = Callable[[Any], Any]


def _pipeline(client: Any) -> Any:
    pipe = client.pipeline(transaction=False)
    for number in range(10):
        pipe.set(f"{_KEY}:{number}", "v")
    return pipe.execute()


_USES: dict[str, Use] = {
    "redis GET": lambda client: client.get(_KEY),
    "redis SET": lambda client: client.set(_KEY, "value"),
    "redis HGETALL of 10": lambda client: client.hgetall(f"{_KEY}:h"),
    "redis LRANGE of 1000": lambda client: client.lrange(f"{_KEY}:l", 0, -1),
    "redis pipeline of 10": _pipeline,
}


class Ways:
    """The ways of making the same call; figures are microseconds a call."""

    def __init__(self, use: Use, clock: Clock, provider: TracerProvider, *, asynchronous: bool) -> None:
        self.use = use
        self.clock = clock
        self.provider = provider
        self.asynchronous = asynchronous

    def all(self) -> Mapping[str, Callable[[], float]]:
        """Those that there are here."""
        traced = {"traced": self.traced} if find_spec(_INSTRUMENTATION) else {}
        return {"bare": self._measured, **traced, "recorded": self.recorded}

    def traced(self) -> float:
        """OpenTelemetry's spans around the calls."""
        instrumentor = instrumentor_named(f"{_INSTRUMENTATION}:RedisInstrumentor")
        instrumentor.instrument(tracer_provider=self.provider)
        try:
            return self._measured()
        finally:
            instrumentor.uninstrument()

    def recorded(self) -> float:
        """In a run of FluxRun's."""
        ambient.install()
        for name in boundary.modules:
            patching.install(boundary.patches(import_module(name)))
        recorder = Recorder("bench", "function", lambda *_: None)
        try:
            with entered(recorder.lane):
                figure = self._measured()
        finally:
            recorder.close()
            patching.restore_all()
            ambient.uninstall()
        assert len(recorder.crossings) >= BATCH + WARM_UP
        return figure

    def _measured(self) -> float:
        if self.asynchronous:
            return asyncio.run(self._awaited())
        with redis.Redis(db=_DATABASE) as client:
            return batch(lambda: self.use(client), self.clock)

    async def _awaited(self) -> float:
        async with redis.asyncio.Redis(db=_DATABASE) as client:

            async def call() -> Any:
                awaited: Awaitable[Any] = self.use(client)
                return await awaited

            return await awaited_batch(call, self.clock)


def main() -> None:
    """Print the rows."""
    heading(f"One command to Redis on loopback, {ROUNDS} rounds in turn")
    with redis.Redis(db=_DATABASE) as client:
        client.hset(f"{_KEY}:h", mapping={f"field{number}": "x" * 20 for number in range(10)})
        client.delete(f"{_KEY}:l")
        client.rpush(f"{_KEY}:l", *["x" * 20] * 1000)
        with tracing() as provider:
            for name, use in _USES.items():
                _compare(name, use, provider, asynchronous=False)
                _compare(f"{name} (async)", use, provider, asynchronous=True)
        client.delete(*client.keys(f"{_KEY}*"))


def _compare(name: str, use: Use, provider: TracerProvider, *, asynchronous: bool) -> None:
    def ways(clock: Callable[[], int] = time.thread_time_ns) -> Mapping[str, Callable[[], float]]:
        return Ways(use, clock, provider, asynchronous=asynchronous).all()

    compare(name, ways)


if __name__ == "__main__":
    main()
