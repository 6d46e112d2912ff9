"""The contract of an entry file: one way of starting a run, `wrap` (recording) and `drive` (replaying) together.

Entries ask `open_run` for a run and never learn who records. What is registered here by name is all that a bundle may
name: no import path is ever resolved from one.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, TypeVar
from weakref import WeakKeyDictionary

from pytest_fluxrun.context import Lane, LaneOwner, current_lane
from pytest_fluxrun.errors import EntryNotFound, SettingsError
from pytest_fluxrun.places import app_frames
from pytest_fluxrun.values import Value, dump_error, encode

__all__ = [
    "Driving",
    "Ending",
    "Entry",
    "Noted",
    "OpenRun",
    "RegisteredEntry",
    "dump_raised",
    "end_start_up",
    "flush_runs",
    "note_error",
    "note_route",
    "note_task",
    "noted",
    "observing_raised",
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
        trace: gives the ids of `trace.TRACE_FIELDS` that what invoked the run carried; called on the writer's thread.
    """

    dump: Callable[[], tuple[Value, Value]]
    status: int | None = None
    error: BaseException | None = None
    disconnected: bool = False
    cut_short: bool = False
    timed_out: bool = False
    route: str = ""
    trace: Callable[[], Mapping[str, str]] = dict


def dump_raised(error: BaseException) -> Value:
    """An error as an outcome holds it: dumped, and with the app's `frames`, by which runs of one issue are told."""
    dumped = dump_error(error)
    assert isinstance(dumped, dict)
    if _raised_observer is not None:
        _raised_observer(error)
    return {**dumped, "frames": encode(app_frames(error))}


@contextmanager
def observing_raised(observer: Callable[[BaseException], object]) -> Iterator[None]:
    """In the block, show an observer each error that comes out of an entry, with its traceback: for debuggers."""
    global _raised_observer  # noqa: PLW0603 - one debugger at a time, and no entry knows of it
    before, _raised_observer = _raised_observer, observer
    try:
        yield
    finally:
        _raised_observer = before


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

    def call(self, function: Callable[[], T], *, interruption: tuple[int, BaseException] | None = None) -> T:
        """Call a function in the run's root lane.

        Args:
            interruption: an offset and an error that is raised there out of what the function waits for: a server's
                signal handler gave up on it. A function that has returned by then isn't interrupted.
        """

    async def until(self, offset_ns: int) -> None:
        """Wait until the run's virtual clock has reached an offset."""

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Any:
        """Start a task on the loop that outlives the items (a lifespan)."""

    def lacks(self, asked: str) -> Exception:
        """Say that the program asks its entry for what the run doesn't hold; latched like any unrecorded call.

        Args:
            asked: what, on one line.

        Returns:
            The error to raise.
        """


class Entry(ABC):
    """One way of starting a run. Stateless; the targets are held by the registry of entries.

    Attributes:
        kind: written into bundles, e.g. `asgi`; never change it.
        takes: what it recognises, for people: `an ASGI application (FastAPI, …)`; "" for what only a decorator names.
    """

    kind: ClassVar[str]
    takes: ClassVar[str] = ""

    @abstractmethod
    def recognises(self, target: Any) -> bool:
        """Whether this file knows how to wrap the object."""

    @abstractmethod
    def wrap(self, target: Any, name: str) -> Any:
        """The object to use in place of the target, which opens a run for each invocation."""

    @abstractmethod
    def drive(self, target: Any, recorded_input: Value, driving: Driving) -> Value:
        """Invoke the wrapped target as recorded and return the outcome, in the form that `Ending.dump` gives."""

    def default_name(self, target: Any, project: str) -> str:
        """What `instrument` registers a target under that was given no name."""
        del target
        return project

    def names(self, target: Any) -> Collection[str]:
        """Further names under which a target's runs are kept: one for each task that an app of tasks has registered."""
        del target
        return ()

    def describe(self, target: Any) -> str:
        """What a recognised object is, for people, on one line with its article: `a FastAPI application (ASGI)`."""
        made_by = target.__class__  # not `type`: a wrapped object says what it wraps
        return f"an object of {made_by.__module__}.{made_by.__qualname__} ({self.kind})"

    def hint(self, target: Any) -> str:
        """What to pass instead of an object that isn't recognised, where it is nearly one of this file's; else ""."""
        del target
        return ""

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
    gives_way: bool = False


_registered: dict[str, RegisteredEntry] = {}
_opener: Callable[[str, Entry], OpenRun | None] | None = None
_flusher: Callable[[], object] | None = None
_start_up_ender: Callable[[], object] | None = None
_raised_observer: Callable[[BaseException], object] | None = None


def register(name: str, entry: Entry, target: Any, *, gives_way: bool = False) -> None:
    """Make a wrapped object drivable by name. The same name for another kind of entry is refused.

    Args:
        gives_way: one that another kind registers under the name counts in its place, whichever comes first: for what
            registers itself, beneath what the user instruments.

    Raises:
        SettingsError: the name is taken by an entry of another kind.
    """
    taken = _registered.get(name)
    if taken is not None and taken.entry.kind != entry.kind and not taken.gives_way:
        if gives_way:
            return
        raise SettingsError(
            f"the entry name {name!r} is taken",
            why=f"it is already registered as {taken.entry.kind}, and now as {entry.kind}",
            next_step="give one of them another name",
        )
    _registered[name] = RegisteredEntry(name, entry, target, gives_way)


def registered() -> tuple[RegisteredEntry, ...]:
    """All registered entries, in the order of registration."""
    return tuple(_registered.values())


def registered_entry(name: str, kind: str = "") -> RegisteredEntry:
    """The entry of that name: one registered under it, else one whose target has it among its own names.

    Args:
        kind: the kind that it should be of, where two may share the name; one of another kind is the last resort.

    Raises:
        EntryNotFound: nothing registered it in this process.
    """
    own = _registered.get(name)
    if own is not None and kind in ("", own.entry.kind):
        return own
    for each in _registered.values():
        if kind in ("", each.entry.kind) and name in each.entry.names(each.target):
            return RegisteredEntry(name, each.entry, each.target)
    if own is not None:
        return own
    known = ", ".join(sorted(_all_names())) or "none"
    raise EntryNotFound(
        f"entry {name!r} is not registered",
        why=f"the imported modules registered: {known}",
        next_step="name the module that calls fluxrun.instrument or fluxrun.capture in [tool.fluxrun] modules",
    )


def _all_names() -> set[str]:
    return {name for each in _registered.values() for name in (each.name, *each.entry.names(each.target))}


def set_opener(
    opener: Callable[[str, Entry], OpenRun | None] | None,
    flusher: Callable[[], object] | None = None,
    *,
    start_up_ender: Callable[[], object] | None = None,
) -> None:
    """Say who records runs; None: nobody. `recording` calls this at `init`.

    Args:
        flusher: waits, for a bounded time, until what was recorded is stored.
        start_up_ender: ends the preamble, if no run has yet.
    """
    global _opener, _flusher, _start_up_ender
    _opener, _flusher, _start_up_ender = opener, flusher, start_up_ender


def flush_runs() -> None:
    """Wait until what was recorded is stored, where anything records; for entries that learn of their process's end."""
    if _flusher is not None:
        _flusher()


def end_start_up() -> None:
    """Say that the process is up: for entries of workers, which may wait for their first task for days.

    What such a worker does meanwhile is no preamble of its runs, and would grow without end.
    """
    if _start_up_ender is not None:
        _start_up_ender()


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


# -- what a framework tells of the run under way


@dataclass(slots=True)
class Noted:
    """What only the framework that serves a request knows of it."""

    route: str = ""
    error: BaseException | None = None
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)


_noted: Final[WeakKeyDictionary[LaneOwner, Noted]] = WeakKeyDictionary()


def note_route(template: str) -> None:
    """Say which route the request under way has taken, e.g. `/orders/{id}`; the first one counts."""
    told = _of_current_run()
    if told is not None and not told.route:
        told.route = template


def note_error(error: BaseException) -> None:
    """Say that the framework makes an answer of an error that the application didn't handle; the last one counts."""
    told = _of_current_run()
    if told is not None:
        told.error = error


def note_task(task: asyncio.Task[Any]) -> None:
    """Say that the framework does a part of the request in a task that outlives it: the run waits for it."""
    told = _of_current_run()
    if told is not None:
        told.tasks.append(task)


def noted(lane: Lane | None) -> Noted:
    """What was said during the run of a lane."""
    return Noted() if lane is None else _noted.get(lane.session) or Noted()


def _of_current_run() -> Noted | None:
    lane = current_lane()
    if lane is None or lane.session.preamble or lane.session.closed:
        return None
    return _noted.setdefault(lane.session, Noted())
