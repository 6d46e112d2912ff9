"""Changing what lies outside of the project, by name: effects, which a replay makes on its disk in memory only."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, Final

from pytest_fluxrun.boundaries.disk.asked import MOST_BYTES, Asked, asked
from pytest_fluxrun.boundaries.disk.roots import folded

__all__ = ["CHANGES", "link", "rename"]


def _changing(command: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A seam of a function of one path and plain arguments."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def change(path: Any, *args: Any, **kwargs: Any) -> Any:
            access = asked(path) if kwargs.get("dir_fd") is None else None
            if access is None:
                return original(path, *args, **kwargs)
            arguments = [*args, *(kwargs[name] for name in sorted(kwargs) if name != "dir_fd")]
            given: dict[str, Any] = {"arguments": arguments} if arguments else {}
            access.cross(command, lambda: _done(original, path, *args, **kwargs), **given)
            if command in {"remove", "rmdir"} and access.session.answers:
                access.disk.written[access.path] = None
            return None

        return change

    return wrap


def _done(original: Callable[..., Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
    original(*args, **kwargs)
    return {}


CHANGES: Final = {
    "remove": _changing("remove"),
    "unlink": _changing("remove"),
    "rmdir": _changing("rmdir"),
    "mkdir": _changing("mkdir"),
    "truncate": _changing("truncate"),
    "chmod": _changing("chmod"),
    "utime": _changing("utime"),
}
"""By function of os."""


def rename(original: Callable[..., None]) -> Callable[..., None]:
    """`os.rename` and `os.replace`: of two paths, one or both outside."""

    @functools.wraps(original)
    def move(src: Any, dst: Any, *, src_dir_fd: Any = None, dst_dir_fd: Any = None) -> None:
        bare = src_dir_fd is None and dst_dir_fd is None
        source, target = (asked(src), asked(dst)) if bare else (None, None)
        access = source or target
        if access is None:
            return original(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        content = _content(src) if source is None else None

        def live() -> dict[str, Any]:
            moved = _content(src) if target is None else None
            original(src, dst)
            return {"content": moved, "size": len(moved or b"")}

        more: dict[str, Any] = {"to": target.path if target else _own(dst)}
        if content is not None:
            more["content"] = content
        if source is None:
            access = Asked(access.library, access.session, _own(src), access.disk)
        answer = access.cross("rename", live, **more)
        if access.session.answers:
            _move_in_memory(access, source, target, (src, dst), content or answer["content"])
        return None

    return move


def _own(path: Any) -> str:
    """A path of the program's own, by its name there; of a temporary file, whose name is drawn, only that it is one."""
    name = folded(os.path.abspath(os.fsdecode(path)))
    return "<tmp>" if name.startswith("<tmp>") else name


def _move_in_memory(
    access: Asked, source: Asked | None, target: Asked | None, names: tuple[Any, Any], content: bytes | None
) -> None:
    """At replay: the part of it that lies outside on the disk in memory, the other for real."""
    written = access.disk.written
    if source is not None:
        known = written.get(source.path)
        content = content if known is None else known
        written[source.path] = None
    else:
        os.unlink(names[0])
    if target is not None:
        if content is not None:
            written[target.path] = content
        else:
            written.pop(target.path, None)
    elif content is not None:
        with open(names[1], "wb") as file:
            file.write(content)


def _content(path: Any) -> bytes | None:
    """A small file's content; None for what is large, or no file."""
    try:
        if os.stat(path).st_size > MOST_BYTES:
            return None
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def link(command: str, original: Callable[..., None]) -> Callable[..., None]:
    """`os.link` and `os.symlink`: what is made lies at the second path."""

    @functools.wraps(original)
    def make(src: Any, dst: Any, *args: Any, **kwargs: Any) -> None:
        access = asked(dst) if not any(kwargs.get(name) for name in ("dir_fd", "src_dir_fd", "dst_dir_fd")) else None
        if access is None:
            return original(src, dst, *args, **kwargs)
        access.cross(command, lambda: _done(original, src, dst, *args, **kwargs), arguments=[os.fspath(src)])
        return None

    return make
