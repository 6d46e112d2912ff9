"""What earlier runs of the process read: a warm process has it cached, and a replay's cold one asks for it again.

Bounded, and first come, first kept: what is loaded once is loaded early. Used by the writer's thread alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import orjson

from pytest_fluxrun.errors import FluxRunError
from pytest_fluxrun.registry import boundary_named, kind_named
from pytest_fluxrun.run import Interaction, LaneSpec, Recording
from pytest_fluxrun.values import Value, decode, has_opaque

__all__ = ["EarlierReads"]

_ENVIRONMENT: Final = "environment"
_MOST_READS: Final = 2000
_MOST_RUNS: Final = 500
"""How many runs that nobody keeps are looked at for their reads."""


class EarlierReads:
    """The last answer to each read that a process made in its first runs.

    Args:
        max_bytes: of their JSON, about; 0 keeps none.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._runs = 0
        self._reads: dict[tuple[str, str], Interaction] = {}
        self._variables: dict[str, dict[str, list[Value]]] = {}
        self._sizes: dict[tuple[str, str], int] = {}
        self._full = max_bytes <= 0
        self._recording: Recording | None = None

    @property
    def full(self) -> bool:
        """Whether a further run that isn't kept for itself adds nothing."""
        return self._full or self._runs >= _MOST_RUNS

    def add(self, recording: Recording) -> None:
        """Keep the reads of a run that is over; a later answer takes the place of an earlier one."""
        if self._max_bytes <= 0:
            return
        self._runs += 1
        for interaction in recording.interactions:
            key = _key(interaction)
            if key is not None and self._fits(key, [interaction.request, interaction.answer]):
                self._reads[key] = replace(interaction, lane=0, started_ns=0, ended_ns=0)
        for source, reads in recording.reads.items():
            if source == _ENVIRONMENT or _is_driver(source):
                for name, values in reads.items():
                    if self._fits((source, name), values[-1]):
                        self._variables.setdefault(source, {})[name] = values[-1:]

    def recording(self) -> Recording | None:
        """The reads so far, or None where there are none."""
        if self._recording is None and (self._reads or self._variables):
            self._recording = Recording(
                *(0, 0, 0, 0),
                lanes=(LaneSpec((), ()),),
                interactions=tuple(self._reads.values()),
                reads={source: dict(reads) for source, reads in self._variables.items()},
            )
        return self._recording

    def _fits(self, key: tuple[str, str], value: Value) -> bool:
        """Whether there is room for a value; it is counted in place of the one before."""
        size, before = len(orjson.dumps(value)), self._sizes.get(key, 0)
        if self._size_bytes + size - before > self._max_bytes or (not before and len(self._sizes) >= _MOST_READS):
            self._full = True
            return False
        self._size_bytes += size - before
        self._sizes[key] = size
        self._recording = None
        return True


def _is_driver(source: str) -> bool:
    """Whether reads are what a database's driver knows of its server: it asks once a connection, or once for all."""
    boundary = boundary_named(source)
    return boundary is not None and bool(boundary.distribution)


def _key(interaction: Interaction) -> tuple[str, str] | None:
    """What a read asks for; None for an effect, and for what can't be told or answered."""
    kind = kind_named(interaction.kind)
    if kind is None or interaction.effect or interaction.failed:
        return None
    if has_opaque(interaction.request) or has_opaque(interaction.answer):
        return None
    try:
        return kind.name, kind.canonical(decode(interaction.request))
    except (FluxRunError, LookupError, TypeError, ValueError, AttributeError):  # a form that its kind doesn't read
        return None
