"""Which file accesses cross, and the disk of a replay: what its run has written, in memory.

A run that was recorded before files were has no answers: its replay looks at the real ones, and the fence keeps it from
changing any.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.disk.roots import outside
from pytest_fluxrun.boundary import Boundary, Call, Uncovered
from pytest_fluxrun.context import reading
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.kinds.file import FILE
from pytest_fluxrun.places import module_of
from pytest_fluxrun.values import Value, decode, encode

__all__ = ["LIBRARY", "MOST_BYTES", "Asked", "Disk", "FileLibrary", "asked", "content_of", "disk_of", "memory"]

MOST_BYTES: Final = 8 << 20
"""What of one file is kept; a larger one makes its run over-bound by its size alone."""
_RELAYS: Final = frozenset(
    {
        "codecs",
        "contextlib",
        "genericpath",
        "glob",
        "gzip",
        "io",
        "ntpath",
        "os",
        "pathlib",
        "posixpath",
        "shutil",
        "zipfile",
    }
)
_RUNTIME: Final = frozenset(
    {
        "_pytest",
        "asyncio",
        "bdb",
        "cmd",
        "coverage",
        "debugpy",
        "encodings",
        "gettext",
        "importlib",
        "inspect",
        "linecache",
        "locale",
    }
    | {
        "bdb",
        "cmd",
        "logging",
        "mimetypes",
        "multiprocessing",
        "netrc",
        "pdb",
        "pkgutil",
        "pydevd",
        "pytest",
        "pytest_fluxrun",
        "site",
        "ssl",
    }
    | {"subprocess", "sysconfig", "tempfile", "threading", "tokenize", "traceback", "warnings", "zipimport", "zoneinfo"}
)
"""What reads files so that the program can run, and writes its logs: no part of a run."""
_MOST_FRAMES: Final = 12
_IMPORTER: Final = "<frozen importlib._bootstrap>"


class FileLibrary(Boundary[dict[str, Any]]):
    """A boundary of the kind file; answers are plain."""

    name: ClassVar[str] = "files"
    kind = FILE

    def weigh(self, result: dict[str, Any]) -> int:
        """The file's size, also where its content is too large to be kept."""
        return int(result.get("size", 0))

    def dump(self, result: dict[str, Any]) -> Value:
        """As it is."""
        return encode(result)

    def load(self, value: Value, call: Call) -> dict[str, Any]:
        """What `dump` saw."""
        del call
        loaded: dict[str, Any] = decode(value)
        return loaded


@dataclass(slots=True)
class Disk:
    """What a replayed run has made of files: content by path, None for what it removed.

    Attributes:
        recorded: the run's file accesses are in its recording.
    """

    recorded: bool
    written: dict[str, bytes | None] = field(default_factory=dict)


_disks: weakref.WeakKeyDictionary[Any, Disk] = weakref.WeakKeyDictionary()


def disk_of(session: Any) -> Disk:
    """A session's; at its first use in a recording, it is made known that files are recorded."""
    found = _disks.get(session)
    if found is None:
        recorded = session.read("file", "recorded", lambda: not session.answers or not hasattr(session, "recording"))
        found = _disks[session] = Disk(bool(recorded))
    return found


@dataclass(frozen=True, slots=True)
class Asked:
    """One access that crosses."""

    library: FileLibrary
    session: Any
    path: str
    disk: Disk

    def cross(
        self,
        command: str,
        live: Callable[[], dict[str, Any]],
        local: Callable[[], dict[str, Any]] | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """The answer.

        Args:
            local: answers at replay where the recording has nothing.
        """
        if self.session.preamble and local is None and command not in _CHANGING:
            local = live  # a process that starts reads more than the recorded one did after `init`
        call = Call({"command": command, "path": self.path, **more}, otherwise=local)
        answer: dict[str, Any] = self.session.call(self.library, call, live)
        return answer


_CHANGING: Final = frozenset(
    {"write", "rename", "remove", "mkdir", "rmdir", "truncate", "chmod", "utime", "link", "symlink"}
)


class _Library:
    """The boundary that the seams cross; `files` sets it, which imports them."""

    boundary: FileLibrary


LIBRARY: Final = _Library()


def asked(file: Any) -> Asked | None:
    """The access, if a session must see it: of a file outside, by the program and not by its runtime."""
    session = reading()
    if session is None or (session.closed and not session.answers):
        return None
    path = outside(file)
    if path is None or _by_runtime(session):
        return None
    disk = disk_of(session)
    return Asked(LIBRARY.boundary, session, path, disk) if disk.recorded else None


def _by_runtime(session: Any) -> bool:
    """Whether the runtime asks, or a library that is being imported: where it is imported differs between processes."""
    frame: Any = sys._getframe(3)  # noqa: SLF001 - the only way to the calling code
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return False
        module = module_of(frame.f_code.co_filename).partition(".")[0]
        if module not in _RELAYS:
            return module in _RUNTIME or (bool(module) and not session.preamble and _importing(frame))
        frame = frame.f_back
    return False


def _importing(frame: Any) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTER:
            return True
        frame = frame.f_back
    return False


# -- contents --------------------------------------------------------------------------------------------------------


class _NotAFile(Uncovered):
    """Pipes, sockets and devices."""

    name: ClassVar[str] = "files:irregular"
    modules: ClassVar[tuple[str, ...]] = ()
    instead: ClassVar[str] = "read and write it through an object wrapped with fluxrun.host"

    def patches(self, module: Any) -> Any:
        """None."""
        del module
        return ()


_NOT_A_FILE: Final = _NotAFile()


def content_of(asked: Asked, descriptor: int) -> dict[str, Any]:
    """A live file's content, with its size and times; its position stays."""
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        if not asked.session.preamble:
            asked.session.uncovered(_NOT_A_FILE)
        return {"content": None, "size": 0}
    found = {"times": [state.st_atime_ns, state.st_mtime_ns], "mode": stat.S_IMODE(state.st_mode)}
    if state.st_size > MOST_BYTES:
        return {**found, "content": None, "size": state.st_size}
    pieces: list[bytes] = []
    at = 0
    try:
        while at <= MOST_BYTES and (piece := os.pread(descriptor, 1 << 20, at)):
            pieces.append(piece)
            at += len(piece)
    except OSError:  # of a file of the kernel's that can't be read so: the program is none the worse
        return {**found, "content": None, "size": at}
    return {**found, "content": b"".join(pieces) if at <= MOST_BYTES else None, "size": at}


def memory(path: str, answer: dict[str, Any]) -> int:
    """A descriptor of a file in memory with a recorded content; its owner closes it.

    Raises:
        UnrecordedCall: the content was too large to be kept.
    """
    content = answer["content"]
    if content is None:
        raise UnrecordedCall(
            f"{path} was too large to be recorded, or no regular file",
            asked=f"its content, of {answer['size']} bytes",
            next_step="read it through an object wrapped with fluxrun.host",
        )
    descriptor = _anonymous()
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, io.SEEK_SET)
    if "times" in answer:
        os.fchmod(descriptor, answer["mode"])
        os.utime(descriptor, ns=(answer["times"][0], answer["times"][1]))
    return descriptor


def _anonymous() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("fluxrun", os.MFD_CLOEXEC)
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
