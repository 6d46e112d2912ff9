"""The contract between a library's boundary file, its kind, and the session that records or replays.

Third parties subclass Boundary (and Kind, where none fits) and prove it with `pytest_fluxrun.testing.boundary`.
No library is imported here, and boundary code never asks which session it talks to.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pytest_fluxrun.context import Clock, Lane
from pytest_fluxrun.patching import Patch
from pytest_fluxrun.values import Value, dump_error, load_error

__all__ = ["Boundary", "Call", "Difference", "Kind", "Patch", "Registered", "Request", "Seams", "Session"]

R = TypeVar("R")
Request = Mapping[str, Any]
"""A call in its kind's form, of plain Python values that `values.encode` takes: what is stored, compared and shown."""


@dataclass(slots=True, eq=False)
class Call:
    """What the program asked of a boundary.

    Args:
        request: the kind's form of the call, or a function that makes it: recording keeps the function and calls it
            later, off the request's thread, so it must hold references to immutable things only.
        otherwise: answers the call at replay where the recording has none: for what is local to the library (opening a
            connection object, a PRAGMA). Never for what touches the outside.
        annotation: the live code's type of the answer, for values that need it to be rebuilt.
        prepare: awaited before `form` by a session that answers from a recording: reads what the request's form needs
            and only a coroutine can give (an async body). A session that calls live leaves it alone.
    """

    request: Request | Callable[[], Request]
    otherwise: Callable[[], Any] | None = None
    annotation: Any = Any
    prepare: Callable[[], Awaitable[None]] | None = None

    def form(self) -> Request:
        """The request in its kind's form, made on first use."""
        if callable(self.request):
            self.request = self.request()
        return self.request


@dataclass(frozen=True, slots=True)
class Difference:
    """One place at which an asked call differs from a recorded one. Paths use the grammar of guard files."""

    path: str
    recorded: Any
    asked: Any


class Kind(ABC):
    """What boundaries of one sort have in common. Calls match by kind, whatever the library. Stateless."""

    name: ClassVar[str]

    @abstractmethod
    def canonical(self, request: Request) -> str:
        """The call as text, equal exactly for calls that may get each other's answer; volatile parts folded."""

    @abstractmethod
    def operation(self, request: Request) -> str:
        """The call without its arguments: two calls of one operation may be the same effect with other values."""

    @abstractmethod
    def is_effect(self, request: Request) -> bool:
        """Whether the call changes the outside."""

    @abstractmethod
    def differences(self, recorded: Request, asked: Request) -> list[Difference]:
        """Where two requests differ, in the order that a reader would look."""

    @abstractmethod
    def text(self, request: Request) -> str:
        """The call on one line, for people: `POST https://pay.example/charge {"amount": 1200}`."""

    def named_values(self, request: Request, answer: Any) -> Iterable[tuple[str, Any]]:
        """(name, value) pairs that redaction judges by name: headers, cookies, JSON keys, bind parameters.

        Args:
            request: the request's form, decoded.
            answer: the answer's stored value, or None.
        """
        del request, answer
        return ()


class Seams(ABC):
    """A file that routes a library: what to patch once its module is loaded.

    Attributes:
        modules: import names whose loading triggers `patches`, e.g. ("httpx",).
    """

    name: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]

    @abstractmethod
    def patches(self, module: Any) -> Iterable[Patch]:
        """The seams in a module of `modules`, just loaded."""


class Boundary(Seams, Generic[R]):
    """One library's way to the outside, both directions in one file.

    Attributes:
        name: written into bundles; never change it.
        kind: how calls are compared and shown.
        schema: raise it when `dump` changes; `load` reads every older one, for ever.
        snapshot: dump the answer at the crossing, on the caller's thread: for answers that the app may mutate.
    """

    kind: ClassVar[Kind]
    schema: ClassVar[int] = 1
    snapshot: ClassVar[bool] = False

    @abstractmethod
    def dump(self, result: R) -> Value:
        """Recording side: a live result as a Value. Called after the run, on the writer's thread, unless `snapshot`."""

    @abstractmethod
    def load(self, value: Value, call: Call) -> R:
        """Replaying side: the result that `dump` saw, rebuilt for this call."""

    def weigh(self, result: R) -> int:
        """Recording side: about how many bytes a live result keeps in memory until it is dumped."""
        del result
        return 0

    def dump_error(self, error: BaseException) -> Value:
        """Recording side: an error that the library raised."""
        return dump_error(error)

    def settling_ns(self, value: Value) -> int:
        """Replaying side: how long after the call's end a recorded answer was whole, where that belongs to the call.

        For an answer whose body came right behind its head: calls that are under way at once end in the order in which
        their answers were whole. Zero for one that the app reads as a stream.
        """
        del value
        return 0

    def load_error(self, value: Value, call: Call) -> BaseException:
        """Replaying side: an error of the same type, message and attributes, to be raised."""
        del call
        return load_error(value)


class Session(Protocol):
    """Recorder or Replayer: what a boundary talks to."""

    clock: Clock | None
    preamble: bool
    closed: bool

    def ambient_for(self, lane: Lane) -> Any:
        """See `context.LaneOwner`."""

    def call(self, boundary: Boundary[R], call: Call, live: Callable[[], R]) -> R:
        """Cross the boundary: the live call's result, recorded; or the recorded one."""

    async def acall(self, boundary: Boundary[R], call: Call, live: Callable[[], Awaitable[R]]) -> R:
        """`call` for awaitables."""

    def read(self, source: str, key: str, live: Callable[[], Any]) -> Any:
        """An ambient read with an encodable value: an environment variable, a verification.

        Recording keeps every value in order per (source, key); replaying serves them in order, then the last one again;
        where nothing was recorded for the key, `live` answers (environment of a name that was never read).
        """

    def log(self, entry: Mapping[str, Any]) -> None:
        """A log record that the app emitted, as plain values."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A boundary in the registry, with where it came from: `built-in` or a distribution's name."""

    boundary: Seams
    origin: str = field(default="built-in")
