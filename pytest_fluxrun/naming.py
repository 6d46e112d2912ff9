"""How a guard names calls: a library or a kind, then the operation, with `*` for anything. Pure.

The name of a call is what a failure begins its line with: `httpx POST https://pay.example/charge`.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

__all__ = ["CallName"]

_SCHEME = re.compile(r"(?<![^ ])[a-z][a-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class CallName:
    """What a call is named by.

    Args:
        boundary: e.g. `httpx`.
        kind: e.g. `http`; names the call as well, so that a guard outlives a change of library.
        operation: on one line, e.g. `POST https://pay.example/charge`; a guard may leave out the scheme.
    """

    boundary: str
    kind: str
    operation: str

    def __str__(self) -> str:
        return f"{self.boundary} {self.operation}"

    def fits(self, pattern: str) -> bool:
        """Whether a guard's words name this call."""
        fitting = _compiled(" ".join(pattern.split()))
        operations = {self.operation, _SCHEME.sub("", self.operation)}
        return any(fitting.fullmatch(f"{by} {what}") for by in (self.boundary, self.kind) for what in operations)


@functools.lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
