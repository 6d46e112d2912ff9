"""The contract of an entry file: one way of starting a run, `wrap` (recording) and `drive` (replaying) together.

Entries ask `open_run` for a run and never learn who records. What is registered here by name is all that a bundle may
name: no import path is ever resolved from one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from pytest_fluxrun.context import Lane, current_lane
from pytest_fluxrun.errors import EntryNotFound, SettingsError
from pytest_fluxrun.values import Value

__all__ = [
    "Driving",
    "Ending",
    "Entry",
    "OpenRun",
    "RegisteredEntry",
    "flush_runs",
    "open_run",
    "register",
    "registered",
    "registered_entry",
    "set_opener",
]

T = TypeVar("T")


@dataclass(slots=True)
class Ending:
    """How an entry ended, as keep rules and the index need it.

    Args:
        dump: gives (input, outcome) as Values; called once, on the writer's thread, so it must hold references only to
            what no longer changes. An outcome is a dict with `response`, `returned` or `error`.
        status: HTTP status, or None.
        error: what the entry raised, or None.
        disconnected: the client went away before the answer was complete.
        cut_short: an answer was due and isn't complete.
        timed_out: the entry ended by a time-out or a cancellation.
        route: the route's template for the index, e.g. `POST /orders/{id}`, or "".
    """

    dump: Callable[[], tuple[Value, Value]]
    status: int | None = None
    error: BaseException | None = None
    disconnected: bool = False
    cut_short: bool = False
    timed_out: bool = False
    route: str = ""


class OpenRun(Protocol):
    """A run that is being recorded, as its entry sees it."""

    lane: Lane

    def weigh(self, size_bytes: int) -> bool:
        """Count bytes that the entry keeps for the run; False: it is over its bound, keep no more of them."""

    def finish(self, ending: Ending) -> None:
        """End the run; never raises and never blocks."""


class Driving(Protocol):
    """What a replay lends to `Entry.drive`: its loop, its lane, its virtual clock."""

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end in the run's root lane, on the loop that the app was booted on."""

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in the run's root lane."""

    async def until(self, offset_ns: int) -> None:
        """Wait until the run's virtual clock has reached an offset."""

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Any:
        """Start a task on the loop that outlives the items (a lifespan)."""


class Entry(ABC):
    """One way of starting a run. Stateless; the targets are held by the registry of entries.

    Attributes:
        kind: written into bundles, e.g. `asgi`; never change it.
    """

    kind: ClassVar[str]

    @abstractmethod
    def recognises(self, target: Any) -> bool:
        """Whether this file knows how to wrap the object."""

    @abstractmethod
    def wrap(self, target: Any, name: str) -> Any:
        """The object to use in place of the target, which opens a run for each invocation."""

    @abstractmethod
    def drive(self, target: Any, recorded_input: Value, driving: Driving) -> Value:
        """Invoke the wrapped target as recorded and return the outcome, in the form that `Ending.dump` gives."""

    def boot(self, target: Any, driving: Driving) -> Callable[[], None]:
        """Start what the entry needs once per process (a lifespan).

        Returns:
            A function that shuts it down.
        """
        del target, driving
        return lambda: None


@dataclass(frozen=True, slots=True)
class RegisteredEntry:
    """An entry's name and the wrapped object behind it."""

    name: str
    entry: Entry
    target: Any


_registered: dict[str, RegisteredEntry] = {}
_opener: Callable[[str, Entry], OpenRun | None] | None = None
_flusher: Callable[[], object] | None = None


def register(name: str, entry: Entry, target: Any) -> None:
    """Make a wrapped object drivable by name. The same name for another kind of entry is refused.

    Raises:
        SettingsError: the name is taken by an entry of another kind.
    """
    taken = _registered.get(name)
    if taken is not None and taken.entry.kind != entry.kind:
        raise SettingsError(
            f"the entry name {name!r} is taken",
            why=f"it is already registered as {taken.entry.kind}, and now as {entry.kind}",
            next_step="give one of them another name",
        )
    _registered[name] = RegisteredEntry(name, entry, target)


def registered() -> tuple[RegisteredEntry, ...]:
    """All registered entries, in the order of registration."""
    return tuple(_registered.values())


def registered_entry(name: str) -> RegisteredEntry:
    """The entry of that name.

    Raises:
        EntryNotFound: nothing registered it in this process.
    """
    try:
        return _registered[name]
    except KeyError:
        known = ", ".join(sorted(_registered)) or "none"
        raise EntryNotFound(
            f"entry {name!r} is not registered",
            why=f"the imported modules registered: {known}",
            next_step="name the module that calls fluxrun.instrument or fluxrun.capture in [tool.fluxrun] modules",
        ) from None


def set_opener(
    opener: Callable[[str, Entry], OpenRun | None] | None, flusher: Callable[[], object] | None = None
) -> None:
    """Say who records runs; None: nobody. `recording` calls this at `init`.

    Args:
        flusher: waits, for a bounded time, until what was recorded is stored.
    """
    global _opener, _flusher
    _opener, _flusher = opener, flusher


def flush_runs() -> None:
    """Wait until what was recorded is stored, where anything records; for entries that learn of their process's end."""
    if _flusher is not None:
        _flusher()


def open_run(name: str, entry: Entry) -> OpenRun | None:
    """A new run for an invocation, or None: nobody records, a replay is on, or the code is part of a run under way.

    What outlives its run (a worker thread that a request started) is part of it no more.
    """
    if _opener is None:
        return None
    lane = current_lane()
    if lane is not None and (lane.session.clock is not None or not (lane.session.preamble or lane.session.closed)):
        return None
    return _opener(name, entry)
