"""Runs as an entry makes them, recorded in memory, and driven as a replay drives them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from pytest_fluxrun import entry as entries
from pytest_fluxrun.context import entered
from pytest_fluxrun.entry import Ending, Entry
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.recording.recorder import Recorder
from tests.entries.web_behaviours import Upstream, upstream


class Recorded:
    """What the opener collected: each finished run's recorder and ending."""

    def __init__(self) -> None:
        self.opened: list[Recorder] = []
        self.finished: list[tuple[Recorder, Ending]] = []
        self.max_bytes = 1 << 20
        self._lock = threading.Lock()

    def open_run(self, name: str, entry: Entry) -> Recorder:
        recorder = Recorder(name, entry.kind, self._finish, max_bytes=self.max_bytes)
        self.opened.append(recorder)
        return recorder

    def _finish(self, recorder: Recorder, ending: Ending) -> None:
        with self._lock:
            self.finished.append((recorder, ending))

    @property
    def ending(self) -> Ending:
        """Of the one run."""
        ((_, ending),) = self.finished
        return ending

    def dumped(self, number: int = 0) -> tuple[Any, Any]:
        """Input and outcome of a run, through JSON."""
        recorded_input, outcome = self.finished[number][1].dump()
        return orjson.loads(orjson.dumps([recorded_input, outcome]))


class Driving:
    """`entry.Driving` without a clock: offsets are passed over at once, and kept."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.waited: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.lacking: list[str] = []

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, 10))

    def call(self, function: Callable[[], Any], *, interruption: Any = None) -> Any:
        self.interruption = interruption
        return function()

    async def until(self, offset_ns: int) -> None:
        self.waited.append(offset_ns)
        await asyncio.sleep(0)

    def spawn(self, coroutine: Any) -> Any:
        self.tasks.append(self.loop.create_task(coroutine))
        return self.tasks[-1]

    def lacks(self, asked: str) -> Exception:
        self.lacking.append(asked)
        return UnrecordedCall("the recorded request holds no more.", asked=asked)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(entries, "_registered", {})
    with entered(None):
        yield
    entries.set_opener(None)


@pytest.fixture
def runs() -> Recorded:
    """Records every run that is opened."""
    recorded = Recorded()
    entries.set_opener(recorded.open_run)
    return recorded


@pytest.fixture
def outside() -> Iterator[Upstream]:
    """The upstream that the web behaviours' apps ask."""
    with upstream() as found:
        yield found


@pytest.fixture
def driving() -> Iterator[Driving]:
    lent = Driving()
    yield lent
    for task in lent.tasks:
        task.cancel()
    if lent.tasks:
        lent.loop.run_until_complete(asyncio.wait(lent.tasks))
    lent.loop.close()
