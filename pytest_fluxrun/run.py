"""A run as data, and its JSON form: reading and writing share this file. No I/O.

Every `Value` here is the tagged JSON of `values`; offsets are nanoseconds since the recording began, monotonic.
"""

from __future__ import annotations

import functools
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError

from pytest_fluxrun.errors import DamagedBundle, UnsupportedVersion
from pytest_fluxrun.values import Value

__all__ = ["HandAnswer", "Interaction", "LaneSpec", "Orphan", "Read", "Readiness", "Recording", "Run", "Segment"]

SCHEMA = 1

T = TypeVar("T")
_EARLIER: Final = b',"earlier":{'
_AFTER_EARLIER: Final = b',"supplement":[],"answers":[]}'
"""How each payload ends: a bundle's own run has neither."""


@dataclass(frozen=True, slots=True)
class LaneSpec:
    """A lane that made a call or read the clock.

    Args:
        path: ((name, ordinal), ...) from the root lane, which is ().
        position: spawn positions from the root, whatever the names.
    """

    path: tuple[tuple[str, int], ...]
    position: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Interaction:
    """A call plus its answer or error. Exactly one of `answer` and `error` counts, told by `failed`.

    Args:
        lane: index into `Recording.lanes`.
        schema: the boundary's schema when it was dumped.
        effect: whether its kind judged that it changes the outside.
        label: what the program calls what it talked to, e.g. the alias of a Django database; for people, never matched.
    """

    boundary: str
    kind: str
    schema: int
    lane: int
    started_ns: int
    ended_ns: int
    request: Value
    answer: Value = None
    error: Value = None
    failed: bool = False
    effect: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """The clock or entropy reads of one place within a segment, in order: a request may draw 90,000 numbers.

    Args:
        function: e.g. `time.time`, `datetime.now`, `os.urandom`, `random.random`.
        where: `qualname|source fragment|source line` of the reading code; survives moved lines.
        values: a column (see `columns`) of what was read, clocks in the stored form of `instants`.
        order: for clocks, a column of the reads' ranks among all clock reads of the segment; None for entropy.
    """

    function: str
    where: str
    values: Value
    order: Value = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Reads of one lane between two of its crossings.

    Args:
        after: index of the interaction that the segment follows, -1 at the lane's start.
    """

    lane: int
    after: int
    reads: tuple[Read, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """What the outside gave, for a run or for a preamble.

    Args:
        wall_ns: Unix time at offset 0.
        mono_ns: the monotonic clock at offset 0; perf_counter likewise in `perf_ns`.
        reads: per source (`environment`, `derived`, `cache`, `dns`), per key, the values in order.
    """

    wall_ns: int
    mono_ns: int
    perf_ns: int
    duration_ns: int
    lanes: tuple[LaneSpec, ...] = ()
    interactions: tuple[Interaction, ...] = ()
    segments: tuple[Segment, ...] = ()
    reads: dict[str, dict[str, list[Value]]] = field(default_factory=dict)
    logs: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Orphan:
    """Calls of the process that reached no run: their shape and where they came from, never a value.

    Args:
        boundary: its name; "" for what is counted beyond the number of kinds that are told apart.
        call: the kind's shape of it.
        thread: the thread's name, digits as `N`.
        place: `file:line` of the nearest code of the app, or "".
        why: `no-run`, `run-over` (the run that it belonged to had ended) or `start-up-over`.
    """

    boundary: str
    call: str
    thread: str
    place: str
    why: str
    count: int


@dataclass(frozen=True, slots=True)
class HandAnswer:
    """An answer in words, by a person.

    Args:
        call: `boundary operation`, with `*` for anything.
        reply: in the boundary's own keys.
        once: it answers one call; without, the last of several answers again and again.
    """

    call: str
    reply: dict[str, Any]
    once: bool = False


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a run can be replayed faithfully: `recorded`, or `unready` with a code for each thing in the way.

    Args:
        notes: what may stand in the way and needn't: `untested-version: psycopg 3.9 (tested with 3.1.8 to 3.3.2)`.
    """

    state: str = "recorded"
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One captured execution of an entry, from input to outcome.

    Args:
        id: UUIDv7 in Crockford base32, 26 characters.
        entry: the registered name; `entry_kind` is the entry file that drives it (`asgi`, `function`).
        input: what invoked it, in the entry's form.
        outcome: what came of it, in the entry's form.
        tokens: redaction tokens that stand in this run for secrets.
        versions: distribution → version of what was loaded, plus `python` and `release`.
        orphans: the process's calls that reached no run since the run before that was kept.
        earlier: what earlier runs of the same process had read, for code that asks again because its caches are cold.
        supplement: reads that fixed code makes and the run lacks, sealed beside it later; never in its own bundle.
        answers: what the run's guard says of calls that the run lacks; never in its own bundle.
        process: the same for the runs that share a preamble: random, drawn once per process; "" where it isn't known.
    """

    id: str
    project: str
    entry: str
    entry_kind: str
    input: Value
    outcome: Value
    recording: Recording
    preamble: Recording | None = None
    readiness: Readiness = Readiness()
    tokens: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    orphans: tuple[Orphan, ...] = ()
    schema: int = SCHEMA
    process: str = ""
    earlier: Recording | None = None
    supplement: tuple[Interaction, ...] = ()
    answers: tuple[HandAnswer, ...] = ()

    def to_payload(self) -> bytes:
        """The JSON that a bundle's body holds, UTF-8."""
        return orjson.dumps(self, default=_as_it_was)

    @classmethod
    def from_payload(cls, payload: bytes) -> Run:
        """Read what `to_payload` wrote, by this version or an older one.

        Raises:
            UnsupportedVersion: the payload was written by a newer FluxRun.
            DamagedBundle: it isn't a run.
        """
        document, earlier = _parsed(payload)
        if isinstance(document, dict) and isinstance(document.get("schema"), int) and document["schema"] > SCHEMA:
            raise UnsupportedVersion(
                f"the run has schema {document['schema']}",
                why=f"this FluxRun reads schemas up to {SCHEMA}",
                next_step="upgrade pytest-fluxrun here: `pip install -U pytest-fluxrun`",
            )
        run = _validated(_of_runs(), document)
        return run if earlier is None else replace(run, earlier=earlier)


class _Unread(Recording):
    """A recording as its JSON, which is read when somebody first asks for a field of it.

    What earlier runs had read is most of a payload, and replays that pass don't ask for it.

    Raises:
        DamagedBundle: on the first access, if the JSON isn't a recording.
    """

    __slots__ = ("json",)

    def __init__(self, json: bytes) -> None:
        _of_recordings()
        object.__setattr__(self, "json", json)

    def __getattr__(self, name: str) -> Any:
        """A field that isn't there yet: all are filled in."""
        if name not in Recording.__dataclass_fields__:
            raise AttributeError(name)
        recording = _validated(_of_recordings(), _loads(self.json))
        for field_name in Recording.__dataclass_fields__:
            object.__setattr__(self, field_name, getattr(recording, field_name))
        return getattr(recording, name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Recording):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Recording.__dataclass_fields__)

    __hash__ = Recording.__hash__


def _as_it_was(value: object) -> orjson.Fragment:
    """For orjson: what was never read is written as it was."""
    if isinstance(value, _Unread):
        return orjson.Fragment(value.json)
    raise TypeError


def _parsed(payload: bytes) -> tuple[Any, _Unread | None]:
    """The payload's JSON, and `earlier` unread where it could be left out; else it is in the JSON.

    The cut is right if what is left is JSON: a member of that name deeper within would leave a brace open.
    """
    start = payload.find(_EARLIER)
    if start >= 0 and payload.endswith(_AFTER_EARLIER):
        value = start + len(_EARLIER) - 1
        with suppress(DamagedBundle):
            return _loads(payload[:start] + _AFTER_EARLIER), _Unread(payload[value : -len(_AFTER_EARLIER)])
    return _loads(payload), None


def _loads(json: bytes) -> Any:
    try:
        return orjson.loads(json)
    except orjson.JSONDecodeError as error:
        raise DamagedBundle("the bundle's body isn't JSON", why=str(error)) from error


def _validated(adapter: TypeAdapter[T], document: Any) -> T:
    try:
        return adapter.validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DamagedBundle("the bundle's body isn't a run", why=f"{place}: {first['msg']}") from error


@functools.cache
def _of_runs() -> TypeAdapter[Run]:
    """Built on first use: it takes 20 ms, and a process that records reads no run."""
    return TypeAdapter(Run)


@functools.cache
def _of_recordings() -> TypeAdapter[Recording]:
    """Built when a run is opened, never in a replay: pydantic reads the environment for it, which a replay answers."""
    return TypeAdapter(Recording)
