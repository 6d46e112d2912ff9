"""The pipes of a process: each read and write of one crosses, and at replay nothing but the recording is behind them.

Stands beneath subprocess's own buffers and decoders, which run for real in both directions.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from pytest_fluxrun.boundaries.processes.asked import Child, ProcessLibrary
from pytest_fluxrun.boundary import Uncovered
from pytest_fluxrun.context import crossing

__all__ = ["DESCRIPTORS", "Pipe", "over", "passes_pipes_by"]


class _Descriptors(Uncovered):
    """What passes by the pipes' methods."""

    name: ClassVar[str] = "subprocess:descriptors"
    modules: ClassVar[tuple[str, ...]] = ()
    instead: ClassVar[str] = "read and write through subprocess.PIPE with the pipes' own methods, or communicate"

    def patches(self, module: Any) -> Any:
        """None: subprocess's own boundary asks."""
        del module
        return ()


DESCRIPTORS: Final = _Descriptors()
_PIPE, _STDOUT, _DEVNULL = -1, -2, -3
_ORDINARY: Final = frozenset({None, _PIPE, _STDOUT, _DEVNULL, 1, 2})


def passes_pipes_by(given: Mapping[str, Any]) -> bool:
    """Whether a process gets descriptors, or sends its output where no pipe tees it, by subprocess's arguments."""
    return bool(given.get("pass_fds")) or any(_goes_elsewhere(given.get(name)) for name in ("stdout", "stderr"))


def _goes_elsewhere(target: Any) -> bool:
    if target is None or isinstance(target, int):
        return target not in _ORDINARY
    printed = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return not any(target is stream for stream in printed) and getattr(target, "name", "") != os.devnull


class Pipe(io.RawIOBase):
    """One end.

    Args:
        live: the real one, or None at replay.
        mode: `rb` or `wb`, as io.open names it.
    """

    def __init__(self, library: ProcessLibrary, child: Child, stream: str, live: Any, mode: str) -> None:
        super().__init__()
        self._library = library
        self._child = child
        self._stream = stream
        self._live = live
        self._rest = memoryview(b"")
        self._ended = False
        self.mode = mode
        self.name = -1 if live is None else live.name

    def readable(self) -> bool:
        """Whether it is an output."""
        return self.mode == "rb"

    def writable(self) -> bool:
        """Whether it is an input."""
        return self.mode == "wb"

    def fileno(self) -> int:
        """The live one; a program that asks for it goes past the recording."""
        session = crossing()
        if session is not None and not (session.closed or session.preamble):
            session.uncovered(DESCRIPTORS)
        if self._live is None:
            raise io.UnsupportedOperation("fileno")
        number: int = self._live.fileno()
        return number

    def isatty(self) -> bool:
        """Never."""
        return False

    def readinto(self, buffer: Any) -> int:
        """One piece into a buffer, or what is left of one."""
        if not self._rest:
            self._rest = memoryview(self._next(len(buffer)))
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)

    def readall(self) -> bytes:
        """All up to the end."""
        found, self._rest = [bytes(self._rest)], memoryview(b"")
        while data := self._next(-1):
            found.append(data)
        return b"".join(found)

    def write(self, data: Any) -> int:
        """Tell the process."""
        given = bytes(data)

        def live() -> dict[str, Any]:
            return {"written": self._live.write(given)}

        return int(self._cross("input", live, {"written": len(given)}, data=given)["written"])

    def close(self) -> None:
        """Also the live end."""
        if not self.closed:
            try:
                super().close()
            finally:
                if self._live is not None:
                    self._live.close()

    def _next(self, size: int) -> bytes:
        """The next piece; b"" from its end on."""
        if self._ended:
            return b""

        def live() -> dict[str, Any]:
            return {"data": self._live.readall() if size < 0 else self._live.read(size)}

        data = bytes(self._cross("read", live, {"data": b""}, stream=self._stream)["data"] or b"")
        self._ended = not data
        return data

    def _cross(
        self, command: str, live: Callable[[], dict[str, Any]], nothing: dict[str, Any], **more: Any
    ) -> dict[str, Any]:
        """The answer; past its run a played pipe is a closed one."""
        session = crossing()
        if session is not None and not (session.closed and self._live is not None):
            answer: dict[str, Any] = session.call(self._library, self._child.call(command, **more), live)
            return answer
        return nothing if self._live is None else live()


def over(pipe: Pipe, bufsize: int, text: dict[str, Any] | None) -> Any:
    """What subprocess lays over a pipe, as `Popen.__init__` does (CPython 3.11 to 3.14).

    Args:
        text: encoding, errors and, of what is written, how it is buffered; None: bytes.
    """
    if bufsize == 0:
        raw: Any = pipe
    else:
        size = bufsize if bufsize > 1 else io.DEFAULT_BUFFER_SIZE
        raw = io.BufferedWriter(pipe, size) if pipe.writable() else io.BufferedReader(pipe, size)
    return raw if text is None else io.TextIOWrapper(raw, **text)
