"""The contract between a library's boundary file, its kind, and the session that records or replays.

Third parties subclass Boundary (and Kind, where none fits) and prove it with `pytest_fluxrun.testing.boundary`.
No library is imported here, and boundary code never asks which session it talks to.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from pytest_fluxrun.context import Clock, Lane, crossing
from pytest_fluxrun.errors import GuardError
from pytest_fluxrun.patching import Patch
from pytest_fluxrun.values import Value, dump_error, load_error

__all__ = [
    "DERIVATION",
    "VERIFICATION_PREFIX",
    "Boundary",
    "Call",
    "Difference",
    "Kind",
    "Patch",
    "Pending",
    "Picks",
    "Registered",
    "Request",
    "Seams",
    "Session",
]

R = TypeVar("R")
Request = Mapping[str, Any]
"""A call in its kind's form, of plain Python values that `values.encode` takes: what is stored, compared and shown."""


Picks = tuple[tuple[int | str, str | None], ...]
"""The columns of an answer that make another one's: each by position or name, and its new name, None where it stays."""

DERIVATION: Final = "derived"
"""The ambient function that a replay is told of: (material, digest) of a keyed or password hash, no read at all."""

VERIFICATION_PREFIX: Final = "verify:"
"""Ambient functions so named say whether a secret is right; served at replay where an operand is a redaction token."""


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
        started_ns: when the call began, on `ambient.monotonic_ns`, where that was before it crosses: a library that
            works in steps (connect, send, receive) crosses in the step that tells the result.

    Attributes:
        found: what an answering session has found for this call and keeps for it; see `Session.foresee`.
    """

    request: Request | Callable[[], Request]
    otherwise: Callable[[], Any] | None = None
    annotation: Any = Any
    prepare: Callable[[], Awaitable[None]] | None = None
    started_ns: int | None = None
    found: Any = field(default=None, init=False)

    def form(self) -> Request:
        """The request in its kind's form, made on first use."""
        if callable(self.request):
            self.request = self.request()
        return self.request


@dataclass(frozen=True, slots=True)
class Difference:
    """One place at which an asked call differs from a recorded one. Paths use the grammar of guard files.

    Args:
        name: what people call the place: `orders.total` of a bind; "" where the path says it.
    """

    path: str
    recorded: Any
    asked: Any
    name: str = ""


class Kind(ABC):
    """What boundaries of one sort have in common. Calls match by kind, whatever the library. Stateless."""

    name: ClassVar[str]

    @abstractmethod
    def canonical(self, request: Request) -> str:
        """The call as text, equal exactly for calls that may get each other's answer; volatile parts folded."""

    @abstractmethod
    def operation(self, request: Request) -> str:
        """The call without its arguments: two calls of one operation may be the same effect with other values."""

    def shape(self, request: Request) -> str:
        """The call with nothing in it that could be a value or a secret: what is said of calls that no run holds."""
        return self.operation(request)

    @abstractmethod
    def is_effect(self, request: Request) -> bool:
        """Whether the call changes the outside."""

    def may_repeat(self, request: Request) -> bool:
        """Whether the same read, made again, may get the last answer again: not where each answer is used up."""
        del request
        return True

    def is_upkeep(self, request: Request) -> bool:
        """Whether the call neither asks nor changes anything: a connection's ping, the end of what came to nothing."""
        del request
        return False

    def family(self, request: Request) -> str:
        """Calls that do about the same: one that nothing answers is compared with its family's, as `fit` and people do.

        At least as coarse as `operation`.
        """
        return self.operation(request)

    def fit(self, recorded: Request, asked: Request) -> Picks | None:
        """Whether the recorded call asks the same in other words; asked only where no canonical text is equal.

        Returns:
            () where its answer is the asked call's as it stands, else what to pick of it; None where it isn't.
        """
        del recorded, asked
        return None

    def lacking(self, recorded: Request, asked: Request) -> str:
        """What the asked call wants that the recorded one didn't, as a clause for people; "" where the paths say it."""
        del recorded, asked
        return ""

    @abstractmethod
    def differences(self, recorded: Request, asked: Request) -> list[Difference]:
        """Where two requests differ, in the order that a reader would look."""

    @abstractmethod
    def text(self, request: Request) -> str:
        """The call on one line, for people: `POST https://pay.example/charge {"amount": 1200}`."""

    def lasting(self, answer: Value) -> Value:
        """What of a stored answer a program may keep: without times, and ids of the exchange itself.

        Two processes that got equal ones at their start count as started alike.
        """
        return answer

    def address(self, request: Request) -> str:
        """Where the call goes, as the setting `telemetry` lists it: a URL without its query; "" where there is none."""
        del request
        return ""

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
        distribution: on PyPI, of a library on whose insides the seams depend: a database's driver. "" for all others.
        tested: the oldest and the newest version of it that the seams' tests ran with; what lies outside is announced.
    """

    name: ClassVar[str]
    modules: ClassVar[tuple[str, ...]]
    distribution: ClassVar[str] = ""
    tested: ClassVar[tuple[str, str]] = ("", "")

    @abstractmethod
    def patches(self, module: Any) -> Iterable[Patch]:
        """The seams in a module of `modules`, just loaded."""

    def replay_patches(self, module: Any) -> Iterable[Patch]:
        """Further seams in it that only a process which replays needs: no recording pays for them."""
        del module
        return ()

    def unrecordable(self) -> str:
        """Why runs that are recorded in this process as the library now is in it can't be faithful, or ""."""
        return ""

    def unreplayable(self) -> str:
        """Why no run can be replayed faithfully in this process as the library now is in it, or "". Asked often."""
        return ""


class Uncovered(Seams):
    """A library whose calls no boundary can record: a run that makes one is unready, and a replay refuses it by name.

    Attributes:
        name: the library as its users call it.
        instead: what to use in its place, as a clause: "call it through fluxrun.host".
    """

    instead: ClassVar[str]

    def refuse(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`original`, a method through which every call of the library goes, refused inside a run."""

        @functools.wraps(original)
        def refused(*args: Any, **kwargs: Any) -> Any:
            session = crossing()
            if session is not None:
                session.uncovered(self)
            return original(*args, **kwargs)

        return refused


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

    def project(self, value: Value, picks: Picks) -> Value:
        """Replaying side: the stored answer that holds only these columns of another one; None where that can't be."""
        del value, picks
        return None

    def ask(self, request: Request, environment: Mapping[str, Any]) -> Value:
        """Outside of every replay: make a read of a development environment, for `fluxrun extend`.

        Args:
            request: the request's form, a read.
            environment: the table `[tool.fluxrun.live.NAME]`.

        Returns:
            The stored answer. None, the default: calls of this boundary can't be made anew.

        Raises:
            SettingsError: the table doesn't say where to ask.
            Exception: what the library raises where the environment can't answer.
        """
        del request, environment
        return None

    def answer(self, request: Request, reply: Mapping[str, Any]) -> Value:
        """Replaying side: the stored answer to a call that a guard answers in words.

        Args:
            reply: as the guard's table says it; its keys are the boundary's affair.

        Raises:
            GuardError: the reply isn't one that this library's calls have.
        """
        del request, reply
        raise GuardError(
            f"a guard can't answer calls of {self.name}",
            why="its boundary has no form for an answer in words",
            next_step="take that table out of [[answers]]",
        )

    def sketch(self, request: Request, number: int) -> Mapping[str, Any] | None:
        """A reply to an effect that `answer` takes, made up, for a person to review; None: only a person can say.

        Args:
            number: how many were made up before, so that two aren't the same.
        """
        del request, number
        return None

    def sketch_there(self, request: Request, number: int, environment: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """`sketch` with what only the outside can say of it: asked of a development environment, by reads alone.

        Args:
            environment: the table `[tool.fluxrun.live.NAME]`.

        Returns:
            The reply. None, the default: nothing is asked, and `sketch` makes one up.

        Raises:
            Exception: what the library raises where the environment can't answer.
        """
        del request, number, environment
        return None

    def unsent(self, call: Call) -> Value:
        """Replaying side: the stored answer that a call gets which is telemetry by setting, and so isn't made.

        None, the default: calls of this boundary can't be dropped, the setting doesn't concern them.
        """
        del call
        return None

    def load_error(self, value: Value, call: Call) -> BaseException:
        """Replaying side: an error of the same type, message and attributes, to be raised."""
        del call
        return load_error(value)


class Pending(Protocol):
    """A call that a boundary makes itself between `Session.begin` and one of these two, on the same lane."""

    def end(self, result: Any) -> None:
        """It was answered."""

    def fail(self, error: BaseException) -> None:
        """It raised, or what waited for it was thrown away."""


class Session(Protocol):
    """Recorder or Replayer: what a boundary talks to.

    Attributes:
        answers: calls are answered from a recording. A boundary asks only where its library works in steps, of which
            the earlier ones (connect, send) must then not reach the outside, and calls `foresee` in them.
    """

    clock: Clock | None
    preamble: bool
    closed: bool
    answers: bool

    def ambient_for(self, lane: Lane) -> Any:
        """See `context.LaneOwner`."""

    def call(self, boundary: Boundary[R], call: Call, live: Callable[[], R]) -> R:
        """Cross the boundary: the live call's result, recorded; or the recorded one."""

    async def acall(self, boundary: Boundary[R], call: Call, live: Callable[[], Awaitable[R]]) -> R:
        """`call` for awaitables."""

    def begin(self, boundary: Boundary[Any], call: Call) -> Pending:
        """Only where the session doesn't answer: `call` in two halves, for a seam that can't afford a function between.

        What runs until the call ends or fails, which it must whatever happens, is beneath it.
        """

    def foresee(self, boundary: Boundary[Any], call: Call) -> Value | None:
        """Only where the session answers: find what will answer a call, and keep it for `call` with the same object.

        Returns:
            The recorded error, for a step that must raise it before the one in which the call crosses; None where the
            call has an answer, or where nothing is recorded for one that has `otherwise`.

        Raises:
            UnrecordedCall: nothing answers it.
        """

    def uncovered(self, library: Uncovered) -> None:
        """A library that no boundary covers is about to make a call: noted where it will be made, else refused.

        Raises:
            UnrecordedCall: calls are answered from a recording.
        """

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
