"""`guards.txt`: the guards that a run directory must hold, one name a line. Reading and writing share this file.

A guard that somebody deletes is still on the list: its absence is noticed, and its removal is a change to review.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pytest_fluxrun.errors import GuardError

__all__ = ["LIST_NAME", "add_to_list", "read_list", "write_list"]

LIST_NAME: Final = "guards.txt"
_NAME = re.compile(r"\S+-[0-7][0-9a-hjkmnp-tv-z]{25}")
_HEAD: Final = "# The guards of this directory, one a line, written by `fluxrun require`; for fluxrun_require = all.\n"


def read_list(directory: Path) -> frozenset[str] | None:
    """The names on a directory's list, `<entry>-<run id>`, or None where there is no list.

    Raises:
        GuardError: the list can't be read, or has a line that is no name.
    """
    path = directory / LIST_NAME
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, str(error)) from error
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    for name in names:
        if not _NAME.fullmatch(name):
            raise _unusable(path, f"{name!r} is no run's name, <entry>-<run id>")
    return frozenset(names)


def write_list(directory: Path, names: Iterable[str]) -> None:
    """Write a directory's list, sorted, in one step."""
    _replace(directory / LIST_NAME, _HEAD + "".join(f"{name}\n" for name in sorted(set(names))))


def add_to_list(directory: Path, name: str) -> bool:
    """Put a name on a directory's list, where there is one that lacks it; its other lines, comments too, stay.

    Returns:
        Whether it was added.

    Raises:
        GuardError: the list can't be used.
    """
    names = read_list(directory)
    if names is None or name in names:
        return False
    path = directory / LIST_NAME
    lines = path.read_text(encoding="utf-8").splitlines()
    later = (index for index, line in enumerate(lines) if line.partition("#")[0].strip() > name)
    lines.insert(next(later, len(lines)), name)
    _replace(path, "".join(f"{line}\n" for line in lines))
    return True


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(text, encoding="utf-8", newline="\n")
    os.replace(beside, path)


def _unusable(path: Path, why: str) -> GuardError:
    return GuardError(
        f"the guard list {str(path)!r} can't be used",
        why=why,
        next_step="restore it from version control, or write it anew with `fluxrun require`",
    )
