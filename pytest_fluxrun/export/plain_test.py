"""A run as a plain pytest file, which needs no FluxRun: its parts put together, and what they don't carry. Pure."""

from __future__ import annotations

import datetime as dt
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pytest_fluxrun.export.driving import drive_of
from pytest_fluxrun.export.literals import called, comment
from pytest_fluxrun.export.parts import Part, parts_of
from pytest_fluxrun.export.program import Program
from pytest_fluxrun.export.templates import HAVING, NOTHING_GOES_OUT, STAND_IN
from pytest_fluxrun.judgement.comparison import is_failure
from pytest_fluxrun.run import Run
from pytest_fluxrun.values import plain

__all__ = ["PlainTest", "plain_test"]

_WIDTH: Final = 110
_OF_THE_MACHINE: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|COLUMNS|LINES|LANG|LC_.*|TZ|TMPDIR|TEMP|TMP|PWD|SSL_CERT_.*|SSLKEYLOGFILE"
    r"|XDG_.*|PYTHON.*|VIRTUAL_ENV|FLUXRUN_.*|PYTEST.*|NO_COLOR|FORCE_COLOR"
)
"""What the environment says of a machine and not of the app: a test runs on another one."""
_FAILED: Final = (
    "The run failed, and this test passes as long as it does: once the failure is fixed, state below what the fix "
    "answers."
)
_THIRD_PARTY: Final = ("httpx", "pytest", "respx", "time_machine")


@dataclass(frozen=True, slots=True)
class PlainTest:
    """A test file's source, how many recorded calls it leaves to be answered by hand, and what it doesn't assert."""

    source: str
    by_hand: int
    left: tuple[str, ...] = ()


def plain_test(run: Run, program: Program) -> PlainTest:
    """A test file that drives the entry as recorded and asserts the recorded outcome.

    Raises:
        FluxRunError: the entry or the outcome is none that a plain test can have; or a value has no form as source.
    """
    drive = drive_of(run, program)
    parts = [*parts_of(run, program), drive]
    imports = {"socket", "sys", "types", "pytest", "time_machine", "datetime"}.union(*(part.imports for part in parts))
    if any(part.around for part in parts):
        imports.add("unittest.mock")
    environment = called(_environment(run), set())
    test = _test(run, parts, imports)
    recorded = [part.data for part in parts]
    definitions = [
        "# -- what stands in for the outside\n",
        NOTHING_GOES_OUT,
        STAND_IN,
        HAVING if any("having(" in data for data in recorded) else "",
        *(part.machinery for part in parts),
        "# -- what was recorded\n",
        f"ENVIRONMENT = {environment}\n{_started(run)}",
        *recorded,
        "# -- the test\n",
        test,
    ]
    body = "\n\n".join(text.rstrip("\n") + "\n" for text in definitions if text)
    if "ANY" in body:
        imports.add("unittest.mock:ANY")
    source = f'"""{_docstring(run, parts)}"""\n\n{_imports(imports)}\n{body}'
    return PlainTest(source, sum(part.by_hand for part in parts), tuple(drive.left))


# -- the head


def _docstring(run: Run, parts: Sequence[Part]) -> str:
    when = dt.datetime.fromtimestamp(run.recording.wall_ns / 1e9, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    carried = [
        *(part.carried for part in parts if part.carried),
        "the environment",
        "the wall clock, from the run's start",
    ]
    said = [
        f"A run of {comment(run.entry)} as production had it on {when} UTC: {_ending(run)}.",
        f"Made from the recorded run {run.id}; yours to edit. Needs pytest, httpx, respx and time-machine, no FluxRun.",
        "It holds what the run holds, in the clear.",
    ]
    lines = [
        said[0],
        "",
        *textwrap.wrap(" ".join(said[1:]), _WIDTH),
        *(["", *textwrap.wrap(_FAILED, _WIDTH)] if is_failure(run.outcome) else []),
        "",
        "Carried:",
        *_list(carried),
        "",
        "Not carried:",
    ]
    return "\n".join([*lines, *_list(_not_carried(run, parts)), ""]).replace("\\", "\\\\").replace('"""', "'''")


def _list(items: Iterable[str]) -> Iterator[str]:
    for item in items:
        yield from textwrap.wrap(f"- {item}", _WIDTH, subsequent_indent="  ")


def _not_carried(run: Run, parts: Sequence[Part]) -> Iterator[str]:
    if any(part.by_hand for part in parts):
        yield "the answers listed under BY_HAND: the test fails until you have written `answers_by_hand`"
    for part in parts:
        yield from part.left
    yield "headers that the app sends, log records, and the order of calls to different libraries: they aren't compared"
    yield "randomness: ids and tokens are drawn anew, and what is made of them isn't asserted"
    yield "the steady clocks, sleeps and time-outs, which are real; the order of calls that are made at once"
    if run.entry_kind in ("asgi", "wsgi"):
        yield "start-up: the app is imported, its lifespan isn't run; add what the request needs of it"
    if run.tokens:
        yield f"secrets: {len(run.tokens)} were replaced at recording; {run.tokens[0]!r} and its like stand for them"


def _ending(run: Run) -> str:
    outcome = plain(run.outcome)
    error = outcome.get("error")
    raised = f"raised {comment(str(error['type']).rpartition(':')[2])}" if error else ""
    answered = f"answered {outcome['response']['status']}" if outcome.get("response") else ""
    return " and ".join(filter(None, (answered, raised))) or "returned"


def _imports(names: set[str]) -> str:
    """Import statements: Python's own, then the others."""
    lines = {_import(name) for name in names}
    others = {line for line in lines if line.split()[1].partition(".")[0] in _THIRD_PARTY}
    own = {line for line in lines - others if line.split()[1].partition(".")[0] in sys.stdlib_module_names}
    ordered = [sorted(group, key=lambda line: (line.startswith("from"), line)) for group in (own, others)]
    return "from __future__ import annotations\n\n" + "\n\n".join("\n".join(group) for group in ordered) + "\n"


def _import(name: str) -> str:
    if name == "unittest.mock":
        return "from unittest import mock"
    return f"from {name.replace(':', ' import ')}" if ":" in name else f"import {name}"


def _environment(run: Run) -> dict[str, str]:
    """What the process and the run read of the environment, where it was set."""
    read: dict[str, str] = {}
    for recording in (run.preamble, run.recording):
        for name, values in (recording.reads.get("environment", {}) if recording is not None else {}).items():
            value: Any = plain(values[-1])
            if isinstance(value, str) and not _OF_THE_MACHINE.fullmatch(name):
                read[name] = value
    return read


def _started(run: Run) -> str:
    began = dt.datetime.fromtimestamp(run.recording.wall_ns / 1e9, dt.UTC)
    return f"STARTED = datetime.datetime.fromisoformat({began.isoformat()!r})\n"


# -- the test


def _test(run: Run, parts: list[Part], imports: set[str]) -> str:
    around = [*(each for part in parts for each in part.around), "time_machine.travel(STARTED)"]
    of_the_app = sorted(name for name in imports if ":" not in name and name.partition(".")[0] not in
                        {*sys.stdlib_module_names, *_THIRD_PARTY})  # fmt: skip
    before = [line for part in parts for line in part.before]
    inside = [*(line for part in parts for line in part.inside), *(line for part in parts for line in part.closing)]
    asserts = [line for part in parts for line in part.asserts]
    opening = ["with (", *(f"    {each}," for each in around), "):"] if len(around) > 1 else [f"with {around[0]}:"]
    lines = [
        "without_fluxrun()",
        *(f"import {name}" for name in of_the_app),
        *before,
        *opening,
        *_indented(inside),
        "",
        "assert UNRECORDED == []",
        *asserts,
    ]
    return "\n".join([f"def {_name(run)}() -> None:", *_indented(lines), ""])


def _indented(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield from (f"    {part}" if part else "" for part in (line.splitlines() or [""]))


def _name(run: Run) -> str:
    invoked = plain(run.input)
    scope = invoked.get("scope") if isinstance(invoked, dict) else None
    what = f"{scope['method']} {scope['path']}" if scope and scope.get("method") else run.entry
    words = re.sub(r"[^a-z0-9]+", "_", f"test {what} {_ending(run)}".lower())
    return words.strip("_")[:80]
