"""A finished Recorder to a Run: dump, bound, redact. Runs on the writer's thread; touches no store and no key."""

from __future__ import annotations

import functools
import os
import platform
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version

import orjson

from pytest_fluxrun import __version__
from pytest_fluxrun.config import Settings
from pytest_fluxrun.entry import Ending
from pytest_fluxrun.recording.earlier import EarlierReads
from pytest_fluxrun.recording.reads import overflowed, segments_of
from pytest_fluxrun.recording.recorder import Crossing, Recorder
from pytest_fluxrun.recording.redaction import redact_run
from pytest_fluxrun.registry import unrecordable, untested_versions
from pytest_fluxrun.run import Interaction, LaneSpec, Orphan, Readiness, Recording, Run
from pytest_fluxrun.telemetry import Addresses
from pytest_fluxrun.values import Value, encode_or_opaque, has_opaque

__all__ = ["Preamble", "dump_preamble", "dump_run", "over_bound", "read_by"]

UNFINISHED: Value = {"type": "unfinished", "args": [], "message": "the call was still under way when the run ended"}
_MOST_PREAMBLE_READS = 100_000
"""Of one lane: a thread that reads the clock until the first run mustn't fill the preamble."""
_VERSIONED = ("fastapi", "starlette", "httpx", "httpx2", "sqlalchemy", "aiosqlite", "pydantic", "anyio")


@dataclass(frozen=True, slots=True)
class Preamble:
    """What one process did before its first run.

    Args:
        process: random, the same for all runs that share it.
        over_bound: it was too large to be kept whole.
    """

    recording: Recording
    process: str
    over_bound: bool = False


def dump_run(
    recorder: Recorder,
    ending: Ending,
    preamble: Preamble | None,
    settings: Settings,
    run_id: str,
    *,
    earlier: EarlierReads | None = None,
    orphans: tuple[Orphan, ...] = (),
) -> Run:
    """The whole run, redacted; its reads become earlier ones for the runs that follow.

    Raises:
        RedactionFailed: the payload must not be stored.
    """
    recorded_input, outcome = ending.dump()
    recording, reasons = _recording(recorder, settings.telemetry)
    if has_opaque(recorded_input):
        reasons.append("opaque:input")
    if has_opaque(outcome):
        reasons.append("opaque:outcome")
    if recorder.over_bound or any(overflowed(reads) for _, reads in recorder.lanes):
        reasons.append("over-bound")
    reasons += (f"unsupported:{name}" for name in unrecordable())
    if preamble is not None and preamble.over_bound:
        reasons.append("preamble-over-bound")
    run = Run(
        id=run_id,
        project=settings.project,
        entry=recorder.entry,
        entry_kind=recorder.entry_kind,
        input=recorded_input,
        outcome=outcome,
        recording=recording,
        preamble=None if preamble is None else preamble.recording,
        process="" if preamble is None else preamble.process,
        readiness=_readiness(reasons, _notes(recording)),
        versions=_versions(settings),
        orphans=orphans,
        earlier=None if earlier is None else earlier.recording(),
    )
    if earlier is not None:
        earlier.add(recording)
    return redact_run(run, deny=settings.deny, allow=settings.allow)


def read_by(recorder: Recorder, settings: Settings) -> Recording:
    """The recording of a run that isn't kept for itself."""
    return _recording(recorder, settings.telemetry)[0]


def over_bound(run: Run) -> Run:
    """The run without what made it too large, unready."""
    bare = replace(run.recording, interactions=(), segments=(), logs=())
    reasons = (*run.readiness.reasons, "over-bound")
    return replace(run, recording=bare, preamble=None, earlier=None, readiness=_readiness(reasons, run.readiness.notes))


def dump_preamble(recorder: Recorder, *, max_bytes: int = 4 << 20, telemetry: Iterable[str] = ()) -> Preamble:
    """What the process did before its first run. Redacted later, with the run that carries it.

    A call that can't be kept isn't there: a start-up that makes it again says so by name.

    Args:
        max_bytes: of its JSON; a larger one keeps nothing.
        telemetry: addresses to which calls are left out.
    """
    recording, _ = _recording(recorder, telemetry)
    process = secrets.token_hex(8)
    if recorder.over_bound or len(orjson.dumps(recording)) > max_bytes:
        bare = replace(recording, lanes=(), interactions=(), segments=(), reads={}, logs=())
        return Preamble(bare, process, over_bound=True)
    return Preamble(recording, process)


def _recording(recorder: Recorder, telemetry: Iterable[str]) -> tuple[Recording, list[str]]:
    most = _MOST_PREAMBLE_READS if recorder.preamble else None
    lanes = [(lane, reads[:most]) for lane, reads in list(recorder.lanes)]
    for index, (lane, _) in enumerate(lanes):
        lane.index = index
    listed = Addresses(telemetry)
    reasons = [f"uncovered-library:{name}" for name in sorted(recorder.refused)]
    position: dict[int, int] = {}
    interactions: list[Interaction] = []
    for crossing in sorted(recorder.crossings, key=lambda crossing: crossing.sequence):
        if listed and _is_telemetry(crossing, listed):
            continue
        found: list[str] = []
        interaction = _interaction(crossing, recorder.mono_ns, found)
        if found and recorder.preamble:
            continue
        position[crossing.sequence] = len(interactions)
        interactions.append(interaction)
        reasons += found
    recording = Recording(
        wall_ns=recorder.wall_ns,
        mono_ns=recorder.mono_ns,
        perf_ns=recorder.perf_ns,
        duration_ns=recorder.ended_ns - recorder.mono_ns,
        lanes=tuple(LaneSpec(lane.path, lane.position) for lane, _ in lanes),
        interactions=tuple(interactions),
        segments=tuple(segments_of(lanes, position=position)),
        reads={source: _unrepeated(by_key) for source, by_key in recorder.reads.items()},
        logs=tuple(dict(entry) for entry in recorder.logs),
    )
    return recording, reasons


def _is_telemetry(crossing: Crossing, listed: Addresses) -> bool:
    """Whether a call went to a listed address, and its boundary can drop it at replay."""
    boundary, call = crossing.boundary, crossing.call
    try:
        return boundary.kind.address(call.form()) in listed and boundary.unsent(call) is not None
    except Exception:  # a third party's form may fail in any way; the interaction then says so
        return False


def _unrepeated(by_key: dict[str, list[Value]]) -> dict[str, list[Value]]:
    """Values in order by key; once where they are all the same, since the last one is served again."""
    return {
        key: values[:1] if all(value == values[0] for value in values) else values for key, values in by_key.items()
    }


def _interaction(crossing: Crossing, mono_ns: int, reasons: list[str]) -> Interaction:
    boundary = crossing.boundary
    answer: Value = None
    error: Value = None
    try:
        if crossing.undumpable is not None:
            raise crossing.undumpable
        form = crossing.call.form()
        request = encode_or_opaque(form)
        effect = boundary.kind.is_effect(form)
        if not crossing.over:
            error = UNFINISHED
        elif crossing.error is not None:
            error = boundary.dump_error(crossing.error)
        else:
            answer = crossing.dumped if boundary.snapshot else boundary.dump(crossing.result)
    except Exception as failure:  # a third party's dump may fail in any way; the run says so and stays whole otherwise
        reasons.append(f"undumpable:{boundary.name}")
        request = {"undumpable": f"{type(failure).__name__}: {failure}"}
        answer = encode_or_opaque(object())
        effect = True
    if has_opaque(request) or has_opaque(answer):
        reasons.append(f"opaque:{boundary.name}")
    return Interaction(
        boundary=boundary.name,
        kind=boundary.kind.name,
        schema=boundary.schema,
        lane=crossing.lane.index,
        started_ns=crossing.started_ns - mono_ns,
        ended_ns=crossing.ended_ns - mono_ns,
        request=request,
        answer=answer,
        error=error,
        failed=error is not None,
        effect=effect,
        label=crossing.label,
    )


def _readiness(reasons: Sequence[str], notes: tuple[str, ...] = ()) -> Readiness:
    return Readiness("unready" if reasons else "recorded", tuple(dict.fromkeys(reasons)), notes)


def _notes(recording: Recording) -> tuple[str, ...]:
    """Boundaries that this run used, of a library in a version that FluxRun wasn't tested with."""
    used = {interaction.boundary for interaction in recording.interactions}
    return tuple(f"untested-version: {text}" for name, text in untested_versions() if name in used)


def _versions(settings: Settings) -> dict[str, str]:
    return {
        "fluxrun": __version__,
        "python": platform.python_version(),
        "release": settings.release,
        "hashseed": os.environ.get("PYTHONHASHSEED", "random"),
        **dict(_loaded_versions()),
    }


def _loaded_versions() -> Iterator[tuple[str, str]]:
    for name in _VERSIONED:
        if name in sys.modules and (found := _version(name)):
            yield name, found


@functools.cache
def _version(distribution: str) -> str:
    """Its version, or "" where it isn't installed as one; looked up once, for it parses the whole metadata."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
