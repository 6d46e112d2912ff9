"""The text of `fluxrun show`: one run from its request to its outcome, in the order in which things happened. Pure.

Redaction tokens stand in it as they stand in the run: nothing here can undo them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import orjson

from pytest_fluxrun.columns import unpack
from pytest_fluxrun.judgement.guard import Guard
from pytest_fluxrun.replaying.pauses import PAUSES
from pytest_fluxrun.report.calls import answer_text, call_text, joined, raised_text
from pytest_fluxrun.report.plain_text import printable, shortened, shown
from pytest_fluxrun.run import Interaction, Recording, Run, Segment
from pytest_fluxrun.values import plain

__all__ = ["timeline"]

_TOLD_HEADERS: Final = frozenset(
    {"accept", "authorization", "content-type", "cookie", "host", "idempotency-key", "location", "retry-after",
     "set-cookie", "user-agent", "x-request-id"}
)  # fmt: skip
_NS_PER_MS: Final = 1e6
_LONGEST_LINE: Final = 240
_MOST_READS: Final = 8
_NESTED: Final = "  "
_BESIDE_NUMBERS: Final = " " * 31


def timeline(run: Run, guard: Guard | None = None, *, values: bool = False) -> Iterator[str]:
    """The run as lines: header, what invoked it, each call, outcome.

    Args:
        guard: the run's, to be named in the header.
        values: show bodies, answers, headers and reads whole.
    """
    yield from _header(run, guard)
    yield ""
    yield from _input(run, values=values)
    yield ""
    yield from _happened(run.recording, values=values)
    yield ""
    yield from _outcome(plain(run.outcome), values=values)


# -- header


def _header(run: Run, guard: Guard | None) -> Iterator[str]:
    recording = run.recording
    began = datetime.fromtimestamp(recording.wall_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    release = run.versions.get("release") or "not stated"
    others = (f"{name} {version}" for name, version in run.versions.items() if name != "release" and version)
    yield f"run      {run.id}"
    yield printable(f"entry    {run.entry} ({run.entry_kind}) of project {run.project}")
    yield f"when     {began} UTC, took {recording.duration_ns / _NS_PER_MS:.1f} ms"
    yield printable(f"release  {release}; {', '.join(others)}")
    reasons = ", ".join(run.readiness.reasons)
    yield printable(f"state    {run.readiness.state}{f': {reasons}' if reasons else ''}")
    yield from (printable(f"         {note}") for note in run.readiness.notes)
    if guard is not None:
        proven = f", proven on {guard.proven}" if guard.proven else ", not proven yet"
        title = f": {guard.title}" if guard.title else ""
        yield printable(f"guard    {guard.expect}{', pending' if guard.pending else ''}{proven}{title}")
    if run.preamble is not None and run.preamble.interactions:
        yield f"before   {len(run.preamble.interactions)} calls that the process made before its first run"


# -- what invoked it


def _input(run: Run, *, values: bool) -> Iterator[str]:
    invoked = plain(run.input)
    if isinstance(invoked, dict) and isinstance(invoked.get("scope"), dict):
        yield from _request(invoked, values=values)
        return
    if isinstance(invoked, dict) and {"args", "kwargs"} <= invoked.keys():
        arguments = [*map(repr, invoked["args"]), *(f"{name}={value!r}" for name, value in invoked["kwargs"].items())]
        yield _line(f"> {run.entry}({', '.join(arguments)})", values=values)
        return
    yield _line(f"> {run.entry} {shown(invoked)}", values=values)


def _request(invoked: Mapping[str, Any], *, values: bool) -> Iterator[str]:
    scope = invoked["scope"]
    query = f"?{scope['query_string']}" if scope.get("query_string") else ""
    verb = scope.get("method") or str(scope.get("type", "")).upper()
    yield printable(f"> {verb} {scope.get('path', '')}{query} HTTP/{scope.get('http_version', '')}")
    yield from _headers(scope.get("headers", ()), values=values)
    pieces = [event[2] for event in invoked.get("events", ()) if event[1] == "http.request"]
    yield from _body(joined(pieces), values=values)
    for event in invoked.get("events", ()):
        at = f"{event[0] / _NS_PER_MS:.1f} ms"
        if event[1] == "http.disconnect":
            yield f"  the client was gone after {at}"
        elif event[1] == "websocket.disconnect":
            yield f"  after {at} the client left, code {event[2]}"
        elif event[1] == "websocket.receive":
            yield _line(f"  after {at}: {shown(event[2])}", values=values)


def _headers(headers: Iterable[Any], *, values: bool) -> Iterator[str]:
    left_out = 0
    for name, value in headers:
        if values or name.lower() in _TOLD_HEADERS:
            yield _line(f"  {name}: {value}", values=values)
        else:
            left_out += 1
    if left_out:
        yield f"  ({left_out} more header{'' if left_out == 1 else 's'}: --values shows them)"


def _body(body: Any, *, values: bool) -> Iterator[str]:
    if body in ("", b"", None):
        return
    if isinstance(body, str) and values:
        yield from (f"  {line}" for line in printable(_indented(body), keep="\n\t").splitlines())
    else:
        yield f"  {shortened(shown(body))}"


def _indented(body: str) -> str:
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return body


# -- what happened


@dataclass(frozen=True, slots=True, order=True)
class _Moment:
    """Lines with the time at which they belong; at one time, calls before reads before logs."""

    at_ns: int
    rank: int
    number: int
    lines: tuple[str, ...]


def _happened(recording: Recording, *, values: bool) -> Iterator[str]:
    moments = [
        *(_call(recording, number, one, values=values) for number, one in enumerate(recording.interactions, start=1)),
        *(_reads(recording, number, one, values=values) for number, one in enumerate(recording.segments)),
        *(_log(recording, number, one) for number, one in enumerate(recording.logs)),
    ]
    if not recording.interactions:
        yield "   no calls"
    for moment in sorted(moments):
        yield from moment.lines
    for source, by_key in recording.reads.items():
        for key, found in by_key.items():
            content = shortened(repr([plain(value) for value in found])[1:-1])
            yield printable(f"{_BESIDE_NUMBERS}· {source} {key}{f' = {content}' if values else ''}")


def _call(recording: Recording, number: int, interaction: Interaction, *, values: bool) -> _Moment:
    start_ms = interaction.started_ns / _NS_PER_MS
    took_ms = (interaction.ended_ns - interaction.started_ns) / _NS_PER_MS
    mark = "*" if interaction.effect else " "
    label = f" ({interaction.label})" if interaction.label else ""
    asked = f"{interaction.boundary}{label}  {call_text(interaction)}"
    head = f"{number:4}{mark} +{start_ms:8.1f} ms {took_ms:7.1f} ms  {_lane(recording, interaction.lane)}"
    answered = answer_text(interaction)
    lines = [_line(f"{head}{asked}", values=values), _line(f"{_BESIDE_NUMBERS}  → {answered}", values=False)]
    if values:
        detail = plain(interaction.error if interaction.failed else interaction.answer)
        lines += (f"{_BESIDE_NUMBERS}    {line}" for line in _unfolded(plain(interaction.request)))
        lines += (f"{_BESIDE_NUMBERS}    {line}" for line in ("→", *_unfolded(detail)))
    return _Moment(interaction.started_ns, 0, number, tuple(lines))


def _reads(recording: Recording, number: int, segment: Segment, *, values: bool) -> _Moment:
    """The clock and entropy reads and the pauses between two calls of a lane: how many of each function, or all."""
    lane = _lane(recording, segment.lane)
    read = [(one, unpack(one.values)) for one in segment.reads]
    counts: Counter[str] = Counter()
    lengths_s: Counter[str] = Counter()
    for one, column in read:
        counts[one.function] += len(column)
        if one.function in PAUSES:
            lengths_s[one.function] += sum(column)
    told = ", ".join(_times(name, count) for name, count in counts.items() if name not in PAUSES)
    lines = [f"{_BESIDE_NUMBERS}{lane}· reads {shortened(told)}"] if told else []
    lines += (
        f"{_BESIDE_NUMBERS}{lane}· pauses {length_s:.4g} s by {_times(name, counts[name])}"
        for name, length_s in lengths_s.items()
    )
    if values:
        for one, column in read:
            content = shortened(", ".join(map(repr, column[:_MOST_READS])))
            lines.append(printable(f"{_BESIDE_NUMBERS}{lane}    {one.function} = {content}  ({one.where})"))
    return _Moment(_reads_at(recording, segment), 1, number, tuple(lines))


def _times(name: str, count: int) -> str:
    return f"{name} ×{count}" if count > 1 else name


def _reads_at(recording: Recording, segment: Segment) -> int:
    """When the call that the segment follows was over; else just before its lane's first call."""
    if segment.after >= 0:
        return recording.interactions[segment.after].ended_ns
    calls = (one.started_ns for one in recording.interactions if one.lane == segment.lane)
    return max(0, next(calls, 1) - 1)


def _log(recording: Recording, number: int, entry: Mapping[str, Any]) -> _Moment:
    """A log record, at its time where it carries one, else after the calls."""
    told = plain(dict(entry))
    error = f" ({told['error']})" if told.get("error") else ""
    text = shortened(f"{told.get('level', '')} {told.get('logger', '')}: {told.get('message', '')}{error}")
    at_ns = told.get("offset_ns")
    return _Moment(
        at_ns if isinstance(at_ns, int) else recording.duration_ns, 2, number, (f"{_BESIDE_NUMBERS}“ {text}",)
    )


def _lane(recording: Recording, index: int) -> str:
    """A lane's indentation and name; the root lane has neither, nor has the only one that made calls."""
    path = recording.lanes[index].path if 0 <= index < len(recording.lanes) else ()
    if not path or {one.lane for one in recording.interactions} == {index}:
        return ""
    name, ordinal = path[-1]
    return printable(f"{_NESTED * len(path)}[{name.rpartition('.')[2]} {ordinal}] ")


def _unfolded(value: Any) -> list[str]:
    """A value over several lines."""
    try:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        text = repr(value)
    return printable(text, keep="\n").splitlines()


# -- outcome


def _outcome(outcome: Any, *, values: bool) -> Iterator[str]:
    if not isinstance(outcome, dict):
        yield _line(f"< {shown(outcome)}", values=values)
        return
    response = outcome.get("response")
    if response:
        cut = "" if response.get("complete", True) else "  (cut short)"
        yield f"< {response['status']} {_phrase(response['status'])}{cut}"
        yield from _headers(response.get("headers", ()), values=values)
        yield from _body(response.get("body"), values=values)
        for message in response.get("messages", ()):
            yield _line(f"  {shown(message)}", values=values)
    if outcome.get("disconnected"):
        yield "< the client disconnected"
    error = outcome.get("error")
    if error:
        yield from _error(error)
    if "returned" in outcome and not error:
        yield _line(f"< returned {outcome['returned']!r}", values=values)


def _error(error: Any) -> Iterator[str]:
    """An error, what it was raised from, and the members of a group."""
    yield shortened(f"! {raised_text(error)}", 400)
    seen = error
    for relation, word in (("cause", "caused by"), ("context", "while handling")):
        other = seen.get(relation) if isinstance(seen, dict) else None
        if isinstance(other, dict):
            yield shortened(f"    {word} {raised_text(other).removeprefix('raised ')}", 400)
            break
    for member in error.get("group", ()) if isinstance(error, dict) else ():
        yield shortened(f"    with {raised_text(member).removeprefix('raised ')}", 400)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _line(text: str, *, values: bool) -> str:
    line = printable(text)
    return line if values or len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"
