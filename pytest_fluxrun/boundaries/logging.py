"""logging: what the app logs in a run is kept with it. Never alters or filters a record, and answers nothing."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundary import Patch, Seams
from pytest_fluxrun.context import reading
from pytest_fluxrun.values import encode_or_opaque

__all__ = ["boundary"]

_OWN: Final = "pytest_fluxrun"
_STANDARD: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})


class Logging(Seams):
    """The seam in the logging module: where a record that passed level and filters goes to the handlers."""

    name: ClassVar[str] = "logging"
    modules: ClassVar[tuple[str, ...]] = ("logging",)

    def patches(self, module: Any) -> Iterable[Patch]:
        """Logger.callHandlers."""
        yield Patch(module.Logger, "callHandlers", _call_handlers)


def _call_handlers(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    @functools.wraps(original)
    def callHandlers(self: logging.Logger, record: logging.LogRecord) -> None:  # noqa: N802 - the name it replaces
        session = reading()
        if session is not None and record.name.partition(".")[0] != _OWN:
            session.log(_entry(record))
        original(self, record)

    return callHandlers


def _entry(record: logging.LogRecord) -> dict[str, Any]:
    """Plain values: `message`, `level`, `logger`, and where there are any `error` (the type) and `extra`."""
    entry = {"message": _message(record), "level": record.levelname, "logger": record.name}
    if record.exc_info and record.exc_info[0] is not None:
        entry["error"] = f"{record.exc_info[0].__module__}.{record.exc_info[0].__qualname__}"
    extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return {**entry, "extra": encode_or_opaque(extra)} if extra else entry


def _message(record: logging.LogRecord) -> str:
    try:
        message = record.getMessage()
    except Exception:  # arguments that don't fit, or `__str__` of the app: logging itself reports it
        return str(encode_or_opaque(record.msg))
    return message if message.isascii() else message.encode("utf-8", "replace").decode()


boundary = Logging()
