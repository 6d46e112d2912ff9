"""Whether somebody waits at a debugger's prompt: then no deadline passes and no clock is forced."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Final

__all__ = ["at_a_prompt"]

_PROMPTS: Final = {
    "cmdloop": ("IPython", "cmd", "pdb", "pdbpp"),
    "interaction": ("IPython", "pdb", "pdbpp", "pudb"),
    "do_wait_suspend": ("_pydevd_bundle", "pydevd"),
    "_do_wait_suspend": ("_pydevd_bundle", "_pydevd_sys_monitoring", "pydevd"),
}
"""Functions that wait for a person, and the packages whose they are: pdb and what is made of it, pudb, IDEs' pydevd."""


def at_a_prompt() -> bool:
    """Whether a thread of this process is in such a function; not one that a debugger merely traces."""
    return any(map(_waits, sys._current_frames().values()))  # noqa: SLF001 - CPython's documented way


def _waits(innermost: FrameType) -> bool:
    frame: FrameType | None = innermost
    while frame is not None:
        packages = _PROMPTS.get(frame.f_code.co_name)
        if packages and str(frame.f_globals.get("__name__", "")).partition(".")[0] in packages:
            return True
        frame = frame.f_back
    return False
