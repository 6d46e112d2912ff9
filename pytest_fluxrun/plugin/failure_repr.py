"""A failure's text as pytest holds failures: its short summary and JUnit's message show the first line alone."""

from __future__ import annotations

from dataclasses import dataclass

from _pytest._code.code import ReprFileLocation, TerminalRepr
from _pytest._io import TerminalWriter

__all__ = ["FailureRepr"]


@dataclass(eq=False)
class FailureRepr(TerminalRepr):
    """The whole text, and where its first line is.

    Args:
        path: the run's file.
    """

    text: str
    path: str

    @property
    def reprcrash(self) -> ReprFileLocation:
        """What pytest shows on one line."""
        return ReprFileLocation(self.path, 1, self.text.partition("\n")[0])

    def toterminal(self, tw: TerminalWriter) -> None:
        """Write the text."""
        for line in self.text.splitlines():
            tw.line(line)
