"""One thing that `fluxrun check` looked at: how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pytest_fluxrun.errors import FluxRunError

__all__ = ["Finding", "Level", "fail", "failed", "ok", "warn"]


class Level(StrEnum):
    """How bad a finding is; `fail` makes the command fail."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found.

    Attributes:
        subject: one word: settings, keys, token, trust, store, clock, ….
        next_step: what to do; "" where all is well.
    """

    level: Level
    subject: str
    text: str
    next_step: str = ""


def ok(subject: str, text: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, subject, text)


def warn(subject: str, text: str, next_step: str) -> Finding:
    """It works, but worse than it could."""
    return Finding(Level.WARN, subject, text, next_step)


def fail(subject: str, text: str, next_step: str) -> Finding:
    """Something doesn't work."""
    return Finding(Level.FAIL, subject, text, next_step)


def failed(subject: str, error: FluxRunError) -> Finding:
    """An error met while looking, as a finding."""
    return fail(subject, f"{error.what}: {error.why}" if error.why else error.what, error.next_step)
