"""Where a replay may write: temp files, terminals, byte code, and what the project allows. Writes nothing itself."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["Writable", "writable"]

_DEVICES = ("/dev/null", "/dev/tty", "/dev/pts", "/dev/shm", "/dev/stdout", "/dev/stderr", "/dev/fd", "/proc/self")  # noqa: S108 - allowed, not used


class Writable:
    """The directories of one fence, resolved; the most specific one that holds a path decides.

    Args:
        allow: further directories or files.
        project: a directory in which nothing may be written but what `allow` names; "" for none.
    """

    __slots__ = ("_explicit", "_roots")

    def __init__(self, allow: Iterable[str], project: str) -> None:
        self._explicit = tuple(_root(path) for path in allow)
        temp = [tempfile.gettempdir(), *_DEVICES, *([sys.pycache_prefix] if sys.pycache_prefix else [])]
        roots = dict.fromkeys((_root(path) for path in temp), True)
        if project:
            roots[_root(project)] = False
        roots.update(dict.fromkeys(self._explicit, True))
        self._roots = sorted(roots.items(), key=lambda root: -len(root[0]))

    def allows(self, path: str) -> bool:
        """Whether a file at an absolute path may be made, changed or removed there."""
        parent, name = os.path.split(path)
        if name == "__pycache__" or (".pyc" in name and os.path.basename(parent) == "__pycache__"):
            return True
        slashed = path + os.sep
        return next((allowed for root, allowed in self._roots if slashed.startswith(root)), False)

    def allows_database(self, path: str) -> bool:
        """Whether a database may be opened there: only where `allow` says so; one in a temp directory is live state."""
        slashed = path + os.sep
        return any(slashed.startswith(root) for root in self._explicit)


@lru_cache(maxsize=64)
def _made(allow: tuple[str, ...], project: str, temp: str) -> Writable:
    del temp
    return Writable(allow, project)


def writable(allow: Iterable[str | os.PathLike[str]], project: str | os.PathLike[str] | None) -> Writable:
    """The `Writable` for these directories; kept, since resolving them costs more than all the rest of a fence."""
    return _made(tuple(os.fspath(path) for path in allow), os.fspath(project) if project else "", tempfile.gettempdir())


def _root(path: str) -> str:
    return os.path.join(os.path.realpath(path), "")
