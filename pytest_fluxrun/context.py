"""The one context variable: which lane of which session the running code belongs to.

Holds Lane and the functions that enter, leave and spawn lanes. The seams that carry a lane into threads, tasks and
executors are boundary files; this module patches nothing and imports no library.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token
from typing import Any, ParamSpec, Protocol, TypeVar

__all__ = [
    "APART",
    "LANE",
    "Clock",
    "Lane",
    "LaneOwner",
    "apart",
    "aside",
    "beneath",
    "by_server",
    "carried",
    "crossing",
    "current_lane",
    "entered",
    "name_of",
    "open_lane",
    "outside",
    "reading",
    "run_job",
    "set_outside",
    "virtual_clock",
    "within_context",
]


P = ParamSpec("P")
T = TypeVar("T")


class Clock(Protocol):
    """A run's virtual time, as seams see it. Recording has none: `LaneOwner.clock` is None and real time passes.

    All offsets are nanoseconds since the run began. Every method is safe to call from any thread. An actor is what the
    clock waits for: the driver, a thread of the run, a job that a pool has started.

    Attributes:
        over: the run has ended: real time passes again, also for what is left of the run.
    """

    over: bool

    def now_ns(self) -> int:
        """The current offset, without moving it."""

    def read(self) -> int:
        """The current offset for a program that asks what time it is: moves it a little, a busy poll ever faster."""

    def advance_to(self, offset_ns: int) -> None:
        """Move forward to an offset; never backward."""

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for a virtual duration; return as soon as nobody else could act before."""

    def park(self, lock: Any, timeout_s: float | None) -> bool:
        """Block on a held lock until it is released (True) or its virtual time has come (False)."""

    def begin(self, pool: object | None = None, *, workers: int = 0) -> None:
        """One more actor: a thread about to start, or a job just queued in a pool of so many workers."""

    def started(self, pool: object | None = None) -> None:
        """What `begin` announced now runs on this thread."""

    def adopt(self) -> bool:
        """Make this thread an actor. False: it is one already; else it says `left` and `end` when it is done."""

    def left(self) -> None:
        """The actor has no thread any more; it counts until `end`."""

    def end(self, pool: object | None = None) -> None:
        """An actor that had started is over."""

    def dropped(self, pool: object) -> None:
        """A job announced with `begin(pool)` will never start."""

    def new_event_loop(self) -> Any:
        """An asyncio event loop on this clock, for a thread of the run that makes its own."""


class LaneOwner(Protocol):
    """What a lane needs to know of its session. `boundary.Session` extends it."""

    clock: Clock | None
    preamble: bool
    closed: bool

    def ambient_for(self, lane: Lane) -> Any:
        """What `Lane.ambient` of a newly spawned lane is: a list, a callable, or None."""


class Lane:
    """A logical thread of execution inside a run: the entry itself, a task, a thread, a pool job.

    Attributes:
        session: the session that the lane belongs to.
        path: ((name, ordinal), ...) from the root; the ordinal counts spawns of that name under one parent, from 1.
        position: the same with the ordinal of the spawn under its parent whatever the name; it survives renaming.
        label: what a framework calls what its next calls are about (a Django database), for people; never matched.
        inside: what runs in it is beneath a crossing, part of its live call or answer, and isn't recorded again.
        made_within: `within`, once it was asked for.
        ambient: where clock and entropy reads go. None: real ones. A list: recording, each read is appended as
            (function, code, lasti, value), and each finished crossing as its int sequence number. A callable:
            replaying, asked as ambient(function, *arguments); NotImplemented makes it real.
    """

    __slots__ = (
        "_by_name",
        "_spawned",
        "ambient",
        "index",
        "inside",
        "label",
        "made_within",
        "parent",
        "path",
        "position",
        "session",
    )

    def __init__(
        self,
        session: LaneOwner,
        parent: Lane | None = None,
        name: str = "",
        numbers: tuple[int, int] | None = None,
    ) -> None:
        self.session = session
        self.parent = parent
        self.index = -1
        self.label = ""
        self._spawned = 0
        self._by_name: dict[str, int] = {}
        self.made_within: Lane | None = None
        if parent is None:
            self.path: tuple[tuple[str, int], ...] = ()
            self.position: tuple[int, ...] = ()
            self.inside = False
        else:
            ordinal, position = numbers or parent._number(name)  # noqa: SLF001 - of its own class
            self.path = (*parent.path, (name, ordinal))
            self.position = (*parent.position, position)
            self.inside = parent.inside
        self.ambient = None if self.inside else session.ambient_for(self)

    def spawn(self, name: str) -> Lane:
        """A child lane, numbered in the order of spawning. Call it where the task is created, not where it runs."""
        return Lane(self.session, self, name)

    @property
    def within(self) -> Lane:
        """The same lane as code beneath a crossing has it.

        It is a lane of its own and not a mark on this one, since other code of this lane may run meanwhile: a callback,
        or a thread that was given the context. Its children are numbered apart, for a replay makes none of them.
        """
        if self.made_within is None:
            self.made_within = _Within(self)
        return self.made_within

    def to_spawn(self, name: str, make: type[Lane] | None = None) -> Callable[[], Lane]:
        """Number a child now, and make it when it is needed: for work that is handed over and may never be done.

        Args:
            make: the child's class.
        """
        return functools.partial(make or Lane, self.session, self, name, self._number(name))

    def _number(self, name: str) -> tuple[int, int]:
        """The next child's ordinal among those of its name, and among all."""
        self._spawned += 1
        ordinal = self._by_name[name] = self._by_name.get(name, 0) + 1
        return ordinal, self._spawned

    def __repr__(self) -> str:
        return "/".join(f"{name}#{ordinal}" for name, ordinal in self.path) or "/"


class _Within(Lane):
    """See `Lane.within`."""

    __slots__ = ()

    def __init__(self, lane: Lane) -> None:
        self.session, self.parent, self.path, self.position = lane.session, lane, lane.path, lane.position
        self.index, self.inside, self.ambient, self.label = -1, True, None, lane.label
        self._spawned, self._by_name, self.made_within = 0, {}, self


LANE: ContextVar[Lane | None] = ContextVar("fluxrun_lane", default=None)
"""FluxRun's only context variable; the C extension reads it too."""


def current_lane() -> Lane | None:
    """The lane that the running code belongs to, or None outside every run."""
    return LANE.get()


def open_lane() -> Lane | None:
    """The lane to hand on to a new task, thread or job: the current one, or None outside every run that isn't over."""
    lane = LANE.get()
    return None if lane is None or lane.session.closed else lane


def virtual_clock() -> Clock | None:
    """The clock that the running code must wait on, or None: real time, because nothing is replayed here."""
    lane = LANE.get()
    if lane is None:
        return None
    clock = lane.session.clock
    return None if clock is None or clock.over else clock


def name_of(target: Any) -> str:
    """What a lane is named after: a function's or coroutine's qualname; of a partial, its function's."""
    while isinstance(target, functools.partial):
        target = target.func
    return getattr(target, "__qualname__", None) or type(target).__qualname__


class _Nobody:
    """The session of `APART`."""

    clock: Clock | None = None
    preamble = False
    closed = True

    def ambient_for(self, lane: Lane) -> Any:
        """Reads are real ones."""


APART: Lane = Lane(_Nobody())
"""What runs in this lane belongs to no run on purpose: nothing of it is recorded, served, or counted as lost."""
APART.inside = True

_outside: Any = None


def set_outside(session: Any) -> None:
    """Say which session sees the calls that no run sees; None: nobody. `recording` calls this at `init`."""
    global _outside  # noqa: PLW0603 - one for the process
    _outside = session


def crossing() -> Any:
    """The session that must see a call made now, or None: nobody records, or a crossing above already holds it.

    Returns:
        A `boundary.Session`, typed as Any because that contract lies in a layer above.
    """
    lane = LANE.get()
    if lane is None:
        return _outside
    return None if lane.inside else lane.session


def reading() -> Any:
    """The session of the run that reads or logs now, or None: no run, or a crossing holds it. See `crossing`."""
    lane = LANE.get()
    return None if lane is None or lane.inside else lane.session


@contextmanager
def apart() -> Iterator[None]:
    """Run the block in `APART`. A coroutine that is thrown away in the middle, anywhere, disturbs nobody there."""
    before = LANE.get()
    LANE.set(APART)
    try:
        yield
    finally:
        if LANE.get() is APART:
            LANE.set(before)


@contextmanager
def beneath() -> Iterator[None]:
    """Run the block as a part of a crossing that is made later: what it reads and calls isn't the run's."""
    lane = LANE.get()
    if lane is None or lane.inside:
        yield
        return
    LANE.set(lane.within)
    try:
        yield
    finally:
        if LANE.get() is lane.within:
            LANE.set(lane)


class entered:  # noqa: N801 - it reads as the functions beside it do
    """Run the block in a lane; the lane before is restored whatever happens. A generator would cost each run thrice."""

    __slots__ = ("_lane", "_token")
    _token: Token[Lane | None]

    def __init__(self, lane: Lane | None) -> None:
        self._lane = lane

    def __enter__(self) -> Lane | None:
        self._token = LANE.set(self._lane)
        return self._lane

    def __exit__(self, *_: object) -> None:
        LANE.reset(self._token)


def outside(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call what is a library's own affair and no part of the run (telemetry, a worker's bookkeeping): not at replay.

    Returns:
        What the function returns, or None where a run is replayed.
    """
    lane = LANE.get()
    if lane is None:
        return function(*args, **kwargs)
    if lane.session.clock is not None:
        return None
    token = LANE.set(None)
    try:
        return function(*args, **kwargs)
    finally:
        LANE.reset(token)


async def by_server(function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await a function that the program was given by its server: what that does is the server's, which isn't replayed.

    `boundaries.sleep` knows this coroutine's frame.
    """
    return await function(*args, **kwargs)


def aside(function: Callable[P, T]) -> Callable[P, T]:
    """`function`, which a worker calls for itself: in `APART`, unless a run is under way, of which it is part then."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        lane = LANE.get()
        if lane is not None and not (lane.session.preamble or lane.session.closed):
            return function(*args, **kwargs)
        with apart():
            return function(*args, **kwargs)

    return call


def carried(function: Callable[P, T], lane: Lane) -> Callable[P, T]:
    """`function`, run in `lane` wherever it is called. Carries nothing but FluxRun's own variable.

    A thread that isn't of the run counts as one of its actors for the length of the call.
    """

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        token = LANE.set(lane)
        clock = virtual_clock()
        adopted = clock is not None and clock.adopt()
        try:
            return function(*args, **kwargs)
        finally:
            if clock is not None and adopted:
                clock.left()
                clock.end()
            LANE.reset(token)

    return run


def run_job(function: Callable[..., T], *args: Any) -> T:
    """Call what a worker was handed. What a library draws in it that no code of the app called is attributed to here.

    So it is to `carried`; see `places`.
    """
    return function(*args)


def within_context(function: Any, args: tuple[Any, ...]) -> tuple[Any, Callable[[Lane], Callable[..., Any]]]:
    """What to name the lane of `function(*args)` after, and what makes the function to call instead, for a lane.

    Sees through `Context.run`, as asyncio.to_thread submits it: the lane must be set within that context, or the
    function would share the lane of the code whose context was copied, and miss what that lane is in the middle of.
    """
    is_partial = type(function) is functools.partial
    run, given, keywords = (function.func, function.args, function.keywords) if is_partial else (function, (), {})
    inner = (*given, *args)
    if not inner or not isinstance(getattr(run, "__self__", None), Context):
        return function, lambda _: function
    return inner[0], lambda lane: functools.partial(run, _in_lane, lane, *given, **keywords)


def _in_lane(lane: Lane, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with entered(lane):
        return function(*args, **kwargs)
