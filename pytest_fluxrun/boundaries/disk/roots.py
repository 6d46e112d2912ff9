"""Directories of the program's own: the project, the interpreter with its packages, the temporary ones. Reads no file.

What lies in them differs between machines by its path alone, so that paths are told without them.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, Final

from pytest_fluxrun.config import project_root
from pytest_fluxrun.context import entered
from pytest_fluxrun.errors import SettingsError

__all__ = ["folded", "outside", "project", "temporary"]


@functools.lru_cache(maxsize=64)
def _project(start: str) -> str:
    try:
        with entered(None):  # its own looks are no part of a run
            root = str(project_root(Path(start)))
    except SettingsError:
        root = start
    return "" if root == os.path.dirname(root) else root  # a process that works in `/` has its project elsewhere


def project() -> str:
    """The project's directory, or "" where that would be the whole disk."""
    try:
        return _project(os.getcwd())
    except OSError:
        return ""


def temporary() -> str:
    """The directory for temporary files."""
    if tempfile.tempdir is None:
        with entered(None):
            return tempfile.gettempdir()
    return os.fsdecode(tempfile.tempdir)


def folded(text: str) -> str:
    """A text in which this machine's directories and interpreter stand by name: `<python>`, `<tmp>`, `<project>`."""
    pattern, names = _pattern(project(), temporary(), sys.executable or "")
    return pattern.sub(lambda found: names[found[0]], text)


@functools.lru_cache(maxsize=16)
def _pattern(root: str, temp: str, python: str) -> tuple[re.Pattern[str], dict[str, str]]:
    names: dict[str, str] = {}
    with entered(None):
        for path, name in ((python, "<python>"), (temp, "<tmp>"), (root, "<project>")):
            for one in (path, os.path.realpath(path)) if path else ():
                if one and one != os.sep:
                    names.setdefault(one, name)
    base = sysconfig.get_config_var("BINDIR")
    if base and python:
        names.setdefault(os.path.join(str(base), os.path.basename(python)), "<python>")
    longest = sorted(names, key=len, reverse=True)
    return re.compile("|".join(f"{re.escape(path)}(?![^/\\s:;,'\"=)\\]])" for path in longest)), names


# -- what lies outside of them ---------------------------------------------------------------------------------------

_SYSTEM: Final = (
    *("/dev", "/proc/self/fd", "/proc/thread-self", "/proc/sys/kernel", "/sys/devices/system/cpu", "/sys/fs/cgroup"),
    *("/etc/ssl", "/etc/pki", "/etc/mime.types", "/etc/localtime", "/etc/hosts", "/etc/resolv.conf"),
    *("/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/locale", "/usr/share/ca-certificates"),
    *("/etc/nsswitch.conf", "/etc/zoneinfo"),
)
"""What the runtime looks at, once in a process and not in each run: devices, time zones, certificates, limits."""
_RUNTIME_FILES: Final = (".netrc", "_netrc", "__pycache__", "pyvenv.cfg", "pip.conf")


def outside(file: Any) -> str | None:
    """The absolute path of a file that is neither the program's own nor the runtime's; None for all others.

    Args:
        file: as `open` takes it; a descriptor is none.
    """
    if type(file) is not str:
        if not isinstance(file, str | bytes | os.PathLike):
            return None
        file = os.fsdecode(file)
    try:
        here = os.getcwd() if not file.startswith(os.sep) else ""
    except OSError:
        return None
    return _outside(file, here, project(), temporary())


@functools.lru_cache(maxsize=8192)
def _outside(file: str, here: str, root: str, temp: str) -> str | None:
    path = os.path.normpath(os.path.join(here, file))
    path = path.replace(f"/proc/{os.getpid()}", "/proc/self", 1)
    slashed = os.path.join(path, "")
    if os.path.basename(path) in _RUNTIME_FILES or "\0" in path:
        return None
    roots = _roots(root, temp, tuple(sys.path))
    if slashed.startswith(roots) or any(one.startswith(slashed) for one in roots):
        return None
    return path


@functools.lru_cache(maxsize=16)
def _roots(root: str, temp: str, imported: tuple[str, ...]) -> tuple[str, ...]:
    """The directories of the program's own and of the runtime, each with a slash at its end."""
    own = [root, temp, sys.prefix, sys.base_prefix, sys.exec_prefix, *imported, *_SYSTEM]
    own += [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    with entered(None):
        resolved = {real for one in own if one for real in (os.path.abspath(one), os.path.realpath(one))}
    return tuple(sorted(os.path.join(one, "") for one in resolved if one != os.sep))
