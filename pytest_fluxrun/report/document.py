"""The report of one session as data, what `--fluxrun-report=out.json` holds. Reading and writing share this file.

Published as docs/spec/report-v1.schema.json. Readers ignore keys that they don't know; a change that breaks them raises
`SCHEMA`. Runs are in the order of their node ids, so that two reports of equal sessions differ in times alone.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_fluxrun.errors import FluxRunError

__all__ = [
    "Described",
    "Place",
    "RecordedCall",
    "ReplayedCall",
    "Report",
    "ReportedCall",
    "ReportedConfirmation",
    "ReportedDifference",
    "ReportedDrift",
    "ReportedGuard",
    "ReportedOutcome",
    "ReportedRun",
    "ReportedSession",
    "json_bytes",
    "json_schema",
    "read_report",
    "to_json",
    "write_atomically",
]

SCHEMA: Final = 1

Outcome = Literal["passed", "failed", "xfailed", "error", "skipped", "not-run"]
CallStatus = Literal["same", "changed", "missing", "new"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class Place(_Part):
    """A line of a source file."""

    path: str
    """From the root directory, with `/`."""
    line: Annotated[int, Field(ge=1)]
    """From 1."""


class Described(_Part):
    """A value: what it is; what it says only in a report with values."""

    type: str
    """`string`, `integer`, `number`, `boolean`, `null`, `array`, `object`, `bytes`, `absent`, or a Python type."""
    size: int | None = None
    """Characters, bytes, items or keys; null where there is nothing to count."""
    text: str
    """For people: `string of 12 characters`; with values what it says, cut at 4,000 characters."""


class ReportedDifference(_Part):
    """One place at which the replay's outcome isn't the expected one."""

    path: str
    """In the grammar of guard files; without values, keys that may be values themselves are `*`."""
    expected: Described
    got: Described


class ReportedDrift(_Part):
    """One way in which the replay's calls differed from the recording."""

    kind: str
    """See docs/reference/pytest.md."""
    call: int = 0
    """Number of the recorded call, from 1; 0 where there is none."""
    text: str = ""
    """The call or read on one line; "" without values where nothing else can be said of it."""
    paths: tuple[str, ...] = ()
    """Where the arguments differ; with values also from what to what. The first hundred, then how many more."""
    failing: bool = False
    """Whether the guard fails for it."""


class RecordedCall(_Part):
    """A call as it was recorded."""

    asked: str
    """Without values the call's shape: `POST https://pay.example`."""
    answered: str
    """`200, 118 bytes`, `3 rows`, `raised httpx.ReadTimeout`; with values what it says."""
    failed: bool = False
    started_ns: int
    """Since the run began."""
    ended_ns: int
    content: str = ""
    """The request and the answer whole, as JSON, cut at 4,000 characters; "" without values."""


class ReplayedCall(_Part):
    """A call as the replay made it."""

    position: Annotated[int, Field(ge=1)]
    """Its place among the replay's calls, from 1."""
    lane: str
    asked: str
    """As in `recorded.asked`."""
    source: str
    """What answered: `run`, `preamble`, `guard`, `supplement`, `earlier`, or `miss`: nothing."""


class ReportedCall(_Part):
    """One line of a run's timeline: a recorded call beside the replay's."""

    number: int | None
    """Of the recorded call, from 1, as in `call[3]`; null for one that only the replay made."""
    lane: str
    """`/` is the root lane."""
    boundary: str
    kind: str
    label: str = ""
    """What the program calls what it talks to."""
    effect: bool
    status: CallStatus
    """`same`; `changed`: other arguments or another order; `missing`: the replay didn't make it; `new`: only it did."""
    drift: str = ""
    """The kind of drift that belongs to it."""
    paths: tuple[str, ...] = ()
    """Where a changed call differs."""
    recorded: RecordedCall | None = None
    replayed: ReplayedCall | None = None


class ReportedOutcome(_Part):
    """What came of a run."""

    text: str
    """`500, 42 bytes`, `raised builtins:ValueError`, `returned object of 3 keys`."""
    failure: bool
    """A raised error, a 5xx, an answer cut short."""
    status: int | None = None
    """Of the response."""
    error: str = ""
    """The raised error's type."""
    content: str = ""
    """The body, the return value or the error's message, cut at 4,000 characters; "" without values."""


class ReportedGuard(_Part):
    """The run's guard file."""

    path: str
    """From the root directory, with `/`."""
    expect: str
    pending: bool = False
    title: str = ""
    proven: str = ""
    beyond: str = ""
    ignored: tuple[str, ...] = ()
    """Paths that weren't compared."""
    allowed: tuple[str, ...] = ()
    """Drift rules."""


class ReportedConfirmation(_Part):
    """What a clean process said of a run that didn't pass."""

    how: str
    """`fork` or `fresh`."""
    verdict: str
    """"" where it gave none."""
    same: bool
    """False with a verdict: state leaked between runs."""


class ReportedRun(_Part):
    """One run's replay."""

    run_id: str
    name: str
    """The bundle's file name without suffix."""
    entry: str
    entry_place: Place | None = None
    """Where the entry's function is defined, where that is known."""
    nodeid: str
    bundle: str
    """From the root directory, with `/`."""
    guard: ReportedGuard | None = None
    verdict: str
    """See docs/reference/pytest.md; also `locked`: no key opens it and it was skipped. "" where there is none."""
    outcome: Outcome
    """pytest's result; `not-run`: collected, and its process ended before it."""
    reason: str = ""
    """A stable code."""
    first_divergence: str = ""
    """The first thing that differed, on one line."""
    first_divergent_call: int | None = None
    """Index in `timeline`, from 0, of the first call that isn't the same."""
    problem: str = ""
    """What made it unready, and what to do next."""
    differences: tuple[ReportedDifference, ...] = ()
    """The first hundred."""
    differences_left_out: int = 0
    """How many more there are."""
    drifts: tuple[ReportedDrift, ...] = ()
    confirmation: ReportedConfirmation | None = None
    recorded_at_utc: str = ""
    """ISO 8601; "" where the bundle wasn't opened."""
    recorded_release: str = ""
    recorded_duration_ns: int = 0
    recorded_outcome: ReportedOutcome | None = None
    replayed_outcome: ReportedOutcome | None = None
    """Null where the run wasn't replayed, or the deadline ended it."""
    calls_recorded: int = 0
    calls_replayed: int = 0
    timeline: tuple[ReportedCall, ...] = ()
    """In the order of the recording; what only the replay made stands where the replay made it."""
    duration_s: float = 0.0
    """Of the item: set-up and replay."""
    rerun: str = ""
    """The command that runs this one item again."""
    text: str = ""
    """The failure as pytest shows it; "" without values."""


class ReportedSession(_Part):
    """The pytest session."""

    started_at_utc: str
    """ISO 8601."""
    duration_s: float
    exit_status: int
    """pytest's, the gate included."""
    complete: bool
    """Every collected run has its result, and nothing stopped the session. Never gate on a report where it is false."""
    incomplete_because: str = ""
    narrowed: bool = False
    """Runs were picked by -k, -m, --lf or node ids: others may exist."""
    collected: int = 0
    """Runs that were selected to be replayed."""
    required: int = 0
    """What `--fluxrun-require` asks for."""
    required_runs: tuple[str, ...] = ()
    gate: str = ""
    """Why the gate failed the session, or ""."""
    directories: tuple[str, ...] = ()
    versions: dict[str, str] = Field(default_factory=dict)
    """`python`, `pytest`, `pytest-fluxrun`."""
    verdicts: dict[str, int] = Field(default_factory=dict)
    """How many runs have each; a run without one isn't counted."""
    outcomes: dict[str, int] = Field(default_factory=dict)
    values: bool = False
    """Whether the report holds values: `--fluxrun-report-values`."""


class Report(_Part):
    """Everything that a report says."""

    report: Literal["fluxrun"] = "fluxrun"
    version: Literal[1] = SCHEMA
    project: str
    session: ReportedSession
    runs: tuple[ReportedRun, ...] = ()


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a report, draft 2020-12: what docs/spec/report-v1.schema.json publishes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The report of a pytest session with FluxRun's runs",
        **_untitled(Report.model_json_schema(mode="serialization")),
    }


def _untitled(schema: Any) -> Any:
    """Without pydantic's titles, which repeat the names."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _untitled(item) for key, item in schema.items() if not (key == "title" and isinstance(item, str))}


def to_json(report: Report) -> bytes:
    """UTF-8, indented, with a line feed at its end."""
    return json_bytes(report.model_dump(mode="json"), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def json_bytes(document: Any, *, option: int = 0) -> bytes:
    """JSON of any text: half a surrogate pair, as names of files have that aren't UTF-8, is an escape in it.

    Args:
        option: orjson's.
    """
    try:
        return orjson.dumps(document, option=option)
    except TypeError:
        return orjson.dumps(_whole(document), option=option)


def _whole(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {_whole(key): _whole(item) for key, item in value.items()}
        case list() | tuple():
            return [_whole(item) for item in value]
        case _:
            return value


def read_report(path: Path) -> Report:
    """Read what `--fluxrun-report=out.json` wrote, by this version or an older one.

    Raises:
        FluxRunError: the file isn't there, isn't a report, or is of a newer version.
    """
    try:
        document = orjson.loads(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, error.strerror or type(error).__name__) from error
    except orjson.JSONDecodeError as error:
        raise _unreadable(path, f"it isn't JSON: {error}") from error
    if not isinstance(document, dict) or document.get("report") != "fluxrun":
        raise _unreadable(path, "it isn't a report of FluxRun")
    if isinstance(document.get("version"), int) and document["version"] > SCHEMA:
        raise FluxRunError(
            f"the report {str(path)!r} has version {document['version']}",
            why=f"this FluxRun reads versions up to {SCHEMA}",
            next_step="upgrade pytest-fluxrun here: `pip install -U pytest-fluxrun`",
        )
    try:
        return Report.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise _unreadable(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _unreadable(path: Path, why: str) -> FluxRunError:
    return FluxRunError(
        f"the report {str(path)!r} can't be read",
        why=why,
        next_step="make it anew with `pytest --fluxrun-dir=runs/ --fluxrun-report=out.json`",
    )


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside the path and move it there: a reader sees the whole of the old one or of the new one.

    Raises:
        OSError: it can't be written; what was there is untouched.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
