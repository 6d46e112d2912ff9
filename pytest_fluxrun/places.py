"""Where a read was made: code to a text that survives moved lines, and which code is a library's or infrastructure.

The one list of infrastructure lies here. No I/O but source lines through linecache; call it off the request's thread.
"""

from __future__ import annotations

import functools
import linecache
import os
import sysconfig
from pathlib import Path
from types import CodeType, FrameType, TracebackType

__all__ = [
    "app_frames",
    "calling_code",
    "is_infrastructure",
    "is_library",
    "is_own",
    "is_relay",
    "is_server",
    "lines_of",
    "module_of",
    "past_libraries",
    "place_of",
    "split_place",
]

# What these read serves to run and to measure the program: threads, loops, pools, servers, FluxRun.
_INFRASTRUCTURE = (
    "_pytest",
    "aiosqlite",
    "anyio",
    "asyncio",
    "concurrent",
    "gevent",
    "greenlet",
    "gunicorn",
    "h11",
    "h2",
    "httpcore",
    "httpcore2",
    "httptools",
    "hypercorn",
    "hypothesis",
    "importlib",
    "logging",
    "multiprocessing",
    "pluggy",
    "psycopg_pool",
    "pytest",
    "pytest_fluxrun",
    "queue",
    "sched",
    "selectors",
    "sniffio",
    "socketserver",
    "sqlalchemy.pool",
    "subprocess",
    "threading",
    "urllib3.connectionpool",
    "uvicorn",
    "uvloop",
)
# It draws nothing itself, and calls handlers for the program: one may mail an error, with an id that it draws.
_PASSED_THROUGH = ("logging", "pytest_fluxrun.boundaries.logging")
# Their clocks measure, but ids that they draw reach the outcome: a trace id in an answer, an event id on a page.
_TELEMETRY = ("ddtrace", "elasticapm", "newrelic", "opentelemetry", "prometheus_client", "sentry_sdk")
_ENTROPY = ("os.", "random.", "uuid.")
# These, and all of the standard library, use the steady clocks only to measure and to wait.
_STEADY_INFRASTRUCTURE = (
    "aiohttp",
    "amqp",
    "asyncpg",
    "botocore",
    "celery",
    "httplib2",
    "httpx",
    "httpx2",
    "kombu",
    "niquests",
    "psycopg",
    "pymongo",
    "redis",
    "requests",
    "sqlalchemy",
    "starlette",
    "urllib3",
    "urllib3_future",
    "websockets",
)
_STEADY = frozenset({"time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns"})
# A task that one of these starts serves a request of its own, whatever request's callback it was started in.
_SERVERS = ("daphne", "granian", "gunicorn", "hypercorn", "nonecorn", "uvicorn")
# Code between a reader and the clock that only passes the question on.
_RELAYS = ("freezegun", "time_machine")

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STDLIB = tuple({sysconfig.get_path("stdlib") + os.sep, sysconfig.get_path("platstdlib") + os.sep})
_OWN_RELAYS = frozenset(
    f"{_PACKAGE}boundaries{os.sep}{name}.py"
    for name in ("clock", "entropy", "sleep", "verification", f"passwords{os.sep}verifying", f"drawing{os.sep}octets")
)
_LIKE_AN_APP = frozenset({f"{_PACKAGE}entries{os.sep}calling{os.sep}within.py", f"{_PACKAGE}context.py"})
"""Frames of FluxRun's own to which what libraries draw is attributed where no code of the app called them: an entry's,
and that of a job in a worker's thread (FastAPI's `background.add_task(celery_task.delay)`)."""
_MOST_FRAMES_WALKED = 24  # as in _ambient.c
_MOST_PLACES = 50_000
_MOST_APP_FRAMES = 50
_OWN, _ENTRIES = ("pytest_fluxrun",), ("pytest_fluxrun.entries",)

_places: dict[tuple[int, int], tuple[CodeType, str]] = {}


@functools.lru_cache(maxsize=8192)
def module_of(filename: str) -> str:
    """The dotted module of a library's source file; "" for the application's own code and for generated code.

    Args:
        filename: a code object's `co_filename`.
    """
    if filename.startswith("<frozen "):
        return filename[8:-1]
    for folder in ("site-packages", "dist-packages"):
        _, found, rest = filename.rpartition(f"{os.sep}{folder}{os.sep}")
        if found:
            return _dotted(rest)
    if filename in _LIKE_AN_APP:
        return ""
    if filename.startswith(_PACKAGE):
        return "pytest_fluxrun." + _dotted(filename[len(_PACKAGE) :])
    for folder in _STDLIB:
        if filename.startswith(folder):
            return _dotted(filename[len(folder) :])
    return ""


def _dotted(path: str) -> str:
    return path.removesuffix(".py").removesuffix(f"{os.sep}__init__").replace(os.sep, ".")


def _is_any(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def _in_stdlib(filename: str) -> bool:
    return filename.startswith("<frozen ") or (
        f"{os.sep}site-packages{os.sep}" not in filename
        and f"{os.sep}dist-packages{os.sep}" not in filename
        and filename.startswith(_STDLIB)
    )


@functools.lru_cache(maxsize=8192)
def is_library(filename: str) -> bool:
    """Whether entropy drawn by this code is attributed to its caller: any library's but infrastructure's."""
    module = module_of(filename)
    if filename in _OWN_RELAYS or _is_any(module, _PASSED_THROUGH):
        return True
    return bool(module) and not _is_any(module, (*_INFRASTRUCTURE, *_TELEMETRY))


def past_libraries(nearest: FrameType) -> FrameType:
    """The frame to which entropy is attributed, as the C extension finds it: the first outside libraries, if near."""
    frame: FrameType | None = nearest
    for _ in range(_MOST_FRAMES_WALKED):
        if frame is None:
            break
        if not is_library(frame.f_code.co_filename):
            return frame
        frame = frame.f_back
    return nearest


@functools.lru_cache(maxsize=8192)
def is_infrastructure(function: str, filename: str) -> bool:
    """Whether a function's reads by this code are left out of recordings and served from the virtual clock.

    Args:
        function: as recorded, e.g. `time.monotonic`.
        filename: the reading code's `co_filename`.
    """
    module = module_of(filename)
    if not module:
        return False
    if _is_any(module, _INFRASTRUCTURE) or (_is_any(module, _TELEMETRY) and not function.startswith(_ENTROPY)):
        return True
    return function in _STEADY and (_in_stdlib(filename) or _is_any(module, _STEADY_INFRASTRUCTURE))


def is_own(filename: str) -> bool:
    """Whether code is FluxRun's own."""
    return filename.startswith(_PACKAGE)


@functools.lru_cache(maxsize=8192)
def is_server(filename: str) -> bool:
    """Whether code belongs to an application server, which starts tasks for requests and not for the run under way."""
    return _is_any(module_of(filename), _SERVERS)


@functools.lru_cache(maxsize=8192)
def is_relay(filename: str) -> bool:
    """Whether code only stands between a reader and the clock: FluxRun's pure wrappers, time-machine, freezegun."""
    return filename in _OWN_RELAYS or _is_any(module_of(filename), _RELAYS)


def app_frames(error: BaseException) -> list[str]:
    """The app's own functions through which an error came, outermost first, as `module:qualname`; at most 50.

    Those beneath the entry: a server may be the user's own code too, and it isn't there in a replay. Of a group, then
    those of its first member. No line numbers and no values: moved lines don't change them.
    """
    frames: list[str] = []
    entered = False
    trace = error.__traceback__
    while trace is not None:
        code, module = trace.tb_frame.f_code, trace.tb_frame.f_globals.get("__name__", "")
        if isinstance(module, str) and _is_any(module, _ENTRIES) and not entered:
            entered, frames = True, []
        elif isinstance(module, str) and not _is_any(module, _OWN) and not module_of(code.co_filename):
            frames += [f"{module}:{code.co_qualname}"] if code.co_filename[:1] != "<" else []
        trace = trace.tb_next
    if isinstance(error, BaseExceptionGroup):
        frames += app_frames(error.exceptions[0])
    return frames[-_MOST_APP_FRAMES:]


def place_of(code: CodeType, lasti: int) -> str:
    """Where an instruction is: `qualname|source fragment|source line`, whitespace folded; no line numbers.

    Args:
        code: the reading frame's code.
        lasti: its instruction offset in bytes.
    """
    key = (id(code), lasti)
    known = _places.get(key)
    if known is not None and known[0] is code:
        return known[1]
    if len(_places) >= _MOST_PLACES:
        _places.clear()
    place = _describe(code, lasti)
    _places[key] = (code, place)
    return place


def split_place(place: str) -> tuple[str, str, str]:
    """A place's qualname, source fragment and source line; the latter two are "" where there was no source."""
    name, _, rest = place.partition("|")
    fragment, _, line = rest.partition("|")
    return name, fragment, line


@functools.lru_cache(maxsize=2048)
def lines_of(code: CodeType) -> frozenset[str]:
    """The source lines that a code object consists of, folded as in places."""
    numbers = {line for _, _, line in code.co_lines() if line is not None}
    return frozenset(_fold(linecache.getline(code.co_filename, number)) for number in numbers)


def _describe(code: CodeType, lasti: int) -> str:
    positions = list(code.co_positions())
    first, last, start, end = positions[lasti // 2] if lasti // 2 < len(positions) else (None, None, None, None)
    line = "" if first is None else linecache.getline(code.co_filename, first)
    if not line or start is None or end is None:
        fragment = ""
    elif first == last:
        fragment = line.encode()[start:end].decode(errors="replace")
    else:
        fragment = line.encode()[start:].decode(errors="replace")
    return f"{code.co_qualname}|{_fold(fragment)}|{_fold(line)}"


def _fold(text: str) -> str:
    return " ".join(text.split()).replace("|", "¦")


def calling_code(trace: TracebackType | None, root: Path) -> str:
    """The innermost code of the project that an error passed, as `Class.method (file:line)`, or ""."""
    found: tuple[FrameType, int] | None = None
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.is_relative_to(root) and "site-packages" not in file.parts:
            found = trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
    if found is None:
        return ""
    frame, line = found
    return f"{frame.f_code.co_qualname} ({Path(frame.f_code.co_filename).relative_to(root)}:{line})"
