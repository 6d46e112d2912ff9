"""A finished Recorder to a Run: dump, bound, redact. Runs on the writer's thread; touches no store and no key."""

from __future__ import annotations

import functools
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

from pytest_fluxrun import __version__
from pytest_fluxrun.config import Settings
from pytest_fluxrun.entry import Ending
from pytest_fluxrun.recording.reads import overflowed, segments_of
from pytest_fluxrun.recording.recorder import Crossing, Recorder
from pytest_fluxrun.recording.redaction import redact_run
from pytest_fluxrun.run import Interaction, LaneSpec, Readiness, Recording, Run
from pytest_fluxrun.values import Value, encode_or_opaque, has_opaque

__all__ = ["dump_preamble", "dump_run", "over_bound"]

UNFINISHED: Value = {"type": "unfinished", "args": [], "message": "the call was still under way when the run ended"}
_VERSIONED = ("fastapi", "starlette", "httpx", "httpx2", "sqlalchemy", "aiosqlite", "pydantic", "anyio")


def dump_run(recorder: Recorder, ending: Ending, preamble: Recording | None, settings: Settings, run_id: str) -> Run:
    """The whole run, redacted.

    Raises:
        RedactionFailed: the payload must not be stored.
    """
    recorded_input, outcome = ending.dump()
    recording, reasons = _recording(recorder)
    if has_opaque(recorded_input):
        reasons.append("opaque:input")
    if has_opaque(outcome):
        reasons.append("opaque:outcome")
    if recorder.over_bound or any(overflowed(reads) for _, reads in recorder.lanes):
        reasons.append("over-bound")
    run = Run(
        id=run_id,
        project=settings.project,
        entry=recorder.entry,
        entry_kind=recorder.entry_kind,
        input=recorded_input,
        outcome=outcome,
        recording=recording,
        preamble=preamble,
        readiness=_readiness(reasons),
        versions=_versions(settings),
    )
    return redact_run(run, deny=settings.deny, allow=settings.allow)


def over_bound(run: Run) -> Run:
    """The run without what made it too large, unready."""
    bare = replace(run.recording, interactions=(), segments=(), logs=())
    reasons = (*run.readiness.reasons, "over-bound")
    return replace(run, recording=bare, preamble=None, readiness=_readiness(list(reasons)))


def dump_preamble(recorder: Recorder) -> Recording:
    """What the process did before its first run. Redacted later, with the run that carries it."""
    return _recording(recorder)[0]


def _recording(recorder: Recorder) -> tuple[Recording, list[str]]:
    lanes = list(recorder.lanes)
    for index, (lane, _) in enumerate(lanes):
        lane.index = index
    crossings = sorted(recorder.crossings, key=lambda crossing: crossing.sequence)
    position = {crossing.sequence: index for index, crossing in enumerate(crossings)}
    reasons: list[str] = []
    interactions = tuple(_interaction(crossing, recorder.mono_ns, reasons) for crossing in crossings)
    recording = Recording(
        wall_ns=recorder.wall_ns,
        mono_ns=recorder.mono_ns,
        perf_ns=recorder.perf_ns,
        duration_ns=recorder.ended_ns - recorder.mono_ns,
        lanes=tuple(LaneSpec(lane.path, lane.position) for lane, _ in lanes),
        interactions=interactions,
        segments=tuple(segments_of(lanes, position=position)),
        reads={source: _unrepeated(by_key) for source, by_key in recorder.reads.items()},
        logs=tuple(dict(entry) for entry in recorder.logs),
    )
    return recording, reasons


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
    )


def _readiness(reasons: list[str]) -> Readiness:
    return Readiness("unready" if reasons else "recorded", tuple(dict.fromkeys(reasons)))


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
