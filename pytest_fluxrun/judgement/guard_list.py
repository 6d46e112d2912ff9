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

__all__ = ["LIST_NAME", "read_list", "write_list"]

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
    path = directory / LIST_NAME
    beside = path.with_name(f"{LIST_NAME}.part")
    beside.write_text(_HEAD + "".join(f"{name}\n" for name in sorted(set(names))), encoding="utf-8", newline="\n")
    os.replace(beside, path)


def _unusable(path: Path, why: str) -> GuardError:
    return GuardError(
        f"the guard list {str(path)!r} can't be used",
        why=why,
        next_step="restore it from version control, or write it anew with `fluxrun require`",
    )
