"""How commands speak: lines, columns, emphasis. Plain text without colour where nobody watches."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence

import click

from pytest_fluxrun.report.plain_text import printable

__all__ = ["clipped", "columns", "plural", "styled"]


def styled(text: str, colour: str = "", *, bold: bool = False) -> str:
    """Text in a colour where standard output is a terminal that may have one (https://no-color.org), else as it is."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return click.style(text, fg=colour or None, bold=bold)


def columns(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Rows as lines, each column as wide as its widest cell, two spaces between; the last one isn't padded."""
    table = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield clipped(line.rstrip())


def clipped(line: str) -> str:
    """A line cut to the terminal's width; whole where standard output isn't a terminal."""
    if not sys.stdout.isatty():
        return line
    width = shutil.get_terminal_size().columns
    return line if len(line) <= width else f"{line[: width - 1]}…"


def plural(count: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
