"""Opening files outside of the project: what is read is kept as it is then, what is written as it is at its close.

The program gets the file object that `open` makes, over the file itself or over one in memory, so that descriptors,
mappings and positions are real ones in both directions.
"""

from __future__ import annotations

import functools
import io
import os
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pytest_fluxrun.boundaries.disk.asked import MOST_BYTES, Asked, asked, content_of, memory
from pytest_fluxrun.context import reading

__all__ = ["close", "os_open", "wrap_open"]

_EMPTY: Final[dict[str, Any]] = {"content": b"", "size": 0}
_WRITING_FLAGS: Final = os.O_WRONLY | os.O_RDWR
_UNLIKE_A_FILE: Final = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_PATH", 0) | getattr(os, "O_TMPFILE", 0)


@dataclass(slots=True)
class _Change:
    """A file that is open for writing.

    Attributes:
        start: where what it writes begins: the file's size, of one that is appended to.
        node: which file its descriptor led to, where only the descriptor is known.
    """

    asked: Asked
    mode: str
    start: int
    node: tuple[int, int] = (0, 0)

    def over(self, descriptor: int) -> None:
        """Make known what was written, just before its descriptor is closed."""
        session = self.asked.session
        if reading() is not session or (session.closed and not session.answers):
            return
        if self.node != (0, 0) and self.node != _node(descriptor):
            return  # C code has closed the file, and the number is another's by now
        content, size = _written(descriptor, self.start, self.asked.path)
        disk = self.asked.disk.written
        if session.answers and content is not None:
            before = disk.get(self.asked.path)
            if self.mode != "a":
                disk[self.asked.path] = content
            elif before is not None:  # else only the recording knows what stands before it
                disk[self.asked.path] = before + content
        self.asked.cross("write", lambda: {"size": size}, mode=self.mode, content=content)


_by_descriptor: dict[int, _Change] = {}
"""Files that `os.open` opened for writing, until they are closed."""


def _node(descriptor: int) -> tuple[int, int]:
    try:
        state = os.fstat(descriptor)
    except OSError:
        return -1, -1
    return state.st_dev, state.st_ino


def _written(descriptor: int, start: int, path: str) -> tuple[bytes | None, int]:
    """What is in a file from an offset on, by whatever its descriptor may do; None where it is too much."""
    size, own = 0, -1
    try:
        size = max(0, os.fstat(descriptor).st_size - start)
        if size > MOST_BYTES:
            return None, size
        with suppress(OSError):
            return os.pread(descriptor, size, start) if size else b"", size
        link = f"/proc/self/fd/{descriptor}"
        own = _bare_open(link if os.path.exists(link) else path, os.O_RDONLY)
        return os.pread(own, size, start), size
    except OSError:
        return None, size
    finally:
        if own >= 0:
            _bare_close(own)


_bare_open: Callable[..., int] = os.open
_bare_close: Callable[[int], None] = os.close


# -- open ------------------------------------------------------------------------------------------------------------


def wrap_open(original: Callable[..., Any]) -> Callable[..., Any]:
    """`builtins.open`, which is `io.open`."""

    @functools.wraps(original)
    def open(  # noqa: A001, PLR0917 - its name and its signature
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: Any = None,
        errors: Any = None,
        newline: Any = None,
        closefd: bool = True,  # noqa: FBT001, FBT002 - as above
        opener: Any = None,
    ) -> Any:
        if reading() is None:
            return original(file, mode, buffering, encoding, errors, newline, closefd, opener)
        given = (buffering, encoding, errors, newline)
        if type(file) is int:
            made = original(file, mode, *given, closefd, opener)
            if closefd and file in _by_descriptor:
                _hook(made, _by_descriptor.pop(file))
            return made
        access = asked(file) if opener is None and isinstance(mode, str) else None
        if access is None:
            return original(file, mode, *given, closefd, opener)
        if set(mode) & set("wax+"):
            return _open_to_write(original, access, file, mode, given)
        return _open_to_read(original, access, file, mode, given)

    return open


def _open_to_read(original: Callable[..., Any], access: Asked, file: Any, mode: str, given: tuple[Any, ...]) -> Any:
    made: list[Any] = []

    def live() -> dict[str, Any]:
        made.append(original(file, mode, *given))
        return content_of(access, made[0].fileno())

    answer = _read(access, live)
    if made and not (answer["content"] and os.fstat(made[0].fileno()).st_size == 0):
        return made[0]
    for live_one in made:  # a file of the kernel's (/proc) is made anew by each read: the program gets what is kept
        live_one.close()
    return _over(original, memory(access.path, answer), file, mode, given)


def _read(access: Asked, live: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A file's content; what the replayed run has written itself, where it did."""
    own = access.disk.written.get(access.path)
    if own is None:
        return access.cross("read", live)
    kept = {"content": own, "size": len(own)}
    return {**access.cross("read", live, lambda: kept), **kept}


def _open_to_write(original: Callable[..., Any], access: Asked, file: Any, mode: str, given: tuple[Any, ...]) -> Any:
    made: list[Any] = []
    sort = next((letter for letter in "wax" if letter in mode), "+")

    def live() -> dict[str, Any]:
        made.append(original(file, mode, *given))
        raw = _raw_of(made[0])
        if "+" in mode and sort in "a+":
            return content_of(access, raw.fileno())
        return {**_EMPTY, "start": os.fstat(raw.fileno()).st_size} if sort == "a" else dict(_EMPTY)

    own = access.disk.written.get(access.path) or b""
    answer = access.cross("open", live, lambda: {"content": own, "size": len(own)}, mode=sort)
    if not made:
        kept = answer["content"] if sort in "a+" else b""
        descriptor = memory(access.path, {"content": own or kept, "size": 0} if sort in "a+" else _EMPTY)
        made.append(_over(original, descriptor, file, mode.replace("x", "w"), given))
        start = os.fstat(descriptor).st_size if sort == "a" else 0
    else:
        start = int(answer.get("start", answer["size"])) if sort == "a" else 0
    _hook(made[0], _Change(access, sort, start))
    return made[0]


def _over(original: Callable[..., Any], descriptor: int, file: Any, mode: str, given: tuple[Any, ...]) -> Any:
    """A file object over a descriptor, by the file's name."""
    try:
        made = original(descriptor, mode, *given)
    except BaseException:
        _bare_close(descriptor)
        raise
    _raw_of(made).name = os.fspath(file)
    return made


def _raw_of(made: Any) -> Any:
    while not isinstance(made, io.RawIOBase):
        made = getattr(made, "buffer", None) or made.raw
    return made


def _hook(made: Any, change: _Change) -> None:
    """Have a file object's own raw file say when it is closed, also by its finalizer."""
    raw = _raw_of(made)
    known = weakref.ref(raw)

    def close() -> None:
        raw = known()
        if raw is None or raw.closed:
            return
        try:
            change.over(raw.fileno())
        finally:
            io.FileIO.close(raw)

    raw.close = close


# -- descriptors -----------------------------------------------------------------------------------------------------


def os_open(original: Callable[..., int]) -> Callable[..., int]:
    """`os.open`."""

    @functools.wraps(original)
    def open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: Any = None) -> int:  # noqa: A001 - its name
        access = asked(path) if dir_fd is None and not flags & _UNLIKE_A_FILE else None
        if access is None:
            return original(path, flags, mode, dir_fd=dir_fd)
        return _descriptor(access, flags, lambda: original(path, flags, mode))

    return open


def _descriptor(access: Asked, flags: int, original: Callable[[], int]) -> int:
    made: list[int] = []
    writing = flags & _WRITING_FLAGS
    sort = "a" if flags & os.O_APPEND else "x" if flags & os.O_EXCL else "w" if flags & os.O_TRUNC else "+"

    def live() -> dict[str, Any]:
        made.append(original())
        if writing and sort != "+":
            return {**_EMPTY, "start": os.fstat(made[0]).st_size}
        return content_of(access, made[0]) if not writing or flags & os.O_RDWR else dict(_EMPTY)

    if not writing:
        answer = _read(access, live)
        return made[0] if made else memory(access.path, answer)
    answer = access.cross("open", live, lambda: dict(_EMPTY), mode=sort)
    descriptor = made[0] if made else memory(access.path, {"content": answer["content"], "size": 0})
    start = int(answer.get("start", 0)) if made and sort == "a" else 0
    _by_descriptor[descriptor] = _Change(access, sort, start, _node(descriptor))
    return descriptor


def close(original: Callable[[int], None]) -> Callable[[int], None]:
    """`os.close`."""

    @functools.wraps(original)
    def close(fd: int) -> None:
        if _by_descriptor:
            change = _by_descriptor.pop(fd, None)
            if change is not None:
                change.over(fd)
        original(fd)

    return close
